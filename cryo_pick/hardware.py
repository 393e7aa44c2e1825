"""What the processor at hand is good at: which device, which number format."""

from __future__ import annotations

import ctypes
import functools
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cryo_pick.errors import ConfigError

if TYPE_CHECKING:
    import torch

Precision = Literal["fp32", "bf16", "fp16", "int8"]
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
"""That any network can be asked for; a detector can run in int8 too (:mod:`detector.int8`)."""


BF16_FLAGS = frozenset({"amx_bf16", "avx512_bf16", "bf16"})
"""With any of these a CPU multiplies in bf16; the last is ARM's name."""
INT8_FLAGS = frozenset({"amx_int8", "avx512_vnni", "avx_vnni"})
"""With any of these a CPU sums products of 8-bit integers in 32 bits, in one instruction."""


@functools.cache
def cpu_flags() -> frozenset[str]:
    """Instruction sets of the first processor as Linux names them; empty elsewhere."""
    try:
        return parse_flags(Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    except OSError:
        return frozenset()


def parse_flags(cpuinfo: str) -> frozenset[str]:
    """Instruction sets of the first processor in the text of /proc/cpuinfo (x86 or ARM)."""
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return frozenset(value.split())
    return frozenset()


def cpu_has_bf16() -> bool:
    """Whether the CPU multiplies bf16 in hardware.

    Without it, bf16 convolutions are emulated, many times slower than fp32
    (benchmarks/precision.py), so this decides and not what torch accepts.
    """
    return bool(cpu_flags() & BF16_FLAGS)


def cpu_has_int8() -> bool:
    """Whether the CPU sums products of 8-bit integers in one instruction.

    Without it, 8-bit convolutions gain little over fp32, and their sums of 16 bits can overflow.
    """
    return bool(cpu_flags() & INT8_FLAGS)


def compute_threads() -> int:
    """Threads that a network runs on: as set for this process, else one for each core it may use.

    torch decides where it is loaded, so that all of a process's networks agree.
    """
    torch = sys.modules.get("torch")
    if torch is not None:
        return int(torch.get_num_threads())
    asked = os.environ.get(_THREADS, "").split(",")[0]
    return int(asked) if asked.isdigit() and int(asked) else physical_cores()


def set_compute_threads(threads: int) -> None:
    """Set it for this process, in torch too, whether that is loaded or will be."""
    torch = sys.modules.get("torch")
    if torch is None:
        os.environ[_THREADS] = str(threads)
    else:
        torch.set_num_threads(threads)


_PROCESSORS = Path("/sys/devices/system/cpu")
_THREADS = "OMP_NUM_THREADS"
"""The variable that torch reads when it is loaded."""


def physical_cores() -> int:
    """Cores that this process may use; two threads of one core share its arithmetic."""
    if not hasattr(os, "sched_getaffinity"):
        return os.cpu_count() or 1
    usable = os.sched_getaffinity(0)
    try:
        cores = {
            (_PROCESSORS / f"cpu{n}/topology/thread_siblings_list").read_text(encoding="ascii")
            for n in usable
        }
    except OSError:
        return len(usable)
    return len(cores)


def has_gpu() -> bool:
    """Whether torch sees a GPU; it is not loaded to be asked where the system has no driver."""
    if sys.modules.get("torch") is None and not _has_driver():
        return False
    import torch

    return torch.cuda.is_available()


def _has_driver() -> bool:
    """Whether there is what torch needs to find a GPU: NVIDIA's library, or AMD's device file."""
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return Path("/dev/kfd").exists()
    return True


def on_gpu(accelerator: str) -> bool:
    """Whether `accelerator` (auto, cpu, cuda) stands for a GPU on this machine.

    Raises
    ------
    ConfigError
        If a GPU is asked for and there is none, or the word is unknown.
    """
    if accelerator not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"accelerator: expected auto, cpu or cuda, but got {accelerator!r}")
    if accelerator == "cpu":
        return False
    found = has_gpu()
    if accelerator == "cuda" and not found:
        raise ConfigError(
            "accelerator=cuda: no CUDA device is visible; use accelerator=cpu or auto"
        )
    return found


def choose_device(accelerator: str) -> torch.device:
    """The device that `accelerator` stands for, for torch; see :func:`on_gpu`."""
    import torch

    return torch.device("cuda" if on_gpu(accelerator) else "cpu")


def choose_precision(precision: str, gpu: bool) -> Precision:
    """The number format that `precision` stands for on a GPU or on a CPU.

    Raises
    ------
    ConfigError
        If the word is unknown; if fp16 is asked for on a CPU, which can't train or infer in it, or
        int8, which only detectors in OpenVINO have.
    """
    if precision == "int8":
        raise ConfigError(
            "precision=int8 is for detectors in OpenVINO on a CPU; use precision=auto, or "
            "infer.engine=auto and infer.accelerator=cpu"
        )
    if precision not in PRECISIONS:
        raise ConfigError(f"precision: expected {', '.join(PRECISIONS)}, but got {precision!r}")
    if precision == "fp16" and not gpu:
        raise ConfigError("precision=fp16 needs a GPU; use precision=auto, bf16 or fp32")
    if precision != "auto":
        return precision  # type: ignore[return-value]  # checked against PRECISIONS above
    if not gpu:
        return "bf16" if cpu_has_bf16() else "fp32"
    import torch

    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
