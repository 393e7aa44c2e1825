import os
import signal
import threading
import time

import pytest

from cryo_pick.errors import Preempted
from cryo_pick.signals import SIGNALS, preempted_by_signals


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_leaves_the_block_at_once(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    cleaned: list[bool] = []

    def work() -> None:
        with preempted_by_signals():
            try:
                os.kill(os.getpid(), number)
                time.sleep(10)
            except Exception:  # what libraries do
                cleaned.append(False)
            finally:
                os.kill(os.getpid(), number)  # a second one does no harm
                cleaned.append(True)

    with pytest.raises(Preempted, match=f"{number.name}; what is done is kept"):
        work()
    assert cleaned == [True]
    assert signal.getsignal(number) is before


def test_ctrl_c_stays_ctrl_c() -> None:
    with pytest.raises(KeyboardInterrupt), preempted_by_signals():
        raise KeyboardInterrupt


def test_other_threads_change_nothing() -> None:
    seen = []

    def work() -> None:
        with preempted_by_signals():
            seen.append([signal.getsignal(n) for n in SIGNALS])

    before = [signal.getsignal(n) for n in SIGNALS]
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
