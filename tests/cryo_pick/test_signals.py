import os
import signal
import subprocess
import sys
import threading

import pytest

from cryo_pick.signals import SIGNALS, preempted_by_signals, stop_signals

# In a process of its own: a signal can reach any thread of this one, whose libraries (and
# pytest-xdist's workers) have threads and handlers of their own.
SCENE = """
import os, signal, sys, time
from cryo_pick.errors import Preempted
from cryo_pick.signals import preempted_by_signals

number = signal.Signals(int(sys.argv[1]))
before = signal.getsignal(number)
cleaned = []
try:
    with preempted_by_signals():
        try:
            os.kill(os.getpid(), number)
            time.sleep(10)
        except Exception:  # what libraries do
            cleaned.append(False)
        finally:
            os.kill(os.getpid(), number)  # a second one does no harm
            cleaned.append(True)
except Preempted as error:
    print(error)
print(cleaned, signal.getsignal(number) is before)
"""


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_leaves_the_block_at_once(number: signal.Signals) -> None:
    command = [sys.executable, "-c", SCENE, str(int(number))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    said, state = done.stdout.splitlines()
    assert f"{number.name}; what is done is kept" in said
    assert state == "[True] True"


LOCK = """
import signal, threading
from cryo_pick.errors import Preempted
from cryo_pick.signals import preempted_by_signals

condition = threading.Condition(threading.Lock())
release = condition._release_save
condition._release_save = lambda: (release(), signal.raise_signal(signal.SIGTERM))
try:
    with preempted_by_signals(), condition:
        condition.wait(10)
except Preempted as error:
    print(type(error.__cause__).__name__, error)
"""


def test_a_signal_in_the_middle_of_a_wait_is_the_signal() -> None:
    command = [sys.executable, "-c", LOCK]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.startswith("RuntimeError stopped by SIGTERM"), done.stderr


def test_other_errors_stay_themselves() -> None:
    with pytest.raises(RuntimeError, match="its own"), preempted_by_signals():
        raise RuntimeError("its own")


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


def test_signals_are_given_back():
    before = signal.getsignal(signal.SIGTERM)
    with stop_signals() as stop:
        assert not stop.is_set()
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.wait(5)
    assert signal.getsignal(signal.SIGTERM) is before


def test_outside_the_main_thread_signals_are_left_alone():
    seen = []

    def look():
        with stop_signals() as stop:
            seen.append(stop.is_set())

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [False]
