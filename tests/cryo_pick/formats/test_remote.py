"""Projects in remote stores: http from a server here, s3 as far as its package is missing."""

import functools
import http.server
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cryo_pick.errors import InputError
from cryo_pick.formats import location
from cryo_pick.formats.copick import open_project
from cryo_pick.formats.location import Location
from cryo_pick.settings import DataSettings


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server(project_folder: Path) -> Iterator[str]:
    """URL of the project's folder."""
    handler = functools.partial(Quiet, directory=str(project_folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as opened:
        opened.daemon_threads = True
        thread = threading.Thread(target=opened.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{opened.server_address[1]}"
        opened.shutdown()
        thread.join()


def test_a_project_with_its_static_root_on_a_web_server(
    server: str, project_folder: Path, rewrite: object, volume: np.ndarray, tmp_path: Path
) -> None:
    rewrite(static_root=f"{server}/static", static_fs_args={})  # type: ignore[operator]
    project = open_project(project_folder)
    assert project.runs == ["TS_1", "TS_2"]
    assert project.voxel_spacings("TS_2") == [10.012]
    tomogram = project.open_tomogram("TS_2", DataSettings())
    np.testing.assert_array_equal(tomogram.array(), volume)
    assert len(project.read_picks("TS_1")) == 3


def test_a_whole_project_on_a_web_server(server: str, rewrite: object, volume: np.ndarray) -> None:
    roots = {f"{kind}_root": f"{server}/{kind}" for kind in ("static", "overlay")}
    rewrite(**roots, static_fs_args={}, overlay_fs_args={})  # type: ignore[operator]
    project = open_project(f"{server}/copick_config.json")
    np.testing.assert_array_equal(project.open_tomogram("TS_1", DataSettings()).array(), volume)
    assert project.read_picks("TS_1").positions.tolist() == [[3, 2, 1], [6, 5, 4], [30, 20, 10]]
    with pytest.raises(InputError, match="can't be written"):
        project.write_picks("TS_1", project.read_picks("TS_1"), "me", "0")


def test_a_server_that_is_not_there(project_folder: Path, rewrite: object) -> None:
    rewrite(static_root="http://127.0.0.1:9/static", static_fs_args={})  # type: ignore[operator]
    with pytest.raises(InputError, match=r"127\.0\.0\.1:9"):
        open_project(project_folder).open_tomogram("TS_1", DataSettings())


@pytest.mark.parametrize("scheme", ["s3", "gs"])
def test_a_missing_package_is_named_with_its_pip_line(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = location.PACKAGES[scheme]
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=rf"{scheme}://b/p: .*pip install {package}"):
        Location.of(f"{scheme}://b/p")
