"""`cryo-pick doctor`: what this machine can run, and how to get what it lacks."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import sys
import tempfile
import time
import warnings
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryo_pick import __version__
from cryo_pick.hardware import cpu_flags, cpu_has_bf16, cpu_has_int8
from cryo_pick.run_folder import installed_version, usable_cpus

if TYPE_CHECKING:
    from cryo_pick.config import Config

CPU_FLAGS = ("avx2", "avx_vnni", "avx512f", "avx512_bf16", "avx512_vnni", "amx_tile", "amx_bf16",
             "amx_int8")  # fmt: skip
"""CPU features that decide which precision is fast."""

DISK_TEST_BYTES = 64 * 10**6
REQUIREMENT = re.compile(r"([\w.-]+)(?:\[[^]]*\])?\s*([^;]*);\s*extra\s*==\s*['\"]([\w-]+)['\"]")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags."""
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(args: argparse.Namespace, config: Config | None) -> int:
    """Print what was found."""
    found = diagnose()
    if args.json:
        print(json.dumps(found, indent=2))
    else:
        _print_table(found)
    return 0


def diagnose() -> dict[str, Any]:
    """Everything that decides what this machine can run, as plain values."""
    return {
        "cryo_pick": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": {
            "cores": usable_cpus(),
            "flags": [flag for flag in CPU_FLAGS if flag in cpu_flags()],
            "bf16": cpu_has_bf16(),
            "int8": cpu_has_int8(),
        },
        "torch": torch_build(),
        "gpu": gpus(),
        "openvino": openvino_devices(),
        "numba": installed_version("numba"),
        "disk": disk_speed(Path(tempfile.gettempdir())),
        "extras": missing_extras(metadata.requires("cryo-pick") or []),
    }


def torch_build() -> dict[str, Any]:
    """Version, threads and what torch was built for."""
    import torch

    return {
        "version": torch.__version__,
        "cuda_build": torch.version.cuda,
        "threads": torch.get_num_threads(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "mkldnn": torch.backends.mkldnn.is_available(),
    }


def gpus() -> list[dict[str, Any]]:
    """Every GPU that torch can use."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a driver that is missing or too old: no GPU
        if not torch.cuda.is_available():
            return []
        bf16 = torch.cuda.is_bf16_supported()
        properties = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    return [{"name": p.name, "gigabytes": p.total_memory / 1e9, "bf16": bf16} for p in properties]


def openvino_devices() -> dict[str, Any] | None:
    """Version and devices of OpenVINO with their precisions; None where it is not installed."""
    version = installed_version("openvino")
    if version is None:
        return None
    # OpenVINO reports each import to its maker unless its telemetry can't be imported.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    from openvino import Core

    core = Core()
    capabilities = {
        name: list(core.get_property(name, "OPTIMIZATION_CAPABILITIES"))
        for name in core.available_devices
    }
    return {"version": version, "devices": capabilities}


def disk_speed(folder: Path, size: int = DISK_TEST_BYTES) -> dict[str, Any]:
    """Write `size` bytes in `folder`, read them back past the cache; MB/s of both."""
    block = os.urandom(10**6)
    with tempfile.TemporaryFile(dir=folder) as file:
        start = time.perf_counter()
        for _ in range(size // len(block)):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
        written = time.perf_counter()
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        file.seek(0)
        while file.read(len(block)):
            pass
        read = time.perf_counter()
    return {
        "folder": str(folder),
        "write_mb_s": size / 1e6 / (written - start),
        "read_mb_s": size / 1e6 / (read - written),
    }


def missing_extras(requirements: list[str]) -> dict[str, list[str]]:
    """Of each extra the requirements that are not installed; no extra that is complete.

    Parameters
    ----------
    requirements
        As the package's metadata lists them: ``optuna>=4.0; extra == 'sweep'``.
    """
    missing: dict[str, list[str]] = {}
    for requirement in requirements:
        match = REQUIREMENT.fullmatch(requirement.strip())
        if match and installed_version(match[1]) is None:
            missing.setdefault(match[3], []).append(match[1] + match[2].strip())
    return missing


def install_line(requirements: list[str]) -> str:
    """The command that installs requirements."""
    return "python -m pip install " + " ".join(f"'{name}'" for name in requirements)


def _print_table(found: dict[str, Any]) -> None:
    """Print what :func:`diagnose` found for people."""
    for name, text in _rows(found):
        print(f"{name:<12} {text}")
    for extra, requirements in found["extras"].items():
        print(f"\nnot installed, extra '{extra}':\n  {install_line(requirements)}")


def _rows(found: dict[str, Any]) -> list[tuple[str, str]]:
    """Label and text of each line of the table."""
    cpu, torch, openvino, disk = (found[key] for key in ("cpu", "torch", "openvino", "disk"))
    gpu = [f"{g['name']}, {g['gigabytes']:.0f} GB, bf16 {_yes(g['bf16'])}" for g in found["gpu"]]
    devices = [f"{n} ({', '.join(c)})" for n, c in openvino["devices"].items()] if openvino else []
    built = f"CUDA {torch['cuda_build']}" if torch["cuda_build"] else "CPU only"
    return [
        ("cryo-pick", f"{found['cryo_pick']} on Python {found['python']}, {found['platform']}"),
        ("CPU", f"{cpu['cores']} cores; {', '.join(cpu['flags']) or 'features unknown'}"),
        ("bf16 on CPU", "yes" if cpu["bf16"] else "no: fp32 is used"),
        ("int8 on CPU", "yes" if cpu["int8"] else "no: detectors run in bf16 or fp32"),
        ("torch", f"{torch['version']} built for {built}; {torch['threads']} threads"),
        ("GPU", "; ".join(gpu) or "none: networks run on the CPU"),
        ("OpenVINO", f"{openvino['version']}: {'; '.join(devices)}" if openvino else "none"),
        ("numba", found["numba"] or "none"),
        ("disk", f"{disk['write_mb_s']:.0f} MB/s written, {disk['read_mb_s']:.0f} MB/s read in "
         f"{disk['folder']}"),
    ]  # fmt: skip


def _yes(value: bool) -> str:
    return "yes" if value else "no"
