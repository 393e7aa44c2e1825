import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from cryo_pick import locks
from cryo_pick.locks import STALE_AFTER_S, Holder, Locks, lock_holder


def _write(path: Path, holder: Holder, age: float = 0.0) -> None:
    path.write_text(json.dumps(asdict(holder)))
    then = time.time() - age
    os.utime(path, (then, then))


def _ended_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_lock_is_taken_once_and_given_back(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    with Locks(tmp_path) as mine, Locks(tmp_path) as other:
        assert mine.take(path)
        assert mine.take(path)  # it has it already
        assert not other.take(path)
        other.release(path)  # not its own: stays
        assert path.exists()
        mine.release(path)
        assert not path.exists()
        assert other.take(path)
    assert not path.exists()  # given back at the end


def test_of_many_takers_one_gets_it(tmp_path: Path) -> None:
    path, ready = tmp_path / "a.lock", threading.Barrier(8)
    takers = [Locks(tmp_path) for _ in range(8)]

    def take(taker: Locks) -> bool:
        ready.wait()
        return taker.take(path)

    _write(path, replace(Holder.this_process(), pid=_ended_process()))  # stale: all may take it
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(take, takers)) == 1


def test_who_is_gone(tmp_path: Path) -> None:
    me, path = Holder.this_process(), tmp_path / "a.lock"
    cases = {
        "me": (me, 0.0, False),
        "me, long ago": (me, STALE_AFTER_S + 1, True),
        "an ended process": (replace(me, pid=_ended_process()), 0.0, True),
        "an earlier process with my number": (replace(me, started="1"), 0.0, True),
        "somebody elsewhere": (replace(me, machine="far pid:[1]", pid=1), 0.0, False),
        "somebody elsewhere, long ago": (replace(me, machine="far"), STALE_AFTER_S + 1, True),
        "another user's": (replace(me, pid=1, started=locks._start_of(1)), 0.0, False),
    }
    for name, (holder, age, stale) in cases.items():
        _write(path, holder, age)
        assert lock_holder(path) == (holder, stale), name


def test_an_ended_process_that_nobody_collected_is_gone(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"],
                               stdin=subprocess.PIPE)  # fmt: skip
    holder = replace(Holder.this_process(), pid=process.pid, started=locks._start_of(process.pid))
    assert not holder.is_gone()
    process.kill()
    while not holder.is_gone():  # a zombie still has its number
        time.sleep(0.01)
    process.communicate()


def test_no_lock_and_one_that_is_nonsense(tmp_path: Path) -> None:
    assert lock_holder(tmp_path / "none.lock") is None
    (tmp_path / "a.lock").write_text("{")
    found = lock_holder(tmp_path / "a.lock")
    assert found is not None
    assert found[1]
    with Locks(tmp_path) as mine:
        assert mine.take(tmp_path / "a.lock")


def test_held_locks_are_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "RENEW_EVERY_S", 0.01)
    path = tmp_path / "a.lock"
    with Locks(tmp_path) as mine:
        mine.take(path)
        os.utime(path, (1, 1))
        end = time.monotonic() + 10
        while path.stat().st_mtime < 2:
            assert time.monotonic() < end
            time.sleep(0.01)
        assert lock_holder(path) is not None


def test_a_lock_that_was_taken_over_is_not_given_back(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    with Locks(tmp_path) as mine:
        mine.take(path)
        other = replace(Holder.this_process(), machine="far")
        _write(path, other)
    assert lock_holder(path) == (other, False)
