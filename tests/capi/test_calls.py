"""cgru.h from a C extension: the numbers of `Stream`, to the last bit; memory, errors, threads that Python never saw.

calls.c is the extension.
"""

import contextlib
import gc
import sys

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import cgru
from support.streamed import Streamed, flat
from support.variants import WEIGHTS

OK, BUSY, NO_MEMORY, BAD_ROWS, BAD_ARGUMENT, IN_USE = 0, -1, -2, -3, -4, -5
T, N, INPUT, H, LAYERS = 7, 3, 5, 19, 2
LONG = 90       # hidden units of a layer whose step is not short


@pytest.fixture
def streamed(calls):
    """A function: a `Streamed` of a model, which is freed at the end."""
    with contextlib.ExitStack() as stack:

        def make(model, rows=1):
            made = Streamed(calls, model, rows)
            stack.callback(made.free)
            return made

        yield make


def draw(rng, *shape):
    return rng.standard_normal(shape) * 2


def network(dtype="float32", engine="auto", hidden=H):
    options = {"dtype": dtype, "engine": engine}
    return cgru.Sequential([
        cgru.Linear(INPUT, 11, rng=1, activation="tanh", **options),
        cgru.GRU(11, hidden, 2, rng=2, **options),
        cgru.LSTM(hidden, 13, rng=3, **options),
        cgru.Linear(13, 4, rng=4, **options),
    ], skip=True)  # fmt: skip


def flat_of_network(state):
    return np.concatenate([flat(one) for one in state])


@pytest.mark.variants(weights=WEIGHTS)
@pytest.mark.parametrize("rows", [1, N])
@pytest.mark.parametrize("hidden", [H, LONG])
def test_the_numbers_are_those_of_stream(best, streamed, rng, rows, hidden):
    """Every kind, engine, dtype and type of weights: steps, runs, the state, and a new start."""
    model = best.model(INPUT, hidden, LAYERS, rng=1)
    stream, ours = model.stream(rows), streamed(model, rows)
    planes = len(best.cell.states)
    assert (ours.input_size, ours.output_size, ours.state_size) == (INPUT, hidden, LAYERS * hidden * planes)
    x = best.cast(draw(rng, 2 * T, rows, INPUT))
    expected = np.array([stream.step(x_t) for x_t in x])
    assert np.abs(expected).max() > 0.1 and np.isfinite(expected).all()
    for x_t, y_t in zip(x[:T], expected[:T], strict=True):
        assert_array_equal(ours.step(x_t), y_t)
    assert_array_equal(ours.run(x[T:]), expected[T:])
    assert_array_equal(ours.state, flat(stream.state))
    ours.reset()
    assert_array_equal(ours.run(x), expected)
    if best.engine == "packed":
        assert_array_equal(ours.state, flat(stream.state))
        stream.reset()
        assert_array_equal(stream.run(x), expected)


@pytest.mark.parametrize(("dtype", "engine"), [("float32", "packed"), ("float32", "blas"), ("float64", "blas")])
@pytest.mark.parametrize("rows", [1, N])
@pytest.mark.parametrize("hidden", [H, LONG])
@pytest.mark.parametrize("steps", [T, 150])
def test_networks(streamed, rng, dtype, engine, rows, hidden, steps):
    """Layers one after the other, with the skip connection; also more steps than go through a layer at once."""
    model = network(dtype, engine, hidden)
    stream, ours = model.stream(rows), streamed(model, rows)
    assert (ours.input_size, ours.output_size, ours.state_size) == (INPUT, 4, 2 * hidden + 2 * 13)
    x = draw(rng, steps, rows, INPUT).astype(dtype)
    expected = np.array([stream.step(x_t) for x_t in x])
    assert_array_equal(ours.run(x), expected)
    assert_array_equal(ours.state, flat_of_network(stream.state))
    ours.reset()
    for x_t, y_t in zip(x[:T], expected[:T], strict=True):
        assert_array_equal(ours.step(x_t), y_t)
    if engine == "packed":
        stream.reset()
        assert_array_equal(stream.run(x), expected)


@pytest.mark.parametrize("weights", ["float32", "bfloat16", "int8"])
@pytest.mark.parametrize("rows", [1, N])
def test_a_linear_alone(streamed, rng, weights, rows):
    """Which has no `Stream` of its own: a network of it has."""
    model = cgru.Linear(INPUT, H, rng=1, activation="tanh")
    model = model if weights == "float32" else model.quantize(weights)
    stream, ours = cgru.Sequential([model]).stream(rows), streamed(model, rows)
    assert (ours.input_size, ours.output_size, ours.state_size) == (INPUT, H, 0)
    x = draw(rng, 70, rows, INPUT).astype(np.float32)
    assert_array_equal(ours.run(x), [stream.step(x_t) for x_t in x])
    assert_array_equal(ours.step(x[1]), stream.step(x[1]))


def test_an_initial_state_is_where_it_starts(streamed, rng):
    """Stored with the model, for each row, at first and after a reset."""
    model = cgru.LSTM(INPUT, H, LAYERS, rng=1, initial_state=(draw(rng, LAYERS, H), draw(rng, LAYERS, H)))
    stream, ours = model.stream(N), streamed(model, N)
    start = flat(stream.state)
    assert np.abs(start).min() > 0
    assert_array_equal(ours.state, start)
    x = draw(rng, T, N, INPUT).astype(np.float32)
    expected = stream.run(x)
    assert_array_equal(ours.run(x), expected)
    ours.reset()
    assert_array_equal(ours.state, start)
    assert_array_equal(ours.run(x), expected)


def test_the_state_can_be_kept_and_set(calls, streamed, rng):
    """In the documented order; a copy goes its own way."""
    model = network()
    ours = streamed(model, N)
    x = draw(rng, 2 * T, N, INPUT).astype(np.float32)
    ours.run(x[:T])
    kept = ours.state
    code, copy = calls.stream_copy(ours.stream)
    assert code == OK
    expected = ours.run(x[T:])
    assert not np.array_equal(ours.state, kept)
    ours.set_state(kept)
    assert_array_equal(ours.run(x[T:]), expected)
    for x_t, y_t in zip(x[T:], expected, strict=True):
        assert_array_equal(ours.step(x_t, copy), y_t)
    assert calls.stream_free(copy) == OK
    # what was set is what a stream of Python's makes of it
    stream = model.stream(N)
    h, (a, b) = draw(rng, 2, N, H).astype(np.float32), draw(rng, 2, 1, N, 13).astype(np.float32)
    stream.state = h, (a, b)
    ours.set_state(np.concatenate([h[0].ravel(), h[1].ravel(), a.ravel(), b.ravel()]))
    assert_array_equal(ours.run(x), stream.run(x))


def test_y_may_be_x(calls, streamed, rng):
    """A step's always; a run's where y has no more features than x."""
    for model in (network(), cgru.GRU(INPUT, INPUT, rng=1)):
        ours = streamed(model)
        x = draw(rng, 150, 1, INPUT).astype(np.float32)
        expected = ours.run(x)
        ours.reset()
        both = x.copy()
        assert calls.stream_run(ours.stream, len(x), both, both, False) == OK
        assert_array_equal(both.ravel()[: expected.size], expected.ravel())
        ours.reset()
        both = x[0].copy()
        assert calls.stream_run(ours.stream, 1, both, both, True) == OK
        assert_array_equal(both[:, : model.input_size][:, : expected.shape[2]], expected[0])


def test_a_handle_keeps_the_model_alive(calls, rng):
    model = cgru.GRU(INPUT, H, rng=1)
    x = draw(rng, T, 1, INPUT).astype(np.float32)
    expected, count = model.stream(1).run(x), sys.getrefcount(model)
    ours = Streamed(calls, model)
    held = sys.getrefcount(model)
    assert held > count
    other = calls.model_new(model)
    assert sys.getrefcount(model) > held
    assert calls.model_free(other) == OK
    assert sys.getrefcount(model) == held
    watched = model.weights
    before = sys.getrefcount(watched)
    del model
    gc.collect()
    assert sys.getrefcount(watched) == before
    assert_array_equal(ours.run(x), expected)
    ours.free()
    assert sys.getrefcount(watched) < before


# ---- errors


@pytest.mark.parametrize("kind", ["GRU", "LSTM", "RNN"])
def test_what_cannot_be_streamed_is_named(calls, kind):
    for options, word in (({"bidirectional": True}, "bidirectional"), ({"reverse": True}, "reversed")):
        model = getattr(cgru, kind)(INPUT, H, **options)
        count = sys.getrefcount(model)
        with pytest.raises(ValueError, match=f"a {word} {kind} cannot be streamed"):
            calls.model_new(model)
        with pytest.raises(ValueError, match=f"layer 0: a {word} {kind} cannot be streamed"):
            calls.model_new(cgru.Sequential([model]))
        assert sys.getrefcount(model) == count
    with pytest.raises(ValueError, match="at most 64 layers; this model has 65"):
        calls.model_new(getattr(cgru, kind)(2, 2, 65))


@pytest.mark.parametrize("other", [None, 5, np.ones(3), cgru.GRU, "gru"])
def test_what_is_no_model(calls, other):
    with pytest.raises(TypeError, match="model must be a GRU, LSTM, RNN, Linear or Sequential; got "):
        calls.model_new(other)


def test_wrong_rows(calls):
    model = calls.model_new(cgru.GRU(INPUT, H, rng=1))
    for rows in (0, -1, 2**31, sys.maxsize, -sys.maxsize):
        assert calls.stream_new(model, rows) == (BAD_ROWS, 0)
    assert calls.model_free(model) == OK


def test_too_much_memory(calls):
    """More than there are addresses: some 10^15 bytes."""
    model = calls.model_new(cgru.Linear(3, 2**15, rng=1))
    assert calls.stream_new(model, 2**31 - 1) == (NO_MEMORY, 0)
    assert calls.model_free(model) == OK


def test_null_pointers_and_steps(calls, streamed):
    ours = streamed(cgru.GRU(INPUT, H, rng=1))
    x, y = np.ones((T, INPUT), np.float32), np.full((T, H), np.nan, np.float32)
    null, stream, before = 0, ours.stream, ours.state
    assert calls.stream_new(null, 1) == (BAD_ARGUMENT, 0)
    assert calls.stream_copy(null) == (BAD_ARGUMENT, 0)
    assert calls.stream_reset(null) == BAD_ARGUMENT
    assert calls.stream_free(null) == calls.model_free(null) == OK
    for single in (True, False):
        for arguments in ((null, T, x, y), (stream, T, None, y), (stream, T, x, None)):
            assert calls.stream_run(*arguments, single) == BAD_ARGUMENT
    assert calls.stream_run(stream, -1, x, y, False) == BAD_ARGUMENT
    assert calls.stream_run(stream, 0, None, None, False) == OK
    for store in (True, False):
        assert calls.state(stream, None, store) == calls.state(null, x, store) == BAD_ARGUMENT
    assert np.isnan(y).all()
    assert_array_equal(ours.state, before)


def test_a_model_with_streams_is_not_freed(calls):
    model = calls.model_new(cgru.GRU(INPUT, H, rng=1))
    _, one = calls.stream_new(model, 1)
    _, two = calls.stream_copy(one)
    assert calls.model_free(model) == IN_USE
    assert calls.stream_free(one) == OK
    assert calls.model_free(model) == IN_USE
    assert calls.stream_free(two) == OK
    assert calls.model_free(model) == OK


def test_messages(calls):
    texts = [calls.message(code) for code in (OK, BUSY, NO_MEMORY, BAD_ROWS, BAD_ARGUMENT, IN_USE, 17)]
    assert len(set(texts)) == len(texts)
    assert "give each thread its own" in texts[1] and str(2**31 - 1) in texts[3] and "17" not in texts[-1]
