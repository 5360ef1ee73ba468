"""Pools in programs: one caller at a time, several threads, Ctrl-C, forks."""

import contextlib
import functools
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from support.chains import Dense, Recipe, cells, network_of
from support.compare import assert_same_bits
from support.pools import Beside
from support.processes import ROOT, run_python
from support.variants import WEIGHTS

pytestmark = pytest.mark.variants(weights=WEIGHTS)

INPUT, H, LAYERS = 5, 19, 2
WIDE = Recipe("wide", 6, (cells("gru", 90, num_layers=2), Dense(70, "elu"), cells("lstm", 80), Dense(4, "softmax")))
needs_posix = pytest.mark.skipif(os.name != "posix", reason="forks, or sends a signal")

# ------------------------------------------------------------------------------------------------- one caller


def until_refused(call, deadline):
    """How often the call came to an end before another thread's step refused it."""
    taken = 0
    while time.monotonic() < deadline:
        try:
            call()
        except RuntimeError as error:
            assert "running in another thread" in str(error)
            return taken
        taken += 1
    raise AssertionError("it was never refused")


@pytest.mark.parametrize("threads", [1, 2])
def test_use_from_a_second_thread_is_an_error(best, rng, threads):
    """Whoever comes while a step runs is refused, and the steps come to their right end."""
    beside = Beside(best.model(40, 500, rng=1), 2000, rng, threads=threads)
    numbers = [beside.open(random=True) for _ in range(128)]
    pool, x, x_one = beside.pool, beside.draw(127), beside.draw()
    silent, stepped = numbers[0], numbers[1:]
    kept, spare, done, stop = pool.state(silent), [pool.open() for _ in range(800)], [], threading.Event()

    def run():
        while not stop.is_set():
            try:
                pool.step(stepped, x)
            except RuntimeError as error:
                assert "running in another thread" in str(error)
            else:
                done.append(1)

    def close():
        pool.close(spare[-1])
        spare.pop()

    runner, deadline = threading.Thread(target=run), time.monotonic() + 100
    runner.start()
    try:
        for call in (
            lambda: pool.state(silent), lambda: pool.state(stepped[3]), lambda: pool.set_state(silent, kept),
            lambda: spare.append(pool.open()), close, lambda: pool.step([], x[:0]),
        ):  # fmt: skip
            until_refused(call, deadline)
        steps = until_refused(lambda: pool.step(silent, x_one), deadline)
        with pytest.raises((ValueError, RuntimeError)):
            pool.step([silent, silent], x[:2])
        assert len(pool) == len(numbers) + len(spare) and silent in pool and pool.ids[0] == silent
    finally:
        stop.set()
        runner.join()
    assert done
    for _ in range(steps):
        beside.streams[silent].step(x_one)
    for row, number in enumerate(stepped):
        for _ in done:
            beside.streams[number].step(x[row])
    for number in spare:
        pool.close(number)
    beside.check()


def test_an_error_leaves_the_pool_free(best, rng):
    """After every refusal the pool is nobody's."""
    beside = Beside(best.model(INPUT, H, rng=1), 3, rng)
    numbers = beside.fill()
    for wrong in ((numbers + numbers, beside.draw(6)), (numbers, None), (numbers, beside.draw(2)),
                  ([-1], beside.draw(1)), (None, beside.draw(1)), (numbers, beside.draw(3), "out")):  # fmt: skip
        beside.refused((TypeError, ValueError), ".", beside.pool.step, *wrong)
        beside.step(numbers)
    beside.refused(RuntimeError, "3", beside.pool.open)
    beside.step(numbers)


@pytest.mark.variants(kind="gru", engine="packed", weights="float32")
def test_x_that_uses_the_pool(best, rng):
    """Reading x runs its code, which may do anything to the pool."""
    model = best.model(INPUT, H, rng=1)

    class Meddler:
        def __init__(self, meddle):
            self.meddle = meddle

        def __array__(self, dtype=None, copy=None):
            self.meddle()
            return np.ones((2, INPUT), np.float32)

    def closes(pool, ids):
        pool.close(ids[0])

    def steps(pool, ids):
        pool.step(ids, np.zeros((2, INPUT)))

    def opens(pool, ids):
        pool.open()

    def replaces(pool, ids):
        for number in ids:
            pool.close(number)
            pool.open()

    for meddle in (closes, steps, opens, replaces):
        pool = model.pool(4)
        ids = [pool.open() for _ in range(2)]
        with contextlib.suppress(RuntimeError, ValueError):     # refused, here or there
            pool.step(ids, Meddler(functools.partial(meddle, pool, ids)))
        for number in pool.ids.tolist():                        # and the pool is as it should be
            stream = model.stream(hx=pool.state(number))
            assert_same_bits(pool.step(number, np.ones(INPUT)), stream.step(np.ones(INPUT)))
        while len(pool) < 4:
            pool.open()
        assert len(set(pool.ids.tolist())) == 4


# ------------------------------------------------------------------------------------------- threads of a pool


@pytest.mark.parametrize("threads", [2, 3, -1])
def test_threads_give_the_same_bits(best, rng, threads):
    """Few and many rows; large enough to be split."""
    beside = Beside(best.model(40, 150, LAYERS, rng=1), 300, rng, threads=threads)
    beside.fill()
    for count in (300, 1, 0, 65, 299, 2, 128):
        beside.step(beside.some(count), with_out=bool(count % 2))
    beside.check()
    beside.refused(ValueError, "id", beside.pool.step, beside.some(299) + beside.some(300)[:1] * 2, beside.draw(301))


@pytest.mark.variants(kind="gru", weights=WEIGHTS)
def test_threads_of_a_network(best, rng):
    beside = Beside(network_of(best, WIDE), 200, rng, threads=2)
    beside.fill()
    for count in (200, 7, 199):
        beside.step(beside.some(count))
    beside.check()


def test_pools_in_threads(best, rng):
    """Each thread has its own pool of one model."""
    model = best.model(40, 150, rng=1)
    pools = [Beside(model, 80, np.random.default_rng(k)) for k in range(4)]
    failed, start = [], threading.Barrier(4)

    def work(beside):
        try:
            start.wait()
            beside.fill()
            for _ in range(5):
                beside.step(beside.some(80))
            beside.check()
        except BaseException as error:
            failed.append(error)
            raise

    workers = [threading.Thread(target=work, args=(beside,)) for beside in pools]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not failed and len({number for beside in pools for number in beside.streams}) == 320


INTERRUPTED = """
import os, signal, sys, threading, time
import numpy as np
import cgru

kind, engine, threads = sys.argv[1:]
model = getattr(cgru, kind)(6, 300, rng=0, engine=engine)
pool, stream = model.pool(600, threads=int(threads)), model.stream()
flat = lambda state: state if isinstance(state, tuple) else (state,)
ids = [pool.open() for _ in range(600)]
x, out = np.ones((600, 6), np.float32), np.empty((600, 300), np.float32)
signal.signal(signal.SIGINT, signal.default_int_handler)
pool.step(ids, x, out=out)
stream.step(x[0])
for delay in (0.02, 0.05, 0.11, 0.2):
    threading.Thread(target=lambda: (time.sleep(delay), os.kill(os.getpid(), signal.SIGINT))).start()
    count, begun = 0, time.monotonic()
    try:
        while time.monotonic() < begun + 30:
            pool.step(ids, x, out=out)
            count += 1
        raise SystemExit("not interrupted")
    except KeyboardInterrupt:
        assert time.monotonic() - begun < 10
    states = [flat(pool.state(number)) for number in ids]
    for state in states:            # all of them are where the first is: no step was done in part
        assert all(map(np.array_equal, state, states[0]))
    while count:
        stream.step(x[0])
        count -= 1
    if not np.array_equal(flat(stream.state)[0], states[0][0]):
        stream.step(x[0])           # the interrupt came when the step was done
    assert all(map(np.array_equal, flat(stream.state), states[0]))
print("done")
"""


@needs_posix
@pytest.mark.variants(weights="float32", name="float32")
@pytest.mark.parametrize("threads", [1, 2])
def test_an_interrupt_leaves_no_half_step(best, threads):
    done = subprocess.run(
        [sys.executable, "-P", "-c", INTERRUPTED, best.cell.name, best.engine, str(threads)],
        env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=150,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("done\n", "")


FORKED = """
import os, signal, sys, threading
import numpy as np
import cgru

engine, threads, busy = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "busy"
model = cgru.LSTM(40, 300, rng=0, engine=engine)
pool = model.pool(300, threads=threads)
ids = [pool.open() for _ in range(300)]
x = np.ones((300, 40), np.float32)
pool.step(ids, x)
expected = model.stream()
y = expected.step(x[0])
started, stop = threading.Event(), threading.Event()

def work():
    while not stop.is_set():
        pool.step(ids, x)
        started.set()

thread = threading.Thread(target=work, daemon=True)
if busy:
    thread.start()
    started.wait()
for _ in range(5):
    child = os.fork()
    if child == 0:
        signal.alarm(60)                    # a child that hangs is killed
        fresh = model.pool(300, threads=threads)
        new = [fresh.open() for _ in range(300)]
        assert not set(new) & set(ids)
        if busy:
            try:
                pool.state(ids[0])          # it may be in the midst of a step that nobody ends
            except RuntimeError as error:
                assert "fork" in str(error), error
        else:
            assert (pool.step(ids, x) == expected.step(x[0])).all()
        if not (busy and engine == "blas"):     # where a thread that is gone may hold a lock of OpenBLAS
            assert (fresh.step(new, x) == y).all()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
if busy:
    stop.set()
    thread.join()
else:
    assert (pool.step(ids, x) == expected.step(x[0])).all()
print("done")
"""


@needs_posix
@pytest.mark.parametrize("engine", ["packed", "blas"])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("when", ["idle", "busy"])
def test_a_process_that_forks(engine, threads, when):
    """No child hangs: its pool goes on, or says why not; a new one works."""
    assert run_python(FORKED, engine, threads, when).stdout == "done\n"
