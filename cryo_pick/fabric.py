"""The number format, the device and the processes of a training."""

from __future__ import annotations

import warnings
from datetime import timedelta
from typing import Any

from lightning_fabric import Fabric
from lightning_fabric.strategies import DDPStrategy, Strategy

from cryo_pick.errors import ConfigError
from cryo_pick.hardware import Precision, choose_precision, cpu_has_bf16, on_gpu
from cryo_pick.settings import OptimizerSettings

_FABRIC_PRECISION: dict[str, Any] = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}


def training_precision(settings: OptimizerSettings) -> Precision:
    """The number format that a training uses on this machine.

    Raises
    ------
    ConfigError
        If the hardware would have to emulate it.
    """
    gpu = on_gpu(settings.accelerator)
    precision = choose_precision(settings.precision, gpu)
    if precision == "bf16" and not gpu and not cpu_has_bf16():
        raise ConfigError(
            "optimizer.precision=bf16: this CPU has no bf16 arithmetic and emulates it many times "
            "slower than fp32; use precision=auto or fp32"
        )
    return precision


def make_fabric(settings: OptimizerSettings) -> Fabric:
    """The processes and the device of a training; with several devices, they are joined.

    Raises
    ------
    ConfigError
        If this machine can't do what the settings ask for.
    """
    precision = training_precision(settings)
    several = settings.devices * settings.nodes > 1
    # A process waits for as long as another one predicts or validates alone.
    strategy: Strategy | str = DDPStrategy(timeout=timedelta(days=2)) if several else "auto"
    with warnings.catch_warnings():
        # A training of one process needs no srun, wherever it runs.
        warnings.filterwarnings("ignore", "The `srun` command is available")
        fabric = Fabric(
            accelerator="cuda" if on_gpu(settings.accelerator) else "cpu",
            devices=settings.devices,
            num_nodes=settings.nodes,
            precision=_FABRIC_PRECISION[precision],
            strategy=strategy,
        )
    if several:
        fabric.launch()
    return fabric
