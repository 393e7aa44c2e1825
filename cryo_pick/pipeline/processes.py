"""Processes that share one command: the first writes, the others wait for it.

They are joined before anything is read, so that no two of them write the same file. Under torchrun
or srun they are there already; otherwise Fabric starts the command again for each further device.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from cryo_pick.settings import OptimizerSettings

Result = TypeVar("Result")


def join_processes(settings: OptimizerSettings) -> None:
    """Start or join the processes of a training on several devices; alone, do nothing.

    Raises
    ------
    ConfigError
        If this machine can't do what the settings ask for.
    """
    if settings.devices * settings.nodes == 1:
        return
    from cryo_pick.fabric import make_fabric

    make_fabric(settings)
    if not is_first():
        logging.getLogger().setLevel(logging.WARNING)
        for handler in logging.getLogger().handlers:
            handler.setLevel(logging.WARNING)


def is_first() -> bool:
    """Whether this process is the one that writes."""
    import torch.distributed as group

    return not (group.is_available() and group.is_initialized()) or group.get_rank() == 0


def wait_for_all() -> None:
    """Go on when every process got here."""
    import torch.distributed as group

    if group.is_available() and group.is_initialized():
        group.barrier()


def first_only(work: Callable[[], Result]) -> Result | None:
    """Do something in the first process while the others wait; there, None.

    An error of the first is the first's to tell; the others end with one of their own.

    Raises
    ------
    CryoPickError
        In the other processes, if it failed in the first.
    """
    import torch
    import torch.distributed as group

    from cryo_pick.errors import CryoPickError

    if not (group.is_available() and group.is_initialized()):
        return work()
    failed = torch.zeros(1)
    if group.get_backend() == "nccl":
        failed = failed.cuda()
    result = None
    try:
        if group.get_rank() == 0:
            result = work()
    except BaseException:
        failed += 1
        group.broadcast(failed, 0)
        raise
    group.broadcast(failed, 0)
    if failed.item() and group.get_rank():
        raise CryoPickError("the first process stopped; its message says why")
    return result
