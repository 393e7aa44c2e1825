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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "sinfo")
PACKAGES = ("slurmctld", "slurmd", "slurm-client", "munge")
PATIENCE_S = 60.0

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
    """SLURM can't be started here; the message says why."""


def install() -> None:
    """Install the packages, which only root of a Debian can do; nothing where they are there.

    Raises
    ------
    NoSlurm
        If they can't be installed.
    """
    if not missing():
        return
    command = ["apt-get", "install", "-y", "--no-install-recommends", *PACKAGES]
    try:
        subprocess.run(["apt-get", "update"], check=True, capture_output=True, timeout=300)
        subprocess.run(command, check=True, capture_output=True, timeout=300)
    except (OSError, subprocess.SubprocessError) as error:
        raise NoSlurm(f"SLURM can't be installed: {error}") from error


def missing() -> list[str]:
    """Programs of SLURM and MUNGE that are not installed."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


@contextmanager
def slurm(folder: Path, cpus: int = 2) -> Iterator[dict[str, str]]:
    """A SLURM whose files lie in a folder; the environment in which its commands work.

    Raises
    ------
    NoSlurm
        If it can't be started.
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
        _wait(lambda: (folder / "munge.socket").exists(), started, folder)
        started.append(_start(["slurmctld", "-D"], folder, environment))
        started.append(_start(["slurmd", "-D"], folder, environment))
        _wait(lambda: _state(environment).startswith("idle"), started, folder)
        yield environment
    finally:
        subprocess.run(
            ["scancel", "--signal=KILL", "--state=RUNNING"],
            env=environment, capture_output=True, check=False, timeout=30,
        )  # fmt: skip
        for process in reversed(started):
            process.terminate()
        for process in started:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def jobs(environment: dict[str, str], state: str = "RUNNING") -> list[str]:
    """Numbers of the jobs in a state."""
    done = subprocess.run(
        ["squeue", "--noheader", "--format=%i", f"--states={state}"],
        env=environment, capture_output=True, text=True, check=True, timeout=30,
    )  # fmt: skip
    return done.stdout.split()


def cancel(environment: dict[str, str], job: str) -> None:
    """End a job from outside."""
    subprocess.run(["scancel", job], env=environment, check=True, timeout=30)


def _start(
    command: list[str], folder: Path, environment: dict[str, str]
) -> subprocess.Popen[bytes]:
    with (folder / f"{command[0]}.out").open("wb") as out:
        return subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=environment)


def _state(environment: dict[str, str]) -> str:
    done = subprocess.run(
        ["sinfo", "--noheader", "--format=%T"],
        env=environment, capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    return done.stdout.strip()


def _wait(condition, started: list[subprocess.Popen[bytes]], folder: Path) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        ended = [p for p in started if p.poll() is not None]
        if ended or time.monotonic() > end:
            logs = sorted([*folder.glob("*.out"), *folder.glob("*.log")])
            said = "\n".join(f"{p.name}: {p.read_text(errors='replace')[-500:]}" for p in logs)
            raise NoSlurm(f"SLURM did not start:\n{said}")
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
