"""Users of one model, who share it or a tape and have the rest to themselves; and those who `fight` over one thing.

Each of the other functions gives a `User`: what it does beside others, and what must give the same bits alone, in one
thread where that is promised. Both are functions without arguments that give arrays.
"""

import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from cgru import engines
from support.compare import assert_same_bits


class User(NamedTuple):
    """Two functions."""

    beside: object
    alone: object


def assert_as_alone(users, times=2):
    """Each in a thread of its own, all starting at once, so many times: to the last bit what each gives alone."""
    expected = [user.alone() for user in users]
    for found, wanted in zip(together([user.beside for user in users], times), expected, strict=True):
        for one in found:
            assert_same_bits(one, wanted)


def together(jobs, times):
    """Call every job in a thread of its own, all starting at once, so many times: a list of its results for each."""
    start = threading.Barrier(len(jobs))

    def work(job):
        start.wait(60)
        return [job() for _ in range(times)]

    with ThreadPoolExecutor(len(jobs)) as pool:
        return list(pool.map(work, jobs))


def fight(*calls, times=6):
    """A thread for each call, so many times each: how often each was taken; the others were refused."""
    done, refusals, start = [0] * len(calls), [], threading.Barrier(len(calls))

    def work(place):
        start.wait(60)
        for _ in range(times):
            try:
                calls[place]()
            except RuntimeError as error:
                refusals.append(str(error))
            else:
                done[place] += 1

    workers = [threading.Thread(target=work, args=(place,)) for place in range(len(calls))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sum(done) + len(refusals) == times * len(calls)
    assert all("running in another thread" in message for message in refusals)
    return done


def draw(model, rng, *shape):
    """Random x (*shape, I) for a model."""
    return rng.normal(size=(*shape, model.input_size)).astype(model.dtype)


def _same_bits_in_threads(model):
    """Whether the model's bits are promised not to depend on `threads`."""
    parts = getattr(model, "layers", [model])
    return all(one.engine == "packed" for one in parts) and engines.load("packed").FUSED


# ------------------------------------------------------------------------------------------------ whole sequences


def calls(model, rng):
    """A pass over sequences, every other one with lengths."""
    T, N = rng.integers(1, 20, 2)
    x, lengths = draw(model, rng, T, N), rng.integers(0, T + 1, N) if rng.integers(2) else None
    return User(*[lambda: model(x, lengths=lengths)] * 2)


def calls_in_threads(model, rng):
    """The same over threads: rows, directions side by side, layers as a pipeline."""
    x, threads = draw(model, rng, 37, rng.integers(1, 4)), int(rng.integers(2, 4))

    def run():
        return model(x, threads=threads)

    return User(run, (lambda: model(x)) if _same_bits_in_threads(model) else run)


def copies(model, rng):
    """A pass of a pickled copy, which packs its weights while others read the first one's."""
    x = draw(model, rng, 7, 3)
    return User(lambda: pickle.loads(pickle.dumps(model))(x), lambda: model(x))


# ------------------------------------------------------------------------------------------------------- training


def _gradients(model, tape, dy, threads):
    grads = model.backward(tape, dy, threads=threads)
    return grads.x, *grads.values()


def trainings(model, rng):
    """A tape and gradients, in several threads; float64 is promised the same bits with the same number of them."""
    x = draw(model, rng, 11, 5)
    dy = rng.normal(size=model(x)[0].shape).astype(model.dtype)

    def run(threads=2):
        y, hx, tape = model.record(x, threads=threads)
        return y, hx, _gradients(model, tape, dy, threads)

    return User(run, (lambda: run(1)) if _same_bits_in_threads(model) else run)


def of_one_tape(model, rng, count):
    """So many users, who go back over one tape."""
    y, _, tape = model.record(draw(model, rng, 13, 4))
    found = []
    for _ in range(count):
        dy = rng.normal(size=y.shape).astype(model.dtype)
        found.append(User(*[lambda dy=dy: _gradients(model, tape, dy, 1)] * 2))
    return found


# -------------------------------------------------------------------------------------------------- step by step


def streams(model, rng):
    """Steps, a run, a copy, and the state."""
    N = int(rng.integers(1, 4))
    x = draw(model, rng, 8, N)

    def run():
        stream = model.stream(N)
        steps = tuple(stream.step(x_t) for x_t in x[:3])
        return *steps, stream.copy().run(x[3:]), stream.run(x[3:]), stream.state

    return User(run, run)


def pools(model, rng, rows=9):
    """Streams that step together."""
    x = draw(model, rng, 2, rows)

    def run(threads=2):
        pool = model.pool(rows + 1, threads=threads)
        ids = [pool.open() for _ in range(rows)]
        steps = tuple(pool.step(ids, x_t) for x_t in x)
        return *steps, pool.step(ids[0], x[0, 0]), pool.state(ids[-1])

    return User(run, lambda: run(1))


def windows(model, rng):
    """Answers over the last samples, settled or not."""
    x = draw(model, rng, 5)

    def run():
        window, found = model.window(3), []
        for place, x_t in enumerate(x):
            found.append(window.step(x_t))
            if place % 3:
                window.settle()
        return tuple(found)

    return User(run, run)
