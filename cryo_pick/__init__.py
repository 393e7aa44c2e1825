"""What the detector and the refiner share, and the command that joins them.

The functions of :mod:`cryo_pick.api` can be had from here; each is imported when it is first used.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from cryo_pick.api import (
        cut_candidates,
        evaluate,
        find_candidates,
        load_bundle,
        match,
        open_project,
        open_tomogram,
        read_picks,
        simulate,
        write_picks,
    )

__all__ = [
    "__version__",
    "cut_candidates",
    "evaluate",
    "find_candidates",
    "load_bundle",
    "match",
    "open_project",
    "open_tomogram",
    "read_picks",
    "simulate",
    "write_picks",
]


def __getattr__(name: str) -> Any:
    """A function of the API."""
    if name not in __all__:
        raise AttributeError(f"module 'cryo_pick' has no attribute {name!r}")
    from cryo_pick import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
