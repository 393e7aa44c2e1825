"""One plain training loop, for both stages: schedule, averaged weights, checkpoints, log.

It knows no model. A step's batch is a function of the step alone and the random state is set
anew at each step, so that a training that was killed and started again ends with the weights of
an unbroken one, bit for bit on the CPU (not where `minutes` cuts it: time is never the same).
"""

from __future__ import annotations

import copy
import logging
import math
import os
import pickle
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from cryo_pick.activation_checkpoints import checkpoint_blocks
from cryo_pick.conv3d_gradient import RightGradients
from cryo_pick.errors import ConfigError, InputError, Preempted
from cryo_pick.fabric import make_fabric
from cryo_pick.optimizer import AveragedWeights, learning_rate_factor, make_optimizer
from cryo_pick.settings import OptimizerSettings
from cryo_pick.signals import stop_signals
from cryo_pick.training_log import TrainingLogger, append_row, forget_rows_after, open_logger

logger = logging.getLogger(__name__)

Batch = Mapping[str, Any]
BatchSource = Callable[[int, int, int], Batch]
"""(step, size, rank) to arrays by name; each device that shares a training has a rank."""
LossFunction = Callable[[nn.Module, dict[str, Tensor]], dict[str, Tensor]]
"""(module, batch) to losses by name; "loss" is the one that is minimised."""
Describe = Callable[[int, int, int], list[str]]
"""(step, size, rank) to where each sample of that batch comes from, in words."""

_LOG_EVERY = 20
_SAMPLES_NAMED = 8


@dataclass(frozen=True)
class FitResult:
    """How a training went."""

    steps: int
    seconds: float
    loss: float
    waiting_share: float


@dataclass(frozen=True)
class Watch:
    """Looks at a training now and then, without changing it.

    Attributes
    ----------
    look
        (module with the averaged weights, step) to numbers by name. Called in one process only.
    every
        Share of the training between two looks.
    budget
        Largest share of the time that goes into looking; a look that would exceed it is left out.
        1: none is.
    """

    look: Callable[[nn.Module, int], Mapping[str, float]]
    every: float
    budget: float = 1.0


def fit(
    module: nn.Module,
    loss_function: LossFunction,
    batches: BatchSource,
    settings: OptimizerSettings,
    folder: Path,
    *,
    identity: str = "",
    on_progress: Callable[[float, dict[str, float]], None] | None = None,
    describe: Describe | None = None,
    watch: Watch | None = None,
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
    describe
        Names the samples of a step whose loss is not finite.
    watch
        Its numbers go to validation.csv and to the logger.

    Raises
    ------
    ConfigError
        If loss or gradient is not finite, the checkpoint is of another training, or this machine
        can't do what the settings ask for.
    InputError
        If the checkpoint is damaged.
    Preempted
        After SIGTERM or SIGUSR1, with a checkpoint written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return _Training(make_fabric(settings), module, settings, folder, identity).run(
        loss_function, batches, on_progress, describe, watch
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
        if settings.checkpointing:
            checkpoint_blocks(self.bare)
        # Under fp16 a fused step unscales the gradient itself, and it couldn't be clipped.
        optimizer = make_optimizer(self.bare, settings, fused=not self._scales)
        seen: Any = torch.compile(self.bare) if settings.compile else self.bare
        self.module, self.optimizer = fabric.setup(seen, optimizer)
        self.average = AveragedWeights(self.bare, settings.ema_decay)
        self.step, self.elapsed, self.running = 0, 0.0, math.nan
        self.looked = self.look_cost = 0.0
        self.checkpoint, self.log = folder / "checkpoint.pt", folder / "metrics.csv"
        self.validation = folder / "validation.csv"
        self._resume()
        self.logger: TrainingLogger | None = None
        if fabric.global_rank == 0:
            for log in (self.log, self.validation):
                forget_rows_after(log, self.step)
            self.logger = open_logger(settings.logger, folder, self.step)

    def run(
        self,
        loss_function: LossFunction,
        batches: BatchSource,
        on_progress: Callable[[float, dict[str, float]], None] | None,
        describe: Describe | None,
        watch: Watch | None,
    ) -> FitResult:
        """The loop: set the rate, step, average, log, look, save."""
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
                losses, norm = self._gradient(loss_function, batch)
                self.elapsed = before + time.monotonic() - started
                finite, stopped = self._agree(losses, norm, stop.is_set())
                if not finite:
                    raise self._diverged(losses["loss"], batch, describe)
                self._descend(progress, losses["loss"])
                if self.step % _LOG_EVERY == 0 or self._progress() >= 1:
                    self._log(losses, progress)
                if watch and self._is_due(progress, watch):
                    self._look(watch)
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
        if self.logger:
            self.logger.close()
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
    ) -> tuple[dict[str, float], float]:
        """Losses of a batch, and the norm of its gradient, which is left in place, clipped."""
        draw = self.settings.seed * 1_000_003 + self.step
        torch.manual_seed(draw * self.fabric.world_size + self.fabric.global_rank)
        self.optimizer.zero_grad(set_to_none=True)
        parts = split_batch(batch, self.settings.accumulate)
        total: dict[str, float] = {}
        for number, part in enumerate(parts, 1):
            # Devices exchange gradients once a step, with the last part.
            later = self.fabric.no_backward_sync(self.module, enabled=number < len(parts))
            with later, RightGradients():
                losses = loss_function(self.module, part)
                self.fabric.backward(losses["loss"] / len(parts))
            for name, value in losses.items():
                total[name] = total.get(name, 0.0) + float(value.detach()) / len(parts)
        norm = self.fabric.clip_gradients(
            self.module, self.optimizer, max_norm=self.settings.clip_norm, error_if_nonfinite=False
        )
        # The gradient scaler of fp16 overflows on purpose and leaves such a step out.
        return total, 0.0 if self._scales or norm is None else float(norm)

    def _agree(self, losses: dict[str, float], norm: float, stopped: bool) -> tuple[bool, bool]:
        """Whether all is finite, and whether to stop: devices that share a training agree.

        They also take one clock, so that they end together, and the mean of their losses.
        """
        finite = math.isfinite(losses["loss"]) and math.isfinite(norm)
        if self.fabric.world_size == 1:
            return finite, stopped
        mine = torch.tensor([not finite, stopped, self.elapsed], dtype=torch.float64)
        any_of = self.fabric.all_reduce(mine.to(self.fabric.device), reduce_op="max")
        broken, stopping, self.elapsed = torch.as_tensor(any_of).tolist()
        own = torch.tensor(list(losses.values()), dtype=torch.float64, device=self.fabric.device)
        mean = torch.as_tensor(self.fabric.all_reduce(own, reduce_op="mean")).tolist()
        losses.update(zip(losses, mean, strict=True))
        return not broken, bool(stopping)

    def _diverged(
        self, loss: float, batch: dict[str, Tensor], describe: Describe | None
    ) -> ConfigError:
        what = "gradient is not finite" if math.isfinite(loss) else f"loss is {loss}"
        where = ""
        if describe:
            samples = describe(self.step, self.settings.batch_size, self.fabric.global_rank)
            bad = [s for i, s in enumerate(samples) if not _is_finite(batch, i)]
            which = "not finite" if bad else "seen"
            where = f" Samples {which}: {'; '.join((bad or samples)[:_SAMPLES_NAMED])}."
        return ConfigError(
            f"training diverged: at step {self.step} the {what}.{where} Lower "
            f"optimizer.learning_rate (now {self.settings.learning_rate:g}) and start again with "
            "another out="
        )

    def _descend(self, progress: float, loss: float) -> None:
        """One step of the optimizer, and of the averages behind it."""
        first = math.isnan(self.running)
        self.running = loss if first else 0.98 * self.running + 0.02 * loss
        rate = self.settings.learning_rate * learning_rate_factor(progress, self.settings.warmup)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.average.update(self.bare, self.step)
        self.step += 1

    def _is_due(self, before: float, watch: Watch) -> bool:
        """Whether the last step passed a multiple of the share between two looks."""
        passed = [math.floor(p / watch.every + 1e-9) for p in (before, min(self._progress(), 1.0))]
        within = self.looked + self.look_cost <= watch.budget * self.elapsed
        affordable = within or not self.looked or watch.budget >= 1
        return passed[1] > passed[0] and affordable

    def _look(self, watch: Watch) -> None:
        """Have the averaged weights judged, in one process; the others wait at the next step."""
        if self.logger is None:
            return
        started = time.monotonic()
        module = copy.deepcopy(self.bare)
        module.load_state_dict(self.average.state)
        numbers = dict(watch.look(module.eval(), self.step))
        self.look_cost = time.monotonic() - started
        self.looked += self.look_cost
        append_row(self.validation, {"step": self.step}, numbers)
        self.logger.numbers(self.step, {f"validation/{k}": v for k, v in numbers.items()})
        for picture in sorted((self.folder / "previews").glob(f"*{self.step:07d}.png")):
            self.logger.picture(self.step, picture.stem.rsplit("_", 1)[0], picture)

    def _log(self, losses: dict[str, float], progress: float) -> None:
        if self.logger is None:
            return
        row = {"step": self.step, "seconds": round(self.elapsed, 2), "progress": round(progress, 4)}
        append_row(self.log, row, losses)
        rate = float(self.optimizer.param_groups[0]["lr"])
        self.logger.numbers(self.step, {**losses, "learning_rate": rate})

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


def split_batch(batch: Mapping[str, Tensor], parts: int) -> list[dict[str, Tensor]]:
    """A batch in equal parts along its first axis; what has another length there goes into each.

    Raises
    ------
    ConfigError
        If the samples can't be dealt out evenly.
    """
    if parts == 1:
        return [dict(batch)]
    size = len(next(iter(batch.values())))
    if size % parts:
        raise ConfigError(
            f"optimizer.accumulate: expected a divisor of batch_size ({size}), but got {parts}"
        )
    step = size // parts
    return [
        {k: v[i : i + step] if len(v) == size else v for k, v in batch.items()}
        for i in range(0, size, step)
    ]


def _is_finite(batch: Mapping[str, Tensor], index: int) -> bool:
    """Whether every value of one sample is finite."""
    return all(bool(torch.isfinite(v[index]).all()) for v in batch.values() if len(v) > index)
