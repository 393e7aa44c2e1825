"""What a report is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from cryo_pick.objects import ParticleTypes
from cryo_pick.picks import Picks
from metrics import cut


@dataclass(frozen=True, eq=False)
class RunResult:
    """One run: what is there, and what was scored.

    Attributes
    ----------
    run
    truth
        Empty where nothing is known.
    one_stage, two_stage
        Every scored (place, class) pair, *not* cut; `two_stage` is None without a second stage.
    """

    run: str
    truth: Picks
    one_stage: Picks
    two_stage: Picks | None = None


@dataclass(frozen=True, eq=False)
class ReportData:
    """Everything a report says, before it is counted.

    Attributes
    ----------
    title
    types
        Classes in the order of all class indices.
    runs
    thresholds_one, thresholds_two : (k,) float arrays
        Where each class is cut; inf keeps nothing. `thresholds_two` is None without second stage.
    beta
        A miss weighs beta squared times a false pick.
    folds
        Fold of each run, where scores are out of fold: the headline is then nested.
    provenance
        What was run, by name.
    timings
        Seconds of each step, in order.
    memory
        Bytes of main memory at the peak of each step, where that is known.
    notes
        Remarks for the reader, shown at the top.
    smoothing
        Of the threshold search, as the thresholds were fitted.
    """

    title: str
    types: ParticleTypes
    runs: tuple[RunResult, ...]
    thresholds_one: NDArray[np.float64]
    thresholds_two: NDArray[np.float64] | None = None
    beta: float = 4.0
    folds: Mapping[str, int] | None = None
    provenance: Mapping[str, str] = field(default_factory=dict)
    timings: Mapping[str, float] = field(default_factory=dict)
    memory: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    smoothing: float = 0.0

    def __post_init__(self) -> None:
        """Check that thresholds, classes and runs go together.

        Raises
        ------
        ValueError
            If there is no class, a threshold is missing, or a class index has no place in `types`;
            if only some runs have a second stage, run names repeat, or a run has no fold.
        """
        k = len(self.types)
        if k == 0:
            raise ValueError("Expected `types` to have a class, but got none.")
        object.__setattr__(self, "thresholds_one", _per_class(self.thresholds_one, k, "one"))
        if self.thresholds_two is not None:
            object.__setattr__(self, "thresholds_two", _per_class(self.thresholds_two, k, "two"))
        names = [r.run for r in self.runs]
        if len(set(names)) != len(names):
            raise ValueError("Expected `runs` to have distinct names, but one occurs twice.")
        for result in self.runs:
            if (result.two_stage is None) != (self.thresholds_two is None):
                raise ValueError(
                    f"Expected a second stage in every run or in none, but run {result.run!r} "
                    f"differs from `thresholds_two`."
                )
            for picks in (result.truth, result.one_stage, result.two_stage or Picks.empty()):
                if len(picks) and picks.classes.max() >= k:
                    raise ValueError(
                        f"Expected class indices of run {result.run!r} below {k}, "
                        f"but got {picks.classes.max()}."
                    )
        lost = sorted(set(names) - set(self.folds)) if self.folds is not None else []
        if lost:
            raise ValueError(f"Expected a fold for every run, but got none for {', '.join(lost)}.")

    @property
    def truth(self) -> dict[str, Picks]:
        """True particles by run."""
        return {r.run: r.truth for r in self.runs}

    @property
    def has_truth(self) -> bool:
        """Whether any true particle is known."""
        return any(len(r.truth) for r in self.runs)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages there are, the first one first."""
        one = Stage(
            "one", "One stage", {r.run: r.one_stage for r in self.runs}, self.thresholds_one
        )
        if self.thresholds_two is None:
            return (one,)
        picks = {r.run: r.two_stage or Picks.empty() for r in self.runs}
        return one, Stage("two", "Two stages", picks, self.thresholds_two)

    @property
    def score_types(self) -> ParticleTypes:
        """The classes, each weighing 1 where the project weighs none of them."""
        return weighted_types(self.types)


@dataclass(frozen=True, eq=False)
class Stage:
    """The scored picks of one stage, and where they are cut.

    Attributes
    ----------
    key
        `one` or `two`.
    label
        For the reader.
    picks
        By run, not cut.
    thresholds : (k,) float64 array
    """

    key: str
    label: str
    picks: dict[str, Picks]
    thresholds: NDArray[np.float64]

    @property
    def kept(self) -> dict[str, Picks]:
        """The picks at or above the thresholds, by run."""
        return {run: cut(picks, self.thresholds) for run, picks in self.picks.items()}


def weighted_types(types: ParticleTypes) -> ParticleTypes:
    """The same classes, each with weight 1 where no class has a weight above 0."""
    if types.weights.sum() > 0:
        return types
    return ParticleTypes(tuple(replace(t, weight=1.0) for t in types))


def _per_class(values: NDArray[np.float64], k: int, stage: str) -> NDArray[np.float64]:
    """A (k,) float64 array without NaN."""
    array = np.asarray(values, np.float64).ravel()
    if array.shape != (k,) or np.isnan(array).any():
        raise ValueError(f"Expected `thresholds_{stage}` to be ({k},) numbers, but got {values}.")
    return array
