"""Something found in a user's data: how bad, where, what, and what to do about it."""

from __future__ import annotations

from dataclasses import asdict, dataclass

PROBLEM = "problem"
"""Results would be wrong, or a command would stop."""
NOTICE = "notice"
"""Worth knowing; everything works."""


@dataclass(frozen=True)
class Problem:
    """A finding.

    Attributes
    ----------
    severity
        `PROBLEM` or `NOTICE`.
    where
        Run, class or file.
    what
        What was found.
    do
        What to do about it.
    """

    severity: str
    where: str
    what: str
    do: str

    def to_json(self) -> dict[str, str]:
        """Its fields, for JSON."""
        return asdict(self)
