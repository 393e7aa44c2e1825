"""Where the steps of one training keep what they made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryo_pick.formats.candidates_npz import read_candidates


@dataclass(frozen=True)
class TrainFolder:
    """Where the steps of one training keep what they made."""

    root: Path

    def detector(self, fold: int) -> Path:
        """Weights of a fold's detector, without ending."""
        return self.root / "detector" / f"fold{fold}"

    def refiner(self, fold: int) -> Path:
        """Weights of a fold's refiner, without ending."""
        return self.root / "refiner" / f"fold{fold}"

    def candidates(self, run: str) -> Path:
        """Out-of-fold candidates of a run."""
        return self.root / "oof" / f"{run}.npz"

    def heatmap(self, run: str) -> Path:
        """Out-of-fold heatmap of a run; needed until the refiners are trained."""
        return self.root / "work" / "heatmaps" / f"{run}.npz"

    def has_candidates(self, run: str, identity: str) -> bool:
        """Whether a run's candidates and heatmap are there, made by a training of that identity."""
        if not (self.candidates(run).is_file() and self.heatmap(run).is_file()):
            return False
        return read_candidates(self.candidates(run)).metadata.get("identity") == identity

    def training(self, stage: str, fold: int) -> Path:
        """Checkpoint and log of one training."""
        return self.root / "work" / f"{stage}{fold}"
