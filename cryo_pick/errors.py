"""Errors that a user can act on, each with the exit code its command ends with.

Anything else that is raised is a bug and ends with exit code 1.
"""

from __future__ import annotations


class CryoPickError(Exception):
    """An error with a message for the user: what, where, what was expected, what to do."""

    exit_code = 1


class ConfigError(CryoPickError):
    """A command line or a config that can't be used."""

    exit_code = 2


class InputError(CryoPickError):
    """Input data that can't be used: a volume, picks, a project, a bundle."""

    exit_code = 3


class PartialFailure(CryoPickError):
    """Some runs failed and are listed; the others were done."""

    exit_code = 4


class OutOfMemory(CryoPickError):
    """No fallback was left that fits in memory."""

    exit_code = 5


class Preempted(CryoPickError):
    """Stopped from outside after a checkpoint; the same command goes on from there."""

    exit_code = 75


def raise_all(problems: list[str], error: type[CryoPickError], heading: str) -> None:
    """Raise one `error` that lists every problem; do nothing where there is none.

    Raises
    ------
    CryoPickError
        Of the class `error`, if `problems` is not empty.
    """
    if not problems:
        return
    if len(problems) == 1:
        raise error(f"{heading}: {problems[0]}")
    raise error(f"{heading}: {len(problems)} problems\n" + "\n".join(f"  - {p}" for p in problems))
