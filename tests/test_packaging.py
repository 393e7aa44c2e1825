"""The wheel holds all that the programs need, and the project file knows every module."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = ("cryo_pick", "metrics", "detector", "refiner", "configs")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel file, the names in it, and the text of its metadata files."""
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out)]
    done = subprocess.run(
        [*command, str(ROOT)], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (file,) = out.glob("cryo_pick-*.whl")
    with zipfile.ZipFile(file) as archive:
        names = set(archive.namelist())
        info = {Path(n).name: archive.read(n).decode() for n in names if ".dist-info/" in n}
    return file, names, info


def test_the_wheel_holds_every_file_of_the_packages_and_nothing_else(wheel):
    _, names, _ = wheel
    expected = {
        file.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for file in (ROOT / package).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert {n for n in names if ".dist-info/" not in n} == expected
    assert {"configs/config.yaml", "configs/experiment/cpu.yaml"} <= names


def test_every_config_folder_can_be_found_by_hydra_in_a_wheel(wheel):
    _, names, _ = wheel
    folders = {str(Path(n).parent) for n in names if n.startswith("configs/")}
    assert folders
    assert {f"{folder}/__init__.py" for folder in folders} <= names


def test_the_wheel_works_elsewhere(wheel, tmp_path):
    code = (
        "import configs, cryo_pick.config as c; print(configs.__file__, c.__file__, sep='\\n'); "
        "print(c.compose(['experiment=cpu']).train.optimizer.accelerator)"
    )
    with zipfile.ZipFile(wheel[0]) as archive:
        archive.extractall(tmp_path / "site")
    (tmp_path / "elsewhere" / "configs").mkdir(parents=True)
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path / "elsewhere",
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    configs, config, accelerator = done.stdout.splitlines()
    assert Path(configs).is_relative_to(tmp_path / "site")
    assert Path(config).is_relative_to(tmp_path / "site")
    assert accelerator == "cpu"


def test_the_wheel_has_its_programs_licence_and_description(wheel):
    _, _, info = wheel
    assert "cryo-pick = cryo_pick.cli:main" in info["entry_points.txt"]
    assert "detector = detector.cli:main" in info["entry_points.txt"]
    assert "refiner = refiner.cli:main" in info["entry_points.txt"]
    assert "Apache License" in info["LICENSE"]
    assert "License-Expression: Apache-2.0" in info["METADATA"]
    assert "Requires-Python: <3.14,>=3.11" in info["METADATA"]


def test_every_module_of_cryo_pick_has_its_layer():
    contract = PROJECT["tool"]["importlinter"]["contracts"][0]
    listed = set(re.findall(r"cryo_pick\.(\w+)", " ".join(contract["layers"])))
    there = {p.stem for p in (ROOT / "cryo_pick").glob("*.py")} - {"__init__"}
    there |= {p.parent.name for p in (ROOT / "cryo_pick").glob("*/__init__.py")}
    assert there == listed


def test_every_requirement_has_a_lower_bound_only():
    project = PROJECT["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    for requirement in (r for group in groups for r in group):
        assert re.fullmatch(r"[\w-]+>=[\w.]+", requirement), requirement


def test_the_constraints_cover_what_make_installs_with_exact_versions():
    lines = [
        line
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if not line.startswith("#")
    ]
    assert all(re.fullmatch(r"[\w.-]+==[\w.+!-]+", line) for line in lines)
    pinned = {normal(line.split("==")[0]) for line in lines}
    project = PROJECT["project"]
    extras = project["optional-dependencies"]
    installed = [
        *project["dependencies"],
        *(r for e in ("test", "openvino", "cluster") for r in extras[e]),
    ]
    assert {normal(r.split(">=")[0]) for r in installed} <= pinned


def normal(name):
    """A package name in the one spelling that counts."""
    return re.sub(r"[-_.]+", "-", name).lower()
