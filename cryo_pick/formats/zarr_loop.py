"""The end of zarr's event loop, which reads chunks in a thread of its own."""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextlib

from zarr.core import sync

_SECONDS = 10.0


def stop_at_exit() -> None:
    """Have this process end what zarr still reads, before zarr closes its loop.

    Where one chunk can't be read, the others are still on their way; zarr waits a fifth of a second
    for them when the process ends, and then fails with a traceback.
    """
    atexit.unregister(_stop)
    atexit.register(_stop)  # the last to be registered is called first


def _stop() -> None:
    loop = sync.loop[0]
    if loop is None or not loop.is_running():
        return
    with contextlib.suppress(concurrent.futures.TimeoutError, RuntimeError):
        asyncio.run_coroutine_threadsafe(_cancel_others(), loop).result(_SECONDS)


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
