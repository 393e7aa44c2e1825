"""One plain training loop, for both stages: schedule, averaged weights, checkpoints, log.

It knows no model. A step's batch is a function of the step alone and the random state is set
anew at each step, so that a training that was killed and started again ends with the weights of
an unbroken one, bit for bit on the CPU (not where `minutes` cuts it: time is never the same).
"""

from __future__ import annotations

import csv
import logging
import math
import os
import pickle
import signal
import threading
import time
import warnings
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

from cryo_pick.errors import ConfigError, InputError, Preempted
from cryo_pick.files import write_text_atomic
from cryo_pick.hardware import choose_device, choose_precision
from cryo_pick.muon import Muon
from cryo_pick.settings import OptimizerSettings

logger = logging.getLogger(__name__)

Batch = Mapping[str, Any]
BatchSource = Callable[[int, int, int], Batch]
"""(step, size, rank) to arrays by name; each device that shares a training has a rank."""
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
        return min(1.0, max(progress, 1e-3) / warmup)
    share = (progress - warmup) / max(1 - warmup, 1e-9)
    return 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))


def make_optimizer(
    module: nn.Module, settings: OptimizerSettings, *, fused: bool
) -> torch.optim.Optimizer:
    """Optimizer of a config over a module's parameters; biases and norms don't decay.

    `fused` asks AdamW for its one-pass step.
    """
    decayed = [p for p in module.parameters() if p.ndim > 1]
    plain = [p for p in module.parameters() if p.ndim <= 1]
    groups = [
        {"params": decayed, "weight_decay": settings.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    if settings.method == "muon":
        return Muon(groups, lr=settings.learning_rate)
    return torch.optim.AdamW(groups, lr=settings.learning_rate, fused=fused)


@contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """Turn SIGTERM and SIGUSR1 into an event that the loop looks at between steps."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    names = ("SIGTERM", "SIGUSR1")  # Windows has no SIGUSR1
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before = {n: signal.signal(n, lambda *_: stop.set()) for n in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            # None: a handler that Python did not set and can't set again.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


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
        Holds checkpoint.pt and metrics.csv.
    identity
        Stands for all that the weights depend on, settings included; a checkpoint of another
        identity is refused.
    on_progress
        Told the share done and the latest numbers.

    Raises
    ------
    ConfigError
        If loss or gradient is not finite, or the checkpoint is of another training.
    InputError
        If the checkpoint is damaged.
    Preempted
        After SIGTERM or SIGUSR1, with a checkpoint written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    device = choose_device(settings.accelerator)
    precision = choose_precision(settings.precision, device)
    with warnings.catch_warnings():
        # A training of one process needs no srun, wherever it runs.
        warnings.filterwarnings("ignore", "The `srun` command is available")
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
        self._scales = bool(fabric.strategy.precision.state_dict())  # fp16 has a gradient scaler
        self.bare = module.to(fabric.device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        # Under fp16 a fused step unscales the gradient itself, and it couldn't be clipped.
        optimizer = make_optimizer(self.bare, settings, fused=not self._scales)
        self.module, self.optimizer = fabric.setup(self.bare, optimizer)
        self.average = AveragedWeights(self.bare, settings.ema_decay)
        self.step, self.elapsed, self.running = 0, 0.0, math.nan
        self.checkpoint, self.log = folder / "checkpoint.pt", folder / "metrics.csv"
        self._resume()
        if fabric.global_rank == 0:
            _forget_rows_after(self.log, self.step)

    def run(
        self,
        loss_function: LossFunction,
        batches: BatchSource,
        on_progress: Callable[[float, dict[str, float]], None] | None,
    ) -> FitResult:
        """The loop: set the rate, step, average, log, save."""
        started, before, waited = time.monotonic(), self.elapsed, 0.0
        saved = started
        self.module.train()
        with stop_signals() as stop, ThreadPoolExecutor(1) as ahead:
            ask = self._asker(batches, ahead)
            pending = ask(self.step)
            while (progress := self._progress()) < 1:
                asked = time.monotonic()
                batch = self._to_device(pending.result())
                waited += time.monotonic() - asked
                pending = ask(self.step + 1)
                losses, finite = self._gradient(loss_function, batch)
                self.elapsed = before + time.monotonic() - started
                finite, stopped = self._agree(finite, stop.is_set())
                if not finite:
                    raise self._diverged(float(losses["loss"]))
                self._descend(progress)
                if self.step % _LOG_EVERY == 0 or self._progress() >= 1:
                    self._log({k: float(v) for k, v in losses.items()}, progress)
                if on_progress:
                    rate = self.step / max(self.elapsed, 1e-9)
                    on_progress(self._progress(), {"loss": self.running, "steps_per_s": rate})
                if stopped:
                    self._save()
                    raise Preempted(
                        f"stopped by a signal at step {self.step}; "
                        "the same command goes on from there"
                    )
                if time.monotonic() - saved > self.settings.checkpoint_every_s:
                    self._save()
                    saved = time.monotonic()
            pending.cancel()
        self._save()
        # Running statistics differ between devices; all are to end with the same weights.
        self.bare.load_state_dict(self.fabric.broadcast(self.average.state))
        share = waited / max(time.monotonic() - started, 1e-9)
        return FitResult(self.step, self.elapsed, self.running, share)

    def _progress(self) -> float:
        s = self.settings
        by_time = self.elapsed / (60 * s.minutes) if s.minutes else 0.0
        return max(self.step / s.steps, by_time)

    def _asker(self, batches: BatchSource, ahead: ThreadPoolExecutor) -> Callable[[int], Any]:
        size = self.settings.batch_size
        rank = self.fabric.global_rank
        return lambda step: ahead.submit(batches, step, size, rank)

    def _to_device(self, batch: Batch) -> dict[str, Tensor]:
        tensors = {}
        for name, value in batch.items():
            tensor = torch.as_tensor(np.ascontiguousarray(value)).to(self.fabric.device)
            if tensor.ndim == 5:
                tensor = tensor.to(memory_format=torch.channels_last_3d)
            tensors[name] = tensor
        return tensors

    def _gradient(
        self, loss_function: LossFunction, batch: dict[str, Tensor]
    ) -> tuple[dict[str, Tensor], bool]:
        """Losses of a batch with their gradient in place, clipped, and whether both are finite."""
        draw = self.settings.seed * 1_000_003 + self.step
        torch.manual_seed(draw * self.fabric.world_size + self.fabric.global_rank)
        losses = loss_function(self.module, batch)
        self.optimizer.zero_grad(set_to_none=True)
        self.fabric.backward(losses["loss"])
        norm = self.fabric.clip_gradients(
            self.module, self.optimizer, max_norm=self.settings.clip_norm, error_if_nonfinite=False
        )
        value = float(losses["loss"].detach())
        # The gradient scaler of fp16 overflows on purpose and leaves such a step out.
        finite = math.isfinite(value) and (
            self._scales or norm is None or math.isfinite(float(norm))
        )
        if finite:
            first = math.isnan(self.running)
            self.running = value if first else 0.98 * self.running + 0.02 * value
        return {k: v.detach() for k, v in losses.items()}, finite

    def _agree(self, finite: bool, stopped: bool) -> tuple[bool, bool]:
        """What any device found, and one clock: devices that share a training end it together."""
        if self.fabric.world_size == 1:
            return finite, stopped
        mine = torch.tensor([not finite, stopped, self.elapsed], dtype=torch.float64)
        any_of = self.fabric.all_reduce(mine.to(self.fabric.device), reduce_op="max")
        broken, stopping, self.elapsed = torch.as_tensor(any_of).tolist()
        return not broken, bool(stopping)

    def _diverged(self, loss: float) -> ConfigError:
        what = "gradient is not finite" if math.isfinite(loss) else f"loss is {loss}"
        return ConfigError(
            f"training diverged: at step {self.step} the {what}. Lower optimizer.learning_rate "
            f"(now {self.settings.learning_rate:g}) and start again with another out="
        )

    def _descend(self, progress: float) -> None:
        """One step of the optimizer, and of the average behind it."""
        rate = self.settings.learning_rate * learning_rate_factor(progress, self.settings.warmup)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.average.update(self.bare, self.step)
        self.step += 1

    def _log(self, losses: dict[str, float], progress: float) -> None:
        if self.fabric.global_rank:
            return
        row = {"step": self.step, "seconds": round(self.elapsed, 2), "progress": round(progress, 4)}
        new = not self.log.exists()
        with self.log.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, [*row, *losses], lineterminator="\n")
            if new:
                writer.writeheader()
            writer.writerow(row | {k: f"{v:.6g}" for k, v in losses.items()})

    def _save(self) -> None:
        """Replace the checkpoint; whenever the process is killed, there is the old or the new."""
        if self.fabric.global_rank:
            return
        state = {
            "identity": self.identity,
            "step": self.step,
            "elapsed": self.elapsed,
            "running": self.running,
            "module": self.bare.state_dict(),
            "average": self.average.state,
            "optimizer": self.optimizer.state_dict(),
            "precision": self.fabric.strategy.precision.state_dict(),
        }
        # One fixed name, so that killed processes leave one such file behind at most.
        part = self.checkpoint.with_suffix(".part")
        with part.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self.checkpoint)

    def _resume(self) -> None:
        if not self.checkpoint.exists():
            return
        try:
            state = torch.load(self.checkpoint, map_location=self.fabric.device, weights_only=True)
            if state["identity"] == self.identity:
                self._restore(state)
                logger.info("resumed at step %d", self.step)
                return
        except (OSError, EOFError, RuntimeError, LookupError, TypeError, ValueError,
                pickle.UnpicklingError) as error:  # fmt: skip
            raise InputError(
                f"{self.checkpoint}: damaged checkpoint ({type(error).__name__}); delete it to "
                "train from the start"
            ) from error
        raise ConfigError(
            f"{self.checkpoint}: this checkpoint is of a training with other settings or data; "
            "choose another out= or delete the folder"
        )

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.bare.load_state_dict(state["module"])
        self.average.state = state["average"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.fabric.strategy.precision.load_state_dict(state["precision"])
        self.step, self.elapsed, self.running = state["step"], state["elapsed"], state["running"]


def _forget_rows_after(log: Path, step: int) -> None:
    """Drop the log of steps that will be done again, and a row that a kill cut short."""
    if not log.is_file():
        return
    if step == 0:
        log.unlink()
        return
    header, *rows = log.read_text(encoding="utf-8").splitlines(keepends=True) or [""]

    def stays(row: str) -> bool:
        first = row.split(",")[0]
        whole = row.endswith("\n") and row.count(",") == header.count(",")
        return whole and first.isdigit() and int(first) <= step

    write_text_atomic(log, "".join([header, *filter(stays, rows)]))
