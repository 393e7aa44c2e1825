"""How weights move in a training: the optimizer, its learning rate, and the average behind it."""

from __future__ import annotations

import math

import torch
from torch import nn

from cryo_pick.muon import Muon
from cryo_pick.settings import OptimizerSettings


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
