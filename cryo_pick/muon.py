"""Muon: momentum whose hidden matrices are orthogonalised before each step; AdamW for all else.

K. Jordan and others, https://kellerjordan.github.io/posts/muon/; the size of a step is that of
J. Liu and others (https://arxiv.org/abs/2502.16982), so that one learning rate serves matrices and
the rest. The implementations of torch and timm work in bf16, which many CPUs only emulate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

_COEFFICIENTS = (
    (4.0848, -6.8946, 2.9270),
    (3.9505, -6.3029, 2.6377),
    (3.7418, -5.5913, 2.3037),
    (2.8769, -3.1427, 1.2046),
    (2.8366, -3.0525, 1.2012),
)
"""Of five steps that bring any singular value from 0.005 to 1 near 1 (https://leloykun.github.io/ponder/muon-opt-coeffs/)."""


def orthogonalize(matrix: Tensor) -> Tensor:
    """The matrix with its singular values brought to about 1, (m, n), by Newton-Schulz steps.

    All steps are polynomials in the Gram matrix of the shorter side, so they are done there, and
    the long side is multiplied twice instead of ten times.
    """
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.mT
    x = wide / wide.norm().clamp_min(1e-12)
    gram = x @ x.mT
    eye = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    product = eye
    for a, b, c in _COEFFICIENTS:
        step = torch.addmm(b * gram, gram, gram, beta=1.0, alpha=c) + a * eye
        product = step @ product
        gram = step @ gram @ step
    result: Tensor = product @ x
    return result if wide is matrix else result.mT


def is_hidden(p: Tensor) -> bool:
    """Whether a parameter is a matrix inside a network, not a bias, a norm or a small output.

    Orthogonal steps move all outputs of a layer as far; an output layer of a few classes, some of
    them rare, should not be moved so, and is small enough to be told by its size.
    """
    return p.ndim > 1 and p.shape[0] >= 16


class Muon(torch.optim.Optimizer):
    """Muon for hidden weights, AdamW for biases, norms and small output layers.

    A convolution's weight is one matrix, of output channels by all else.

    Parameters
    ----------
    params
        Parameters or groups of them.
    lr
        Of both kinds.
    weight_decay
        Decoupled.
    momentum
        Nesterov's, of matrices.
    betas, eps
        Of AdamW.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        weight_decay: float = 0.0,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.95),
        eps: float = 1e-8,
    ) -> None:
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "betas": betas,
            "eps": eps,
        }
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step along the gradients that are in place."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                p.mul_(1 - group["lr"] * group["weight_decay"])
                kind = self._matrix if is_hidden(p) else self._vector
                change = kind(p.grad, self.state[p], group)
                p.add_(change, alpha=-group["lr"])
        return loss

    def _matrix(self, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> Tensor:
        if not state:
            state["momentum"] = torch.zeros_like(grad)
        state["momentum"].lerp_(grad, 1 - group["momentum"])
        ahead = grad.lerp(state["momentum"], group["momentum"])
        flat = ahead.flatten(1)
        # Entries of an orthogonal matrix have a root mean square of 1 / sqrt(longer side);
        # AdamW's steps have one of 0.2 to 0.4.
        size = 0.2 * max(flat.shape) ** 0.5
        return orthogonalize(flat).mul(size).view_as(grad)

    def _vector(self, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> Tensor:
        if not state:
            state["step"] = 0
            state["mean"], state["square"] = torch.zeros_like(grad), torch.zeros_like(grad)
        state["step"] += 1
        first, second = group["betas"]
        state["mean"].lerp_(grad, 1 - first)
        state["square"].mul_(second).addcmul_(grad, grad, value=1 - second)
        mean: Tensor = state["mean"] / (1 - first ** state["step"])
        square: Tensor = state["square"] / (1 - second ** state["step"])
        change: Tensor = mean / (square.sqrt() + group["eps"])
        return change
