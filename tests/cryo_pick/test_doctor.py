import json
from importlib import metadata

import pytest

from cryo_pick.cli import main
from cryo_pick.commands import doctor
from cryo_pick.commands.doctor import disk_speed, install_line, missing_extras


@pytest.fixture(autouse=True)
def small_disk_test(monkeypatch):
    monkeypatch.setattr(doctor, "DISK_TEST_BYTES", 10**6)


def test_json_tells_what_this_machine_can_run(capsys):
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["torch"]["version"].startswith(metadata.version("torch"))
    assert found["torch"]["threads"] >= 1
    assert found["cpu"]["cores"] >= 1
    assert found["numba"] == metadata.version("numba")
    assert found["disk"]["write_mb_s"] > 0
    assert isinstance(found["gpu"], list)
    assert "test" not in found["extras"]


def test_the_table_says_the_same_for_people(capsys):
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    for label in ("CPU", "bf16 on CPU", "int8 on CPU", "torch", "GPU", "OpenVINO", "numba", "disk"):
        assert f"\n{label} " in out


def test_an_extra_is_missing_if_one_of_its_requirements_is():
    requirements = [
        "numpy>=2.0",
        "nosuchpackage",
        "numpy>=2.0; extra == 'complete'",
        "nosuchpackage<3,>=1.0; extra == 'lacking'",
        'nosuch-other[all]>=2; extra == "lacking"',
        "pytest; extra == 'lacking'",
    ]
    missing = missing_extras(requirements)
    assert missing == {"lacking": ["nosuchpackage<3,>=1.0", "nosuch-other>=2"]}
    line = "python -m pip install 'nosuchpackage<3,>=1.0' 'nosuch-other>=2'"
    assert install_line(missing["lacking"]) == line


def test_the_extras_of_this_package_can_be_read():
    requirements = metadata.requires("cryo-pick")
    extras = {m[3] for r in requirements if (m := doctor.REQUIREMENT.fullmatch(r.strip()))}
    assert extras >= {"openvino", "cluster", "view", "sweep", "copick", "test"}


def test_disk_test_leaves_nothing_behind(tmp_path):
    speed = disk_speed(tmp_path, size=2 * 10**6)
    assert speed["write_mb_s"] > 0
    assert speed["read_mb_s"] > 0
    assert list(tmp_path.iterdir()) == []
