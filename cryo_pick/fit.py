"""One plain training loop, for both stages: schedule, averaged weights, checkpoints, log.

It knows no model. A step's batch is a function of the step alone and the random state is set
anew at each step, so that a training that was killed and started again ends with the weights of
an unbroken one, bit for bit on the CPU (not where `minutes` cuts it: time is never the same).
"""

from __future__ import annotations

import csv
import logging
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from cryo_pick.errors import CryoPickError, Preempted
from cryo_pick.hardware import choose_device, choose_precision
from cryo_pick.settings import OptimizerSettings

logger = logging.getLogger(__name__)

Batch = Mapping[str, Any]
BatchSource = Callable[[int, int, int], Batch]
"""(step, size, rank) to arrays by name."""
LossFunction = Callable[[nn.Module, dict[str, Tensor]], dict[str, Tensor]]
"""(module, batch) to losses by name; "loss" is the one that is minimised."""

_FABRIC_PRECISION: dict[str, Any] = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}
_LOG_EVERY = 20


@dataclass(frozen=True)
class FitResult:
    """How a training went."""

    steps: int
    seconds: float
    loss: float
    waiting_share: float


class AveragedWeights:
    """Exponential moving average of a module's parameters and buffers.

    The decay rises with the steps, so that the first, random weights are forgotten soon.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.state = {k: v.detach().clone() for k, v in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Move the average towards the module's weights after `step` steps."""
        decay = min(self.decay, (1 + step) / (10 + step))
        current = module.state_dict()
        floats = [k for k, v in self.state.items() if v.is_floating_point()]
        torch._foreach_lerp_(
            [self.state[k] for k in floats], [current[k] for k in floats], 1 - decay
        )
        for k in self.state.keys() - set(floats):
            self.state[k].copy_(current[k])


def learning_rate_factor(progress: float, warmup: float) -> float:
    """Linear warm-up, then a cosine from 1 to 0, at a progress in [0, 1]."""
    if progress < warmup:
        return max(progress, 1e-3) / warmup
    share = (progress - warmup) / max(1 - warmup, 1e-9)
    return 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))


@contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """Turn SIGTERM and SIGUSR1 into an event that the loop looks at between steps."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    numbers = (signal.SIGTERM, signal.SIGUSR1)
    before = {n: signal.signal(n, lambda *_: stop.set()) for n in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def fit(
    module: nn.Module,
    loss_function: LossFunction,
    batches: BatchSource,
    settings: OptimizerSettings,
    folder: Path,
    *,
    identity: str = "",
    on_progress: Callable[[float, dict[str, float]], None] | None = None,
) -> FitResult:
    """Train a module; it ends holding the averaged weights. Goes on where a checkpoint was left.

    Parameters
    ----------
    module
        Moved to the device; weights as given where there is no checkpoint.
    loss_function, batches
        See the types above.
    settings
    folder
        Holds checkpoint.pt while training and metrics.csv.
    identity
        What the weights depend on beside the settings; a checkpoint of another identity is
        refused.
    on_progress
        Told the share done and the latest numbers.

    Raises
    ------
    CryoPickError
        If the loss is not finite, or the checkpoint is of another training.
    Preempted
        After SIGTERM or SIGUSR1, with a checkpoint written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    device = choose_device(settings.accelerator)
    precision = choose_precision(settings.precision, device)
    fabric = Fabric(
        accelerator="cuda" if device.type == "cuda" else "cpu",
        devices=settings.devices,
        precision=_FABRIC_PRECISION[precision],
        strategy="ddp" if settings.devices > 1 else "auto",
    )
    if settings.devices > 1:
        fabric.launch()
    return _Training(fabric, module, settings, folder, identity).run(
        loss_function, batches, on_progress
    )


class _Training:
    """The state of one training and the loop over it."""

    def __init__(
        self,
        fabric: Fabric,
        module: nn.Module,
        settings: OptimizerSettings,
        folder: Path,
        identity: str,
    ) -> None:
        self.fabric, self.settings, self.folder, self.identity = fabric, settings, folder, identity
        self.bare = module.to(fabric.device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        decayed = [p for p in module.parameters() if p.ndim > 1]
        plain = [p for p in module.parameters() if p.ndim <= 1]
        optimizer = torch.optim.AdamW(
            [
                {"params": decayed, "weight_decay": settings.weight_decay},
                {"params": plain, "weight_decay": 0.0},
            ],
            lr=settings.learning_rate,
            fused=True,
        )
        self.module, self.optimizer = fabric.setup(self.bare, optimizer)
        self.average = AveragedWeights(self.bare, settings.ema_decay)
        self.step, self.elapsed = 0, 0.0
        self.checkpoint = folder / "checkpoint.pt"
        self._resume()

    def run(
        self,
        loss_function: LossFunction,
        batches: BatchSource,
        on_progress: Callable[[float, dict[str, float]], None] | None,
    ) -> FitResult:
        """The loop: set the rate, step, average, log, save."""
        s = self.settings
        started, before, waited = time.monotonic(), self.elapsed, 0.0
        saved, running = started, math.nan
        self.module.train()
        with stop_signals() as stop, ThreadPoolExecutor(1) as ahead:
            ask = self._asker(batches, ahead)
            pending = ask(self.step)
            while (progress := self._progress()) < 1:
                asked = time.monotonic()
                batch = self._to_device(pending.result())
                waited += time.monotonic() - asked
                pending = ask(self.step + 1)
                losses = self._one_step(loss_function, batch, progress)
                value = float(losses["loss"])
                if not math.isfinite(value):
                    raise CryoPickError(
                        f"training diverged: the loss of step {self.step} is {value}. Lower "
                        f"optimizer.learning_rate (now {s.learning_rate}) and start again with another out="
                    )
                running = value if math.isnan(running) else 0.98 * running + 0.02 * value
                self.step += 1
                self.elapsed = before + time.monotonic() - started
                if self.step % _LOG_EVERY == 0:
                    self._log({k: float(v) for k, v in losses.items()}, progress)
                if on_progress:
                    rate = (self.step) / max(self.elapsed, 1e-9)
                    on_progress(self._progress(), {"loss": running, "steps_per_s": rate})
                if stop.is_set():
                    self._save()
                    raise Preempted(
                        f"stopped by a signal at step {self.step}; the same command goes on from there"
                    )
                if time.monotonic() - saved > s.checkpoint_every_s:
                    self._save()
                    saved = time.monotonic()
            pending.cancel()
        self._save()
        self.bare.load_state_dict(self.average.state)
        share = waited / max(time.monotonic() - started, 1e-9)
        return FitResult(self.step, self.elapsed, running, share)

    def _progress(self) -> float:
        s = self.settings
        by_time = self.elapsed / (60 * s.minutes) if s.minutes else 0.0
        return max(self.step / s.steps, by_time)

    def _asker(self, batches: BatchSource, ahead: ThreadPoolExecutor) -> Callable[[int], Any]:
        size = self.settings.batch_size
        rank, world = self.fabric.global_rank, self.fabric.world_size
        return lambda step: ahead.submit(batches, step, size, rank + world * 0)

    def _to_device(self, batch: Batch) -> dict[str, Tensor]:
        tensors = {}
        for name, value in batch.items():
            tensor = torch.as_tensor(np.ascontiguousarray(value)).to(self.fabric.device)
            if tensor.ndim == 5:
                tensor = tensor.to(memory_format=torch.channels_last_3d)
            tensors[name] = tensor
        return tensors

    def _one_step(
        self, loss_function: LossFunction, batch: dict[str, Tensor], progress: float
    ) -> dict[str, Tensor]:
        torch.manual_seed(self.settings.seed * 1_000_003 + self.step)
        rate = self.settings.learning_rate * learning_rate_factor(progress, self.settings.warmup)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        losses = loss_function(self.module, batch)
        self.optimizer.zero_grad(set_to_none=True)
        self.fabric.backward(losses["loss"])
        self.fabric.clip_gradients(
            self.module, self.optimizer, max_norm=self.settings.clip_norm, error_if_nonfinite=False
        )
        self.optimizer.step()
        self.average.update(self.bare, self.step)
        return {k: v.detach() for k, v in losses.items()}

    def _log(self, losses: dict[str, float], progress: float) -> None:
        if self.fabric.global_rank:
            return
        path = self.folder / "metrics.csv"
        row = {"step": self.step, "seconds": round(self.elapsed, 2), "progress": round(progress, 4)}
        new = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, [*row, *losses])
            if new:
                writer.writeheader()
            writer.writerow(row | {k: f"{v:.6g}" for k, v in losses.items()})

    def _save(self) -> None:
        if self.fabric.global_rank:
            return
        state = {
            "identity": self.identity,
            "step": self.step,
            "elapsed": self.elapsed,
            "module": self.bare.state_dict(),
            "average": self.average.state,
            "optimizer": self.optimizer.state_dict(),
        }
        part = self.checkpoint.with_suffix(".part")
        torch.save(state, part)
        part.replace(self.checkpoint)

    def _resume(self) -> None:
        if not self.checkpoint.exists():
            return
        state = torch.load(self.checkpoint, map_location=self.fabric.device, weights_only=True)
        if state["identity"] != self.identity:
            raise CryoPickError(
                f"{self.checkpoint}: this checkpoint is of a training with other settings or data; "
                f"choose another out= or delete the folder"
            )
        self.bare.load_state_dict(state["module"])
        self.average.state = state["average"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.elapsed = state["step"], state["elapsed"]
        logger.info("resumed at step %d", self.step)
