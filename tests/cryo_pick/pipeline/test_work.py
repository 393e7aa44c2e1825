from pathlib import Path
from typing import Any

import pytest

from cryo_pick.locks import Locks
from cryo_pick.picks import Picks
from cryo_pick.pipeline.ledger import LOCK, count_states, run_states, write_plan
from cryo_pick.pipeline.one_run import Failure, RunTask
from cryo_pick.pipeline.predict import RunResult
from cryo_pick.pipeline.work import work_through


class Runs:
    """A pool whose runs fail as often as is said, and which notes what it was given."""

    def __init__(self, fails: dict[str, int], size: int = 1) -> None:
        self.fails, self.size = dict(fails), size
        self.given: list[str] = []
        self.most = 0
        self._tasks: list[RunTask] = []

    def room(self) -> int:
        return self.size - len(self._tasks)

    def submit(self, task: RunTask) -> None:
        assert (task.folder / LOCK).exists()
        self.given.append(task.run)
        self._tasks.append(task)
        self.most = max(self.most, len(self._tasks))

    def done(self, timeout: float) -> Any:
        task = self._tasks.pop()
        if self.fails.get(task.run, 0) > 0:
            self.fails[task.run] -= 1
            return task, Failure(task.run, "bad luck")
        return task, RunResult(task.run, Picks.empty(), 0, 0.1, False, ())


def _tasks(folder: Path, names: str) -> list[RunTask]:
    from cryo_pick.formats.inputs import InputRun

    source = [InputRun(n, None, n) for n in names]  # type: ignore[arg-type]
    return [RunTask(s, None, folder / "runs" / s.run, False) for s in source]  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [1, 3, 20])
def test_every_run_is_done_or_reported(tmp_path: Path, size: int) -> None:
    pool = Runs({"b": 1, "d": 2, "e": 9}, size)
    with Locks(tmp_path / "runs") as locks:
        outcomes = {
            t.run: type(o) for t, o in work_through(_tasks(tmp_path, "abcdefg"), pool, locks, 0.0)
        }
    assert outcomes == {n: Failure if n in "de" else RunResult for n in "abcdefg"}
    assert sorted(pool.given) == sorted("abcdefg" + "bde")
    assert pool.most == min(size, 7)
    assert not list(tmp_path.rglob(LOCK))
    write_plan(tmp_path, "abcdefgh", "f")
    states = run_states(tmp_path)
    assert {n for n, s in states.items() if s.state == "failed"} == set("de")
    assert states["d"].detail == "bad luck"
    assert states["h"].state == "waiting"
    assert count_states(states.values())["failed"] == 2


def test_a_second_try_comes_after_all_others(tmp_path: Path) -> None:
    pool = Runs({"a": 1})
    with Locks(tmp_path / "runs") as locks:
        list(work_through(_tasks(tmp_path, "abc"), pool, locks, 0.0))
    assert pool.given == ["a", "b", "c", "a"]


def test_a_run_of_another_process_is_waited_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pool = Runs({})
    caplog.set_level("INFO")
    with Locks(tmp_path / "runs") as mine, Locks(tmp_path / "runs") as other:
        tasks = _tasks(tmp_path, "abc")
        tasks[0].folder.mkdir(parents=True)
        assert other.take(tasks[0].folder / LOCK)
        assert run_states(tmp_path)["a"].state == "running"
        work = work_through(tasks, pool, mine, 0.0)
        assert [next(work)[0].run for _ in range(2)] == ["b", "c"]
        other.release(tasks[0].folder / LOCK)
        assert next(work)[0].run == "a"
    assert caplog.text.count("another process works on it") == 1
