"""Garbage is looked for while work is done, and not while libraries load or a process ends."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from cryo_pick.garbage import no_collection


def test_collection_goes_on_as_it_was() -> None:
    with no_collection():
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ValueError, match="in it"), no_collection():
        raise ValueError("in it")
    assert gc.isenabled()
    gc.disable()
    with no_collection():
        pass
    assert not gc.isenabled()
    gc.enable()


def test_what_is_left_at_the_end_is_left_to_the_system() -> None:
    """A cycle's finalizer runs where garbage is looked for at the end, and only there."""
    scene = """
from cryo_pick.garbage import none_at_exit
class Cycle:
    def __init__(self): self.me = self
    def __del__(self): print("looked through")
{call}
cycle = Cycle()
del cycle
"""
    for call, said in (("", "looked through\n"), ("none_at_exit()\n" * 2, "")):
        done = subprocess.run(
            [sys.executable, "-c", scene.format(call=call)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert done.stdout == said
