"""What was decided about each candidate, kept in the project as picks of the reviewer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryo_pick.formats.copick import CopickProject
from cryo_pick.formats.copick_picks import ACCEPTED, REJECTED
from cryo_pick.picks import Picks
from cryo_pick.review.choose import Doubt

SAME_PLACE = 0.05
"""Å; picks no further apart are the same, since files keep fewer digits than memory."""

PictureOf = Callable[[int], bytes]
"""The three slices through a candidate, as a PNG."""


@dataclass(frozen=True)
class Verdict:
    """What a person said of a candidate: the class it is, or None for no particle."""

    index: int | None


class ReviewSession:
    """Candidates under review, and the verdicts; each verdict is written when it is given.

    Accepted and relabelled candidates are picks of session ``review-accepted``; a rejected one, and
    a relabelled one under its old class, are picks of session ``review-rejected``. What the
    reviewer said in earlier sessions is read back, and kept where it is not under review now.

    Parameters
    ----------
    project
    user
        Whose picks the verdicts are.
    doubts
    """

    def __init__(self, project: CopickProject, user: str, doubts: Sequence[Doubt]) -> None:
        self.project, self.user, self.doubts = project, user, list(doubts)
        self.verdicts: dict[int, Verdict] = {}
        self._lock = threading.Lock()
        self._earlier = {run: self._recall(run) for run in dict.fromkeys(d.run for d in doubts)}

    def decide(self, number: int, verdict: Verdict | None) -> None:
        """Note a verdict, or take it back with None, and write the picks of that run.

        Raises
        ------
        ValueError
            If there is no such candidate or class.
        InputError
            If the project can't be written to; the verdict is as before then.
        """
        if not 0 <= number < len(self.doubts):
            raise ValueError(f"Expected `number` from 0 to {len(self.doubts) - 1}, got {number}.")
        k = None if verdict is None else verdict.index
        if k is not None and not 0 <= k < len(self.project.types):
            raise ValueError(f"Expected a class below {len(self.project.types)}, but got {k}.")
        with self._lock:
            before = dict(self.verdicts)
            self.verdicts.pop(number, None)
            if verdict is not None:
                self.verdicts[number] = verdict
            try:
                self._write(self.doubts[number].run)
            except Exception:
                self.verdicts = before
                raise

    def _write(self, run: str) -> None:
        accepted, rejected = ([picks] for picks in self._earlier[run])
        for number, verdict in sorted(self.verdicts.items()):
            doubt = self.doubts[number]
            if doubt.run != run:
                continue
            if verdict.index is not None:
                accepted.append(_pick(doubt, verdict.index))
            if verdict.index != doubt.proposed:
                rejected.append(_pick(doubt, doubt.proposed))
        self.project.write_picks(run, Picks.concatenate(accepted), self.user, ACCEPTED)
        self.project.write_picks(run, Picks.concatenate(rejected), self.user, REJECTED)

    def _recall(self, run: str) -> tuple[Picks, Picks]:
        """Take up earlier verdicts on these candidates; what was said of others, by session."""
        accepted = self.project.read_picks(run, self.user, ACCEPTED)
        rejected = self.project.read_picks(run, self.user, REJECTED)
        used_a, used_r = np.zeros(len(accepted), bool), np.zeros(len(rejected), bool)
        for number, doubt in enumerate(self.doubts):
            if doubt.run != run:
                continue
            no = _at(rejected, doubt) & (rejected.classes == doubt.proposed)
            yes = _at(accepted, doubt) & ((accepted.classes == doubt.proposed) | no.any())
            if yes.any():
                self.verdicts[number] = Verdict(int(accepted.classes[yes][0]))
            elif no.any():
                self.verdicts[number] = Verdict(None)
            used_a |= yes
            used_r |= no
        return accepted[~used_a], rejected[~used_r]


def count_verdicts(session: ReviewSession) -> dict[str, int]:
    """How many candidates were accepted, relabelled, rejected, and are left."""
    counts = {"accepted": 0, "relabelled": 0, "rejected": 0}
    for number, verdict in list(session.verdicts.items()):
        same = verdict.index == session.doubts[number].proposed
        counts["rejected" if verdict.index is None else "accepted" if same else "relabelled"] += 1
    return counts | {"left": len(session.doubts) - sum(counts.values())}


def _pick(doubt: Doubt, index: int) -> Picks:
    return Picks(doubt.position[None], np.array([index]), doubt.scores[[index]])


def _at(picks: Picks, doubt: Doubt) -> NDArray[np.bool_]:
    return np.asarray((np.abs(picks.positions - doubt.position) <= SAME_PLACE).all(1))
