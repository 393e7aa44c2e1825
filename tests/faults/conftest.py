"""The tiny bundle, forty tomograms, and their picks as one undisturbed process makes them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cryo_pick.cli import main
from tests.faults.tiny import SETTINGS, write_tiny_bundle, write_tomograms

N_RUNS = 40
COMMAND = [sys.executable, "-c", "import sys; from cryo_pick.cli import main; sys.exit(main())"]


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("tiny") / "bundle")


@pytest.fixture(scope="session")
def tomograms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tomograms(tmp_path_factory.mktemp("many") / "tomograms", N_RUNS)


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """Three tomograms that a test may break."""
    return write_tomograms(tmp_path / "tomograms", 3)


@pytest.fixture(scope="session")
def undisturbed(
    tiny_bundle: Path, tomograms: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The `predict` folder of all forty."""
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    assert main(words(tomograms, tiny_bundle, out)) == 0
    return out


def words(inputs: Path, bundle: Path, out: Path, *more: str) -> list[str]:
    """The words of a `predict` command."""
    return ["predict", str(inputs), "--model", str(bundle), "--out", str(out), *SETTINGS, *more]


def _heed_ctrl_c() -> None:
    """As from a terminal; what a shell starts in the background ignores SIGINT, and so its own."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


Starter = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Starter]:
    """Starts a `cryo-pick` process, whose words go to a file; ends those that are left."""
    started: list[subprocess.Popen[str]] = []

    def begin(command: list[str], **environment: str) -> subprocess.Popen[str]:
        env = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", **environment}
        with (tmp_path / f"said{len(started)}.txt").open("w") as log:
            process = subprocess.Popen(
                [*COMMAND, *command], stdout=log, stderr=subprocess.STDOUT, env=env, text=True,
                start_new_session=True, preexec_fn=_heed_ctrl_c,
            )  # fmt: skip
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()


def picks(out: Path) -> str:
    """All picks of a `predict` folder."""
    return (out / "picks.csv").read_text()


def done(out: Path) -> list[Path]:
    """Results of single runs that are there."""
    return sorted(out.glob("runs/*/candidates.npz"))


def leftovers(out: Path) -> list[str]:
    """Locks and half-written files."""
    found = [p for p in out.rglob(".*") if p.name == ".lock" or ".tmp" in p.name]
    return sorted(str(p.relative_to(out)) for p in found)
