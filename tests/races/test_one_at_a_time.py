"""A stream, pool or window that several threads use at once: each call happens as a whole, or is refused."""

import numpy as np
import pytest

from support.compare import assert_same_bits
from support.users import fight

pytestmark = pytest.mark.variants(kind="gru")  # whoever holds it knows neither kinds nor types of weights

INPUT, T = 5, 3


@pytest.fixture
def wide(best):
    """A model whose steps release the GIL: over a million multiply-adds."""
    return best.model(INPUT, 640, rng=1)


@pytest.fixture
def x(best):
    return best.cast(np.linspace(-1, 1, INPUT))


def test_a_stream(wide, x):
    stream, alone = wide.stream(), wide.stream()
    steps = fight(*[lambda: stream.step(x)] * 3, lambda: stream.state)
    for _ in range(sum(steps[:3])):
        alone.step(x)
    assert_same_bits(stream.state, alone.state)


def test_a_stream_that_runs(best, x):
    """Small: its chunks go through compiled code without the GIL."""
    model = best.model(INPUT, 19, rng=1)
    stream, alone = model.stream(), model.stream()
    chunk = np.tile(x, (200, 1))
    for _ in range(sum(fight(*[lambda: stream.run(chunk)] * 4))):
        alone.run(chunk)
    assert_same_bits(stream.state, alone.state)


def test_a_pool(wide, x):
    pool, alone = wide.pool(8, threads=2), wide.stream()
    ids = [pool.open() for _ in range(6)]
    xs = np.tile(x, (6, 1))
    steps = fight(*[lambda: pool.step(ids, xs)] * 2, lambda: pool.close(pool.open()), lambda: pool.state(ids[0]))
    for _ in range(sum(steps[:2])):
        alone.step(x)
    for number in ids:
        assert_same_bits(pool.state(number), alone.state)


def test_a_window(wide, x):
    window, alone = wide.window(T), wide.window(T)
    steps = fight(*[lambda: window.step(x)] * 2, window.settle, window.settle)
    for _ in range(sum(steps[:2])):
        alone.step(x)
    assert window.count == alone.count
    for k in range(T + 1):
        assert_same_bits(window.step(x * k), alone.step(x * k))
