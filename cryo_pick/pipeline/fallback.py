"""What to try when the memory does not suffice: smaller tiles, then the CPU.

Every run starts again from the settings that were asked for, so that its picks do not depend on
the runs before it.
"""

from __future__ import annotations

import gc
import logging
import math
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from cryo_pick.errors import ConfigError, OutOfMemory
from cryo_pick.hardware import on_gpu
from cryo_pick.memory import parse_memory
from detector.settings import InferSettings

if TYPE_CHECKING:
    from cryo_pick.pipeline.bundle import Bundle
    from cryo_pick.pipeline.picker import Picker

logger = logging.getLogger(__name__)

T = TypeVar("T")

SHARES = (2, 4, 8)
"""By how much less memory for tiles is tried, in turn."""
_SAID = re.compile(
    r"out of memory|not enough memory|can(no|')t allocate memory|bad_alloc|std::bad_alloc", re.I
)


def pick_within_memory(
    pick: Callable[[Picker], T], picker: Picker, load: Callable[[Picker], Picker]
) -> tuple[T, list[str]]:
    """What `pick` answers, with smaller tiles or on the CPU if it runs out of memory.

    Parameters
    ----------
    pick
        Does the work with a picker.
    picker
        As asked for.
    load
        Loads a picker anew for other settings.

    Returns
    -------
    answer
    warnings
        What was done instead; empty where the first try was enough.

    Raises
    ------
    OutOfMemory
        If nothing helped.
    """
    asked = picker
    steps: list[str] = []
    todo = fallbacks(picker.infer, on_gpu(picker.infer.accelerator))
    while True:
        try:
            return pick(picker), _told(steps)
        except Exception as error:
            if steps and isinstance(error, ConfigError):
                logger.info("%s: not possible (%s)", steps[-1], error)
            elif not is_out_of_memory(error):
                raise
            else:
                logger.warning("out of memory (%s)", _first_line(error))
        free_memory()
        try:
            step, infer, share = next(todo)
        except StopIteration:
            raise OutOfMemory(
                f"out of memory, also with {', '.join(steps)}; give this run more memory"
            ) from None
        logger.warning("trying again with %s", step)
        steps.append(step)
        moved = infer.accelerator != picker.infer.accelerator
        picker = replace(picker, infer=infer, bundle=_smaller_batches(asked.bundle, share))
        if moved:
            picker = load(picker)


def fallbacks(infer: InferSettings, gpu: bool) -> Iterator[tuple[str, InferSettings, int]]:
    """What to try in turn: in words, as settings, and the share of memory as a divisor."""
    for share in SHARES:
        yield f"tiles of 1/{share} of the memory", smaller_tiles(infer, share), share
    if not gpu:
        return
    precision = "auto" if infer.precision == "fp16" else infer.precision
    cpu = replace(infer, accelerator="cpu", precision=precision)
    yield "the CPU", cpu, 1
    for share in SHARES:
        yield f"the CPU and tiles of 1/{share} of the memory", smaller_tiles(cpu, share), share


def smaller_tiles(infer: InferSettings, share: int) -> InferSettings:
    """The same settings with tiles that take about 1/`share` of the memory.

    A tile that is given is halved along its longest axis as often as it takes, in steps of 8
    voxels and down to 16; its overlap is chosen anew. Else the memory for tiles is less.
    """
    if infer.tile is None:
        return replace(infer, memory=f"{max(1, parse_memory(infer.memory) // share)}B")
    tile = list(infer.tile)
    goal = math.prod(tile) / share
    while math.prod(tile) > goal and max(tile) > 16:
        axis = max(range(3), key=lambda i: tile[i])
        tile[axis] = max(16, tile[axis] // 2 // 8 * 8)
    return replace(infer, tile=tile, overlap=None)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory was short, whichever library raised it."""
    if isinstance(error, MemoryError | OutOfMemory) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and _SAID.search(str(error)) is not None


def free_memory() -> None:
    """Give back what nothing refers to any more, on the GPU too."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def _smaller_batches(bundle: Bundle, share: int) -> Bundle:
    """The bundle with smaller batches of patches, on which no pick depends."""
    size = max(1, int(bundle.refiner.get("batch_size", 1)) // share)
    return replace(bundle, refiner=bundle.refiner | {"batch_size": size})


def _told(steps: list[str]) -> list[str]:
    if not steps:
        return []
    return [f"ran out of memory; done with {steps[-1]}, so scores may differ a little"]


def _first_line(error: BaseException) -> str:
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__
