"""Test-time views: a tile mirrored or turned, and what the network says brought back."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class View(NamedTuple):
    """Mirrored first, then turned about z.

    Attributes
    ----------
    flips
        Axes of a (d, h, w) tile.
    turns
        Quarter turns from y to x.
    """

    flips: tuple[int, ...] = ()
    turns: int = 0

    def of(self, tile: NDArray[np.float32]) -> NDArray[np.float32]:
        """The tile (d, h, w) as this view shows it."""
        return np.rot90(np.flip(tile, self.flips), self.turns, (1, 2))

    def back(self, answer: NDArray[np.float32]) -> NDArray[np.float32]:
        """An answer (k, d, h, w) to this view, as the tile lies."""
        turned = np.rot90(answer, -self.turns, (2, 3))
        return np.flip(turned, tuple(axis + 1 for axis in self.flips))


FLIPS = tuple(View(axes) for axes in ((), (2,), (1,), (1, 2), (0,), (0, 2), (0, 1), (0, 1, 2)))
"""All mirrors; in the plane first, where the missing wedge stays put."""

SEVEN = (*(View(turns=n) for n in range(4)), View((0,)), View((1,)), View((2,)))
"""Four quarter turns and three mirrors. Source: CZII challenge, 2nd place (Luo, Wang)."""

VIEWS: dict[int, tuple[View, ...]] = {n: FLIPS[:n] for n in (1, 2, 4, 8)} | {7: SEVEN}
"""The views that a number of them stands for."""


def views_of(count: int | None) -> tuple[View, ...]:
    """The views of `infer.views`; None: the tile as it is.

    Raises
    ------
    ValueError
        If there is no such set.
    """
    if count is not None and count not in VIEWS:
        known = ", ".join(map(str, sorted(VIEWS)))
        raise ValueError(f"expected one of {known}, but got {count}")
    return VIEWS[count or 1]


def turns_sideways(views: tuple[View, ...]) -> bool:
    """Whether a view swaps y and x, so that tiles should be square there."""
    return any(view.turns % 2 for view in views)
