"""Weights of a trained network in one for other classes: each class keeps what was learnt of it.

Which axes of which tensors count classes is found by building the network once more for one class
more: the axes that grow are those. Where an axis holds other things too, classes come first among
outputs (a channel for "none" stands behind them) and last among inputs (behind the features that
they are joined to), which is how the networks of this project lay them out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

Axes = dict[str, dict[int, int]]
"""Per tensor, the axes that count classes, and entries per class there."""


@dataclass(frozen=True)
class Transplant:
    """What became of the classes.

    Attributes
    ----------
    kept, fresh, dropped
        Names: in both networks; only in the new one, where they begin at random; only in the old.
    """

    kept: tuple[str, ...]
    fresh: tuple[str, ...]
    dropped: tuple[str, ...]


def class_axes(build: Callable[[int], nn.Module], n_classes: int) -> Axes:
    """Axes whose length depends on the number of classes.

    Parameters
    ----------
    build
        Number of classes to network; the random state is left as it was.
    n_classes
    """
    with torch.random.fork_rng(devices=[]):
        here, one_more = (build(n).state_dict() for n in (n_classes, n_classes + 1))
    axes: Axes = {}
    for name, value in here.items():
        grown = {
            axis: b - a
            for axis, (a, b) in enumerate(zip(value.shape, one_more[name].shape, strict=True))
            if b != a
        }
        if grown:
            axes[name] = grown
    return axes


def transplant(
    module: nn.Module,
    source: Mapping[str, Tensor],
    axes: Axes,
    new: Sequence[str],
    old: Sequence[str],
) -> Transplant:
    """Put the weights of a trained network into a fresh one of the same kind, class by class.

    Parameters
    ----------
    module
        For the classes `new`; changed in place.
    source
        State of the trained network, for the classes `old`.
    axes
        Of the network, see :func:`class_axes`.
    new, old
        Names in channel order.

    Raises
    ------
    ValueError
        If the networks differ in more than their classes; the message names a tensor.
    """
    state = module.state_dict()
    if state.keys() != source.keys():
        odd = sorted(state.keys() ^ source.keys())[0]
        raise ValueError(f"only one of the networks has {odd}")
    for name, value in state.items():
        grown = axes.get(name, {})
        expected = [
            n + grown.get(axis, 0) * (len(old) - len(new)) for axis, n in enumerate(value.shape)
        ]
        if list(source[name].shape) != expected:
            raise ValueError(
                f"{name} has shape {list(source[name].shape)} where {expected} was expected"
            )
        with torch.no_grad():
            _copy(value, source[name], grown, new, old)
    shared = [name for name in new if name in old]
    return Transplant(
        tuple(shared),
        tuple(n for n in new if n not in old),
        tuple(n for n in old if n not in new),
    )


def _copy(
    target: Tensor, source: Tensor, grown: Mapping[int, int], new: Sequence[str], old: Sequence[str]
) -> None:
    """Copy what both tensors have, along all axes."""
    if not grown:
        target.copy_(source)
        return
    to, of = [], []
    for axis, length in enumerate(target.shape):
        if axis in grown:
            mine, theirs = _matching(length, source.shape[axis], grown[axis], axis == 0, new, old)
        else:
            mine = theirs = list(range(length))
        shape = [1] * target.ndim
        shape[axis] = -1
        to.append(torch.tensor(mine, dtype=torch.long).reshape(shape))
        of.append(torch.tensor(theirs, dtype=torch.long).reshape(shape))
    target[tuple(to)] = source[tuple(of)].to(target)


def _matching(
    mine: int, theirs: int, each: int, classes_first: bool, new: Sequence[str], old: Sequence[str]
) -> tuple[list[int], list[int]]:
    """Entries of two axes that mean the same."""
    rest = mine - each * len(new)
    start = 0 if classes_first else rest
    behind = (each * len(new), theirs - rest) if classes_first else (0, 0)
    to = [behind[0] + i for i in range(rest)]
    of = [behind[1] + i for i in range(rest)]
    for index, name in enumerate(new):
        if name in old:
            to += [start + each * index + i for i in range(each)]
            of += [start + each * old.index(name) + i for i in range(each)]
    return to, of
