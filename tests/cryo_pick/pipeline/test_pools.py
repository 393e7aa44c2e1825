"""Results on their way from a worker."""

from types import SimpleNamespace

import pytest

from cryo_pick.pipeline import pools

pytest.importorskip("distributed", reason="needs the extra `cluster`")


def test_a_result_that_does_not_arrive_leaves_time_to_ask_for_workers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It had been waited for without end, by the one thread that replaces workers."""
    answers = iter([TimeoutError(), "the result"])

    def result(timeout: float | None = None) -> str:
        assert timeout is not None
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    future = SimpleNamespace(key="run-1", result=result)
    hashed = type("Future", (SimpleNamespace,), {"__hash__": object.__hash__})(**vars(future))
    monkeypatch.setattr("distributed.wait", lambda *a, **k: SimpleNamespace(done={hashed}))
    client = SimpleNamespace(submit=lambda *a, **k: hashed)
    pool = pools.DaskPool(SimpleNamespace(client=client, threads=1, resources={}))
    task = SimpleNamespace(run="run")
    pool.submit(task)
    assert pool.done(1.0) is None
    assert pool.done(1.0) == (task, "the result")
