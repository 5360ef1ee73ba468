"""Ctrl-C at every line of the code that starts a step's threads and waits for them: all streams make the step."""

import copy
import inspect
import pickle
import sys
import threading

import numpy as np
import pytest

import cgru
from cgru.threads import in_threads

LINES, FIRST = inspect.getsourcelines(in_threads)


def interrupted(call, line, time):
    """Whether ``call()`` came to that line so often and was interrupted there; the interrupt must come out of it."""
    times = 0

    def at_line(frame, event, arg):
        nonlocal times
        if event == "line" and frame.f_lineno == line:
            times += 1
            if times == time:
                raise KeyboardInterrupt
        return at_line

    before = sys.gettrace()
    sys.settrace(lambda frame, event, arg: at_line if frame.f_code is in_threads.__code__ else None)
    try:
        call()
    except KeyboardInterrupt:
        assert times >= time
        return True
    finally:
        sys.settrace(before)
    assert times < time
    return False


@pytest.mark.parametrize("engine", ["packed", "blas"])
def test_every_line(engine, rng):
    model = cgru.GRU(40, 64, rng=rng, engine=engine)
    pool = model.pool(600, threads=2)
    ids = [pool.open() for _ in range(600)]
    x = rng.standard_normal((600, 40)).astype(np.float32)
    initial = model.stream().state
    alone = model.stream()
    expected = [alone.step(row) for row in x if alone.reset() is None]
    hits = 0
    for line in range(FIRST, FIRST + len(LINES)):
        for time in (1, 2, 3):
            for one in ids:
                pool.set_state(one, initial)
            if not interrupted(lambda: pool.step(ids, x), line, time):
                break
            hits += 1
            assert all(np.array_equal(pool.state(one)[0], row) for one, row in zip(ids, expected, strict=True)), line
    assert hits > 10
    assert threading.active_count() == 1


def test_a_pool_is_not_copied():
    pool = cgru.GRU(3, 5, rng=0).pool(2)
    for way in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match=r"a pool cannot be pickled or copied: its streams move by state\(\)"):
            way(pool)


def test_more_threads_than_streams():
    pool = cgru.GRU(3, 5, rng=0).pool(2, threads=2**40)
    assert pool.threads == 2**40
    assert pool.step([pool.open(), pool.open()], np.ones((2, 3))).shape == (2, 5)
