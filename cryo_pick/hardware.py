"""What the processor at hand is good at: which device, which number format."""

from __future__ import annotations

import functools
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


def choose_device(accelerator: str) -> torch.device:
    """The device that `accelerator` (auto, cpu, cuda) stands for.

    Raises
    ------
    ConfigError
        If a GPU is asked for and there is none, or the word is unknown.
    """
    import torch

    if accelerator not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"accelerator: expected auto, cpu or cuda, but got {accelerator!r}")
    if accelerator == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "accelerator=cuda: no CUDA device is visible; use accelerator=cpu or auto"
        )
    use_gpu = accelerator != "cpu" and torch.cuda.is_available()
    return torch.device("cuda" if use_gpu else "cpu")


def choose_precision(precision: str, device: torch.device) -> Precision:
    """The number format that `precision` stands for on `device`.

    Raises
    ------
    ConfigError
        If the word is unknown; if fp16 is asked for on a CPU, which can't train or infer in it, or
        int8, which only detectors in OpenVINO have.
    """
    import torch

    if precision == "int8":
        raise ConfigError(
            "precision=int8 is for detectors in OpenVINO on a CPU; use precision=auto, or "
            "infer.engine=auto and infer.accelerator=cpu"
        )
    if precision not in PRECISIONS:
        raise ConfigError(f"precision: expected {', '.join(PRECISIONS)}, but got {precision!r}")
    on_gpu = device.type == "cuda"
    if precision == "fp16" and not on_gpu:
        raise ConfigError("precision=fp16 needs a GPU; use precision=auto, bf16 or fp32")
    if precision == "auto":
        if not on_gpu:
            return "bf16" if cpu_has_bf16() else "fp32"
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    return precision  # type: ignore[return-value]  # checked against PRECISIONS above
