"""Names of tomograms in other programs' files, matched with the runs that are known."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from cryo_pick.closest import closest_hint
from cryo_pick.errors import ConfigError, InputError

log = logging.getLogger(__name__)

RULE = (
    "each --rename PATTERN=TEXT in turn; then the same name; then the one name that is the same "
    "without rec_ in front and without file ending, _Vol, _rec, _full, _bin4 or _10.00Apx behind"
)
"""How a name finds its run, for people."""
_BEHIND = re.compile(
    r"(\.(tomostar|mrc|mrcs|rec|map|st|ali|em|hdf|zarr|star)|_(vol|rec|full|bin\d+|[\d.]+apx))$",
    re.IGNORECASE,
)


def bare(name: str) -> str:
    """A name without what programs put around it."""
    name = name.replace("\\", "/").rpartition("/")[2].removeprefix("rec_")
    while (shorter := _BEHIND.sub("", name)) != name and shorter:
        name = shorter
    return name


@dataclass
class RunNames:
    """Finds the known run that a name stands for, and remembers what it was asked.

    Attributes
    ----------
    known
        Names to match; None: every name is good.
    renames
        Patterns and what to put in their place.
    found
        What each name became.
    lost
        Names without a match.
    """

    known: frozenset[str] | None
    renames: Sequence[tuple[re.Pattern[str], str]] = ()
    found: dict[str, str] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    _bare: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Index the known names by what is left of them."""
        for name in self.known or ():
            self._bare.setdefault(bare(name), []).append(name)

    def __call__(self, name: str) -> str | None:
        """Run that `name` stands for, by :data:`RULE`; None: there is none, or more than one."""
        if name in self.found:
            return self.found[name]
        new = name
        for pattern, text in self.renames:
            new = pattern.sub(text, new)
        if self.known is not None and new not in self.known:
            alike = self._bare.get(bare(new), [])
            if len(alike) != 1:
                if name not in self.lost:
                    self.lost.append(name)
                return None
            new = alike[0]
        return self.found.setdefault(name, new)

    def check(self, where: str) -> None:
        """Say which names were lost.

        Raises
        ------
        InputError
            If no name at all was found; the message shows the closest ones.
        """
        if not self.lost or self.known is None:
            return
        count = f"{len(self.found)} of {len(self.found) + len(self.lost)} names match"
        hints = [f"{name}: {closest_hint(name, self.known)}" for name in self.lost[:3]]
        text = f"{where}: {count} the {len(self.known)} known runs; {'; '.join(hints)}"
        if not self.found:
            raise InputError(f"{text}; map them with --rename PATTERN=TEXT")
        log.warning("%s; left out: %s", text, ", ".join(self.lost))


def parse_renames(words: Iterable[str]) -> list[tuple[re.Pattern[str], str]]:
    """PATTERN=TEXT words as regular expressions and what goes in their place.

    Raises
    ------
    ConfigError
        If a word has no ``=`` or its pattern is none.
    """
    result = []
    for word in words:
        pattern, equals, text = word.partition("=")
        try:
            if not equals or not pattern:
                raise ValueError("there is no PATTERN=TEXT")
            compiled = re.compile(pattern)
            compiled.sub(text, "")
        except (re.error, ValueError, IndexError) as error:
            raise ConfigError(
                f"--rename {word}: {error}; expected a regular expression and what goes in its "
                "place, such as ^rec_= or '(.*)_Vol$=\\1'"
            ) from None
        result.append((compiled, text))
    return result
