"""Python environments with other programs, made once and kept in the user's cache folder.

An environment sees the packages of the one that makes it, behind its own: only what differs is
installed. Nothing here imports cryo-pick.
"""

import hashlib
import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

STABLE = ("copick==1.31.0",)
"""Needs zarr 2."""
PRERELEASE = ("copick==2.0.0a6",)
"""Needs zarr 3; brings ome-zarr and dynamotable."""
READERS = Path(__file__).with_name("readers.py")


class NoEnvironment(Exception):
    """The packages could not be installed."""


def python_with(requirements):
    """Python of an environment with `requirements`.

    Raises
    ------
    NoEnvironment
        If pip could not install them.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cryo-pick-readers"
    key = hashlib.blake2b(json.dumps([requirements, sys.version, sys.prefix]).encode())
    folder = cache / key.hexdigest()[:16]
    python = folder / "bin" / "python"
    if (folder / "ready").exists():
        return python
    venv.create(folder, clear=True)
    outer = sysconfig.get_path("purelib")
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "outer.pth").write_text(outer + "\n")
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-compile"]
    command = [*pip, "--disable-pip-version-check", *requirements]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=clean())
    if done.returncode:
        raise NoEnvironment(f"pip install {' '.join(requirements)}: {done.stderr.strip()[-300:]}")
    (folder / "ready").touch()
    return python


def clean():
    """The environment without anything that leads Python to this project."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "COVERAGE"))}


def read_with(python, reader, *arguments):
    """What `reader` of readers.py returns in another Python."""
    command = [str(python), "-W", "ignore", str(READERS), reader, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=clean())
    if done.returncode:
        raise AssertionError(f"{reader} failed: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])
