"""``threads=``: which rows go to which thread, and what happens when a thread fails, or cannot be had.

That the result has the same bits for every number of threads is in contract/test_same_bits.py.
"""

import gc
import os
import queue
import threading
import time
import weakref

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from cgru import threads as threads_module
from cgru.checks import lengths_array
from cgru.threads import in_threads, row_groups
from support.compare import assert_equal
from support.few_threads import allow_threads
from support.processes import run_python
from support.variants import WEIGHTS

pytestmark = pytest.mark.variants(weights=WEIGHTS)


def rows_of(groups):
    return np.concatenate([np.arange(group.start, group.stop) for group in groups])


@pytest.mark.parametrize("threads", [1, 2, 3, 7, 8, 1000])
@pytest.mark.parametrize("rows", [1, 2, 7, 8, 31, 160, 1001])
def test_every_row_in_one_group(rng, rows, threads):
    forms = (None, rng.integers(0, 50, rows), np.zeros(rows, int), np.full(rows, 2**40), 10 ** rng.integers(0, 9, rows))
    for lengths in forms:
        groups = row_groups(rows, lengths, threads)
        assert_array_equal(rows_of(groups), np.arange(rows))
        assert 1 <= len(groups) <= min(threads, rows)
        assert all(group.start < group.stop for group in groups)
    assert len(row_groups(rows, None, threads)) == min(threads, rows)


def test_groups_have_equal_work():
    """By length, not by rows; without lengths whole tiles of 8 rows where there are enough."""
    lengths = np.array([100] * 10 + [1] * 90)
    work = [lengths[group].sum() for group in row_groups(100, lengths, 2)]
    assert max(work) < 1.3 * min(work)
    assert [group.stop - group.start for group in row_groups(100, None, 3)] == [32, 32, 36]
    assert [group.start % 8 for group in row_groups(130, None, 4)] == [0, 0, 0, 0]


@pytest.mark.parametrize("threads, error", [
    (0, ValueError), (-2, ValueError), (1.5, TypeError), (2.0, TypeError), (True, TypeError), ("2", TypeError),
    (1.0, TypeError), (None, TypeError), ([2], TypeError),
])  # fmt: skip
def test_bad_number_of_threads(best, threads, error):
    """Refused before anything is computed."""
    model = best.model(3, 5, rng=1)
    out = np.full((4, 2, 5), np.nan, best.dtype)
    with pytest.raises(error, match="threads must be"):
        model(np.ones((4, 2, 3)), threads=threads, out=out)
    assert np.isnan(out).all()


def test_integers_of_numpy_are_numbers_of_threads(best, rng):
    model, x = best.model(3, 5, rng=1), best.cast(rng.normal(size=(4, 6, 3)))
    for threads in (np.int8(2), np.uint64(3)):
        np.testing.assert_allclose(model(x, threads=threads)[0], model(x)[0], rtol=0, atol=best.tolerance)


def test_threads_end_with_the_call(best, rng):
    """No thread is left, spinning or not; and one thread starts none."""
    model, x = best.model(3, 5, num_layers=2, rng=1), best.cast(rng.normal(size=(4, 64, 3)))
    before = threading.active_count()
    model(x, threads=4)
    assert threading.active_count() == before


def test_one_thread_starts_none(best, rng, monkeypatch):
    def no_thread(*arguments, **options):
        raise AssertionError("a thread was made")

    monkeypatch.setattr(threads_module.threading, "Thread", no_thread)
    best.model(3, 5, rng=1)(best.cast(rng.normal(size=(4, 6, 3))))
    best.model(3, 5, rng=1)(best.cast(rng.normal(size=(4, 1, 3))), threads=8)


@pytest.mark.parametrize("failing", range(4))
def test_an_error_waits_for_every_job(failing):
    """An error in any job is raised where the call was made, when no job writes any more."""
    done, last = [], threading.Event()

    def work(number):
        if number == failing:
            last.set()
            raise MemoryError(f"job {number}")
        assert last.wait(60)
        done.append(number)

    with pytest.raises(MemoryError, match=f"job {failing}"):
        in_threads(work, [((failing + n) % 4,) for n in range(4)])
    assert sorted(done) == [number for number in range(4) if number != failing]


def test_an_error_keeps_nothing_alive():
    """Without the cycle collector: a job's arrays go as soon as its error does."""
    gc.disable()
    try:
        x = np.zeros(3)
        kept = weakref.ref(x)
        with pytest.raises(ValueError, match="no"):
            in_threads(refuse, [(x,), (x,)])
        del x
        assert kept() is None
    finally:
        gc.enable()


def refuse(x):
    raise ValueError("no")


@pytest.mark.parametrize("allowed", [0, 1, 2])
def test_rows_without_a_thread_are_computed_all_the_same(best, rng, monkeypatch, allowed):
    """A process that may start no more threads gets its result, just later."""
    model, x = best.model(3, 19, num_layers=2, rng=1), best.cast(rng.normal(size=(5, 64, 3)))
    expected = model(x, threads=4)
    started = allow_threads(monkeypatch, allowed)
    assert_equal(model(x, threads=4), expected)
    assert len(started) == allowed


@pytest.mark.parametrize("runs", [True, False], ids=["the thread runs", "it does not"])
def test_an_interrupt_inside_start(monkeypatch, runs):
    """Ctrl-C in a start(), the thread running or not: no job runs twice, and none when the call has ended."""
    done, ended, begun = [], threading.Event(), threading.Event()
    start, started = threading.Thread.start, []

    def interrupted(thread):
        if runs:
            started.append(thread)
            start(thread)
            assert begun.wait(60)
        raise KeyboardInterrupt

    def work(number):
        assert not ended.is_set()
        done.append(number)
        begun.set()
        time.sleep(0.05)
        done.append(number)

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        in_threads(work, [(0,), (1,), (2,)])
    ended.set()
    for thread in started:
        thread.join()
    assert done == ([1, 1] if runs else [])


def test_a_late_thread_is_not_waited_for_and_does_nothing(monkeypatch):
    """A thread that begins when all is done finds no job."""
    done, late = [], []
    monkeypatch.setattr(threading.Thread, "start", lambda thread: late.append(thread))
    in_threads(done.append, [(0,), (1,), (2,)])
    assert done == [0, 1, 2]
    for thread in late:
        thread.run()
    assert done == [0, 1, 2]


def test_an_interrupt_in_a_job(monkeypatch):
    """What has not begun does not begin."""
    done = []
    monkeypatch.setattr(threading.Thread, "start", lambda thread: None)

    def work(number):
        done.append(number)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        in_threads(work, [(0,), (1,), (2,)])
    assert done == [0]


def test_an_interrupt_while_waiting(monkeypatch):
    """Ctrl-C while other threads compute: they end first, then it is raised."""
    done, interrupted = [], []

    class InterruptedOnce:
        def __init__(self):
            self.queue = queue.SimpleQueue()
            self.put = self.queue.put

        def get(self):
            if not interrupted:
                interrupted.append(True)
                raise KeyboardInterrupt
            return self.queue.get()

    let_go = threading.Event()

    def work(number):
        if number:
            assert let_go.wait(60)
        done.append(number)
        if not number:
            threading.Timer(0.05, let_go.set).start()

    monkeypatch.setattr(threads_module, "SimpleQueue", InterruptedOnce)
    with pytest.raises(KeyboardInterrupt):
        in_threads(work, [(0,), (1,), (2,)])
    assert sorted(done) == [0, 1, 2] and interrupted


INTERRUPTED = """
import os, signal, threading, time
from cgru.threads import in_threads

done = []

def work(number):
    if number:
        time.sleep(0.4)
        done.append(number)

signal.signal(signal.SIGINT, signal.default_int_handler)
timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
timer.start()
try:
    in_threads(work, [(0,), (1,)])
except KeyboardInterrupt:
    print(done, threading.active_count())
"""


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_a_signal_while_waiting():
    """A real one: until Python 3.12 a thread whose join() it interrupts counts as ended, and goes on."""
    assert run_python(INTERRUPTED).stdout == "[1] 1\n"


def test_lengths_are_the_models_own(rng):
    """The engine reads lengths without the GIL: whatever another thread does to the array, it has a copy."""
    lengths = np.array([3, 1, 4, 2])
    kept = lengths_array(lengths, 4, 4)
    assert not np.shares_memory(kept, lengths) and kept.dtype == np.intp
    assert_array_equal(kept, lengths)
