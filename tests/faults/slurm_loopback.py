"""A real SLURM of one node on this machine alone, in a folder of its own.

    python tests/faults/slurm_loopback.py predict PROJECT --model BUNDLE --out OUT cluster=slurm

starts it, runs `cryo-pick` in it and ends it. It needs Debian's packages slurmctld, slurmd,
slurm-client and munge, and root, as whom slurmd runs jobs. Nothing of it is reachable from outside,
and no service of the system is touched.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "sinfo")
PACKAGES = ("slurmctld", "slurmd", "slurm-client", "munge")
PATIENCE_S = 60.0
ANSWER_S = 30

CONFIG = """\
ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={daemon}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
ReturnToService=2
KillWait=5
SchedulerParameters=sched_interval=1,batch_sched_delay=1
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} State=UNKNOWN
PartitionName=loop Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


class NoSlurm(Exception):
    """SLURM can't be had here; the message says why."""


class SlurmFailed(Exception):
    """SLURM is here and does not work; the message holds its logs."""


def install() -> None:
    """Install the packages, which only root of a Debian can do; nothing where they are there.

    Raises
    ------
    NoSlurm
        If they can't be installed.
    """
    if not missing():
        return
    for words in (["update"], ["install", "-y", "--no-install-recommends", *PACKAGES]):
        _apt_get(words)


def _apt_get(words: list[str]) -> None:
    # Into a file: a service that the packages start would hold a pipe open for ever. A question
    # would wait for an answer just as long.
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with tempfile.TemporaryFile() as said:
        try:
            subprocess.run(
                ["apt-get", *words], check=True, timeout=300, env=environment,
                stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT,
            )  # fmt: skip
        except (OSError, subprocess.SubprocessError) as error:
            said.seek(0)
            text = said.read().decode(errors="replace")[-500:]
            raise NoSlurm(f"SLURM can't be installed: {error}\n{text}") from error


def missing() -> list[str]:
    """Programs of SLURM and MUNGE that are not installed."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


@contextmanager
def slurm(folder: Path, cpus: int = 2) -> Iterator[dict[str, str]]:
    """A SLURM whose files lie in a folder; the environment in which its commands work.

    Raises
    ------
    NoSlurm
        If it is not installed, or this is not root.
    SlurmFailed
        If it does not start.
    """
    if os.geteuid() != 0:
        raise NoSlurm("slurmd runs jobs as root only, and this is another user")
    if names := missing():
        raise NoSlurm(f"not installed: {', '.join(names)} (packages {', '.join(PACKAGES)})")
    (folder / "state").mkdir(parents=True)
    (folder / "spool").mkdir()
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(1024))
    key.chmod(0o400)
    config = folder / "slurm.conf"
    config.write_text(
        CONFIG.format(
            host=socket.gethostname().split(".")[0], folder=folder, cpus=cpus, memory=4000,
            controller=_free_port(), daemon=_free_port(),
        )
    )  # fmt: skip
    environment = {**os.environ, "SLURM_CONF": str(config)}
    started: list[subprocess.Popen[bytes]] = []
    try:
        munge = [f"--{name}={folder}/munge.{name}" for name in ("socket", "pid-file", "log-file")]
        munge += [f"--seed-file={folder}/munge.seed", f"--key-file={key}", "--num-threads=1"]
        started.append(_start(["munged", "--foreground", "--force", *munge], folder, environment))
        _wait(lambda: (folder / "munge.socket").exists(), started, environment)
        started.append(_start(["slurmctld", "-D"], folder, environment))
        started.append(_start(["slurmd", "-D"], folder, environment))
        _wait(lambda: _state(environment).startswith("idle"), started, environment)
        yield environment
    finally:
        _end_jobs(environment)
        for process in reversed(started):
            process.terminate()
        for process in started:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _end_jobs(environment: dict[str, str]) -> None:
    """End what is left of the jobs, as well as can be: whatever fails, the daemons end next."""
    end = time.monotonic() + ANSWER_S
    try:
        while (left := jobs(environment, "all")) and time.monotonic() < end:
            _ask(["scancel", "--signal=KILL", "--full", *left], environment)
            _ask(["scancel", *left], environment)
            time.sleep(0.5)
    except SlurmFailed:
        return


def jobs(environment: dict[str, str], states: str = "RUNNING") -> list[str]:
    """Numbers of the jobs in some states; "all" leaves out those that are over."""
    choice = [] if states == "all" else [f"--states={states}"]
    done = _ask(["squeue", "--noheader", "--format=%i", *choice], environment)
    if done.returncode:
        raise SlurmFailed(f"squeue: {done.stderr}\n{said(environment)}")
    return done.stdout.split()


def cancel(environment: dict[str, str], job: str) -> None:
    """End a job from outside."""
    done = _ask(["scancel", job], environment)
    if done.returncode:
        raise SlurmFailed(f"scancel {job}: {done.stderr}\n{said(environment)}")


def said(environment: dict[str, str], *more: Path) -> str:
    """The ends of the logs of the daemons, and of other files."""
    folder = Path(environment["SLURM_CONF"]).parent
    logs = [*sorted([*folder.glob("*.out"), *folder.glob("*.log")]), *more]
    return "\n".join(f"== {p.name}\n{p.read_text(errors='replace')[-2000:]}" for p in logs)


def _ask(words: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a command of SLURM, which ends in time."""
    try:
        return subprocess.run(
            words, env=environment, capture_output=True, text=True, check=False, timeout=ANSWER_S
        )
    except subprocess.TimeoutExpired as error:
        raise SlurmFailed(f"{error}\n{said(environment)}") from error


def _start(
    command: list[str], folder: Path, environment: dict[str, str]
) -> subprocess.Popen[bytes]:
    with (folder / f"{command[0]}.out").open("wb") as out:
        # Ctrl-C is for the test, which ends the daemons in their order.
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
            env=environment, start_new_session=True,
        )  # fmt: skip


def _state(environment: dict[str, str]) -> str:
    return _ask(["sinfo", "--noheader", "--format=%T"], environment).stdout.strip()


def _wait(
    condition: Callable[[], bool],
    started: list[subprocess.Popen[bytes]],
    environment: dict[str, str],
) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        ended = [str(p.args) for p in started if p.poll() is not None]
        if ended or time.monotonic() > end:
            why = f"ended: {ended}" if ended else f"not idle after {PATIENCE_S:.0f} s"
            raise SlurmFailed(f"SLURM did not start ({why})\n{said(environment)}")
        time.sleep(0.2)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> int:
    """Run `cryo-pick` with a SLURM around it."""
    install()
    with (
        tempfile.TemporaryDirectory() as name,
        slurm(Path(name) / "slurm", os.cpu_count() or 1) as environment,
    ):
        command = [sys.executable, "-c", "from cryo_pick.cli import main; raise SystemExit(main())"]
        return subprocess.run([*command, *sys.argv[1:]], env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
