"""Streams of the C extension calls.c in threads that Python never saw."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import cgru
from support.streamed import Streamed, flat

OK, BUSY = 0, -1
INPUT, H, LAYERS = 5, 90, 2


def draw(rng, *shape):
    return rng.standard_normal(shape) * 2


@pytest.mark.parametrize(("dtype", "steps"), [("float32", 20_000), ("float64", 2_000)])
def test_eight_native_threads_share_a_model(calls, rng, dtype, steps):
    """Half of them step, half run, in float32 for longer than the 50 ms after which a stream of Python's would ask for
    Ctrl-C; and this thread waits with the GIL in its hand.
    """
    model, threads = cgru.GRU(INPUT, H, LAYERS, rng=1, dtype=dtype), 8
    x = draw(rng, steps, INPUT).astype(dtype)
    y = np.full((threads, steps, H), np.nan, dtype)
    handle = calls.model_new(model)
    assert calls.in_threads(handle, threads, steps, 2, x, y) == [OK] * threads
    assert calls.model_free(handle) == OK
    stream = model.stream()
    expected = np.array([stream.step(x_t) for x_t in x])
    for one in y:
        assert_array_equal(one, expected)


def test_a_running_stream_is_busy(calls, rng):
    """Its thread stands still in the middle of a run; everything else is refused, and the run ends as it should."""
    model = cgru.GRU(INPUT, H, LAYERS, rng=1)
    x = draw(rng, 4000, 1, INPUT).astype(np.float32)
    stream = model.stream(1)
    expected = stream.run(x)
    for _ in range(100):
        ours = Streamed(calls, model)
        y = np.full((len(x), 1, H), np.nan, np.float32)
        codes = calls.while_running(ours.stream, len(x), x, y, np.empty(LAYERS * H, np.float32))
        assert_array_equal(y, expected)
        assert_array_equal(ours.state, flat(stream.state))
        ours.free()
        if codes is not None:
            break
    assert codes == [BUSY] * 7 + [OK]
