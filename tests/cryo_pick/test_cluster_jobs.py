"""Jobs that are refused, lost or interrupted, with stand-ins for the commands of SLURM."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cryo_pick.cluster import job_watch, jobs, open_cluster
from cryo_pick.config import compose
from cryo_pick.errors import ConfigError, CryoPickError

pytest.importorskip("dask_jobqueue", reason="needs the extra `cluster`")

SETTINGS = ["cluster=slurm", "cluster.gpus=0", "cluster.memory=1GB", "cluster.interface=lo"]
ACCEPTS = 'touch {d}/sent/$$; echo "Submitted batch job $$"'
PATIENCE_S = 60.0
WITH_A_CHILD = "echo $$ > pid; sleep 30"


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of commands that go before SLURM's; jobs are accepted, and stay in the queue."""
    folder = tmp_path / "bin"
    (tmp_path / "sent").mkdir()
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    command(folder, "sbatch", ACCEPTS)
    command(folder, "squeue", "printf '100\\n101\\n'")
    command(folder, "scancel", 'echo "$1" >> {d}/cancelled')
    return folder


def command(folder: Path, name: str, line: str) -> None:
    """Write a command of one line of shell; {d} is the folder above."""
    path = folder / name
    path.write_text("#!/bin/sh\n" + line.replace("{d}", str(folder.parent)) + "\n")
    path.chmod(0o755)


def look_until_it_raises(tmp_path: Path, *words: str) -> None:
    """Open a cluster and look after its jobs, as a command does that waits for workers."""
    with open_cluster(compose([*SETTINGS, *words]).cluster, tmp_path / "out") as cluster:
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            cluster.replace_lost()
            time.sleep(0.1)
    raise AssertionError("it would wait for ever")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_refusal_ends_the_command(
    slurm: Path, tmp_path: Path, workers: int, capfd: pytest.CaptureFixture[str]
) -> None:
    command(slurm, "sbatch", "echo 'sbatch: error: invalid partition specified: gpu' >&2; exit 1")
    with pytest.raises(ConfigError, match=r"can't be submitted: .*invalid partition .*: gpu"):
        look_until_it_raises(tmp_path, f"cluster.workers={workers}")
    assert "Traceback" not in capfd.readouterr().err


def test_no_sbatch_at_all(slurm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (slurm / "sbatch").unlink()
    monkeypatch.setenv("PATH", str(slurm))
    with pytest.raises(ConfigError, match=r"can't be submitted: .*sbatch"):
        look_until_it_raises(tmp_path)


def test_an_sbatch_that_never_answers(
    slurm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "SUBMIT_S", 0.5)
    command(slurm, "sbatch", "exec sleep 30")
    with pytest.raises(ConfigError, match="sbatch gave no answer in 0 s"):
        look_until_it_raises(tmp_path)


def test_a_command_that_gives_no_answer_is_ended(tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(RuntimeError, match="sh gave no answer in 1 s"):
        jobs.output_of(["sh", "-c", f"cd {tmp_path}; {WITH_A_CHILD}"], 1)
    assert time.monotonic() - started < 20  # its child holds its pipes for longer
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_command_that_fails_says_what_it_printed() -> None:
    with pytest.raises(RuntimeError, match=r"^no such queue$"):
        jobs.output_of(["sh", "-c", "echo no such queue >&2; exit 3"], 30)
    with pytest.raises(RuntimeError, match="false ended with exit code 1"):
        jobs.output_of(["false"], 30)
    assert jobs.output_of(["echo", "Submitted batch job 5"], 30) == "Submitted batch job 5\n"


@pytest.mark.parametrize(
    ("answer", "told"),
    [("error: not your job", True), ("error: Kill job error: Invalid job id specified", False)],
)
def test_a_job_that_cannot_be_cancelled_is_told_of(
    slurm: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, answer: str, told: bool
) -> None:
    command(slurm, "scancel", f"echo 'scancel: {answer}' >&2; exit 1")
    with open_cluster(compose([*SETTINGS, "cluster.workers=1"]).cluster, tmp_path / "out"):
        end = time.monotonic() + PATIENCE_S
        while not list((tmp_path / "sent").iterdir()):
            assert time.monotonic() < end
            time.sleep(0.05)
    (job,) = (file.name for file in (tmp_path / "sent").iterdir())
    assert (f"job {job} may be left: scancel: {answer}" in caplog.text) == told


def test_jobs_that_end_before_their_workers_come(
    slurm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_watch, "ASK_AFTER_S", 0.2)
    command(slurm, "squeue", "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1")
    with pytest.raises(CryoPickError, match=r"4 jobs ended before .* is in .*out/jobs"):
        look_until_it_raises(tmp_path, "cluster.workers=2")
    assert len(list((tmp_path / "sent").iterdir())) == 4  # each was asked for again, once


def test_only_a_clear_answer_counts(slurm: Path) -> None:
    assert job_watch.gone_jobs("slurm", ["100", "102"]) == ["102"]
    command(slurm, "squeue", "echo 'Unable to contact slurm controller' >&2; exit 1")
    assert job_watch.gone_jobs("slurm", ["100"]) == []
    command(slurm, "qstat", "echo '100.host  name'; echo 'qstat: Unknown Job Id 101' >&2; exit 153")
    assert job_watch.gone_jobs("pbs", ["100", "101"]) == ["101"]


WAITING = """
import sys, time
from pathlib import Path
from cryo_pick.cluster import open_cluster
from cryo_pick.config import compose
from cryo_pick.errors import Preempted
from cryo_pick.signals import preempted_by_signals
settings = compose(sys.argv[2:]).cluster
try:
    with preempted_by_signals():
        Path(sys.argv[1], "ready").touch()
        with open_cluster(settings, Path(sys.argv[1], "out")):
            time.sleep(60)
except Preempted as error:
    sys.exit(error.exit_code)
"""


@pytest.mark.parametrize(
    ("mark", "after_s"),
    [("ready", 0.5), ("out/.certificates", 0.0), ("sending", 0.0), ("sending", 0.5), ("sent/*", 1)],
)
def test_a_signal_while_jobs_are_submitted_leaves_no_job(
    slurm: Path, tmp_path: Path, mark: str, after_s: float
) -> None:
    command(slurm, "sbatch", "touch {d}/sending; sleep 1; " + ACCEPTS)
    said = tmp_path / "said.txt"
    with said.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", WAITING, str(tmp_path), *SETTINGS, "cluster.workers=2"],
            stdout=out, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        end = time.monotonic() + PATIENCE_S
        while not list(tmp_path.glob(mark)):
            assert time.monotonic() < end
            time.sleep(0.01)
        time.sleep(after_s)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 75, said.read_text()
    finally:
        process.kill()
        process.wait()
    assert said.read_text() == ""
    sent = [file.name for file in (tmp_path / "sent").iterdir()]
    assert len(sent) == 2 or not (tmp_path / "sending").exists()
    cancelled = tmp_path / "cancelled"
    assert sorted(sent) == sorted(cancelled.read_text().split() if cancelled.exists() else [])
