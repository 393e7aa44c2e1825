"""Less memory for more time: blocks whose activations are computed again in the backward pass."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from torch import is_grad_enabled, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.utils.checkpoint import checkpoint

MOST_CONVOLUTIONS = 4
"""Of one block: small enough that few activations are alive at once while it is done again."""


def checkpoint_blocks(module: nn.Module) -> int:
    """Let the blocks of a network forget their activations; its names and weights stay as they are.

    A block is the largest part that holds 2 to :data:`MOST_CONVOLUTIONS` convolutions. Gradients
    are the same: random draws are repeated, and running statistics are updated once.

    Parameters
    ----------
    module
        Changed in place.

    Returns
    -------
    int
        Number of blocks.
    """
    count = 0
    for child in module.children():
        n = sum(isinstance(part, _ConvNd) for part in child.modules())
        if 2 <= n <= MOST_CONVOLUTIONS and not isinstance(child, nn.ModuleList):
            kind = type(child)
            child.__class__ = type(kind.__name__, (_Forgetful, kind), {})
            count += 1
        else:
            count += checkpoint_blocks(child)
    return count


class _Forgetful(nn.Module):
    """Put before a module's own class, so that its forward pass is done under a checkpoint."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        if not (self.training and is_grad_enabled()):
            return super().forward(*args, **kwargs)
        return checkpoint(
            super().forward, *args, use_reentrant=False, context_fn=self._contexts, **kwargs
        )

    def _contexts(self) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), self._statistics_kept()

    @contextmanager
    def _statistics_kept(self) -> Iterator[None]:
        """The second time, batch norms see the same batch and are not to count it again."""
        norms = [m for m in self.modules() if isinstance(m, _BatchNorm)]
        before = [(m.momentum, m.num_batches_tracked) for m in norms]
        for norm in norms:
            norm.momentum = 0.0
            if norm.num_batches_tracked is not None:
                norm.num_batches_tracked = norm.num_batches_tracked.clone()
        try:
            yield
        finally:
            for norm, (momentum, count) in zip(norms, before, strict=True):
                norm.momentum, norm.num_batches_tracked = momentum, count
