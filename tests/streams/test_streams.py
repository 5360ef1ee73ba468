"""`cgru.Stream`: a model of any kind with a running state, by steps and chunks; bad input is in test_errors.py."""

import copy
import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import cgru
from support import reference
from support.compare import assert_close, assert_equal, assert_same_bits
from support.models import (
    build,
    draw,
    draw_hx,
    float32_values,
    on_planes,
    pack,
    planes,
    random_state,
    row_of,
    zeros_hx,
)
from support.variants import WEIGHTS

pytestmark = pytest.mark.variants(weights=WEIGHTS)

T, N, INPUT, H = 9, 4, 5, 19


def feed(stream, x):
    """Outputs of one step after the other."""
    return np.stack([stream.step(x_t) for x_t in x])


# --------------------------------------------------------------------------------------- what it computes


@pytest.mark.configurations(layout="one layer")
@pytest.mark.parametrize("num_layers", [1, 2, 3])
@pytest.mark.parametrize("rows", [None, 1, 3, 9])
@pytest.mark.variants(weights="float32")
def test_oracle_agreement(variant, configuration, rng, num_layers, rows):
    state = random_state(rng, INPUT, H, num_layers=num_layers, kind=variant.kind)
    batch = () if rows is None else (rows,)
    x = float32_values(rng.normal(size=(T, *batch, INPUT)))
    shape = (num_layers, *batch, H)
    hx = pack([float32_values(rng.normal(size=shape)) for _ in variant.cell.states])
    expected, final = getattr(reference, variant.kind)(x, state, hx, **configuration.options)
    model = variant.from_state(state, **configuration.options)
    x, hx = variant.cast(x), on_planes(hx, variant.cast)
    # relu is not bounded, and errors grow with it
    tolerance = variant.tolerance * max(1.0, *(np.abs(array).max() for array in (expected, *planes(final))))
    for way in (feed, cgru.Stream.run):
        stream = model.stream(rows, hx)
        y = way(stream, x)
        assert y.dtype == variant.dtype
        assert_close((y, stream.state), (expected, final), tolerance)


@pytest.mark.configurations(streams=True)
def test_every_configuration_streams(variant, configuration, rng):
    """Other activations, clip, no bias, batch_first, stored states: what the model says of the whole."""
    model = build(variant, configuration, INPUT, H)
    x, hx = draw(variant, rng, model, T, N)
    whole = y, h_n = model(x, hx)
    stream = model.stream(N, hx)
    assert_close((stream.run(x), stream.state), whole, variant.tolerance)
    stream.reset(hx)
    steps, wanted = (a.swapaxes(0, 1) if model.batch_first else a for a in (x, y))
    assert_close((feed(stream, steps), stream.state), (wanted, h_n), variant.tolerance)
    for row in range(N):
        alone = model.stream(None, row_of(hx, row))
        assert_close(feed(alone, steps[:, row]), wanted[:, row], variant.tolerance)


def test_the_state_is_what_the_kind_has(variant, rng):
    """An array, or an LSTM's pair (h, c): taken and given in that form, and handed from call to stream and back."""
    model = variant.model(INPUT, H, num_layers=2, rng=1)
    for rows in (None, N):
        batch = () if rows is None else (rows,)
        x = variant.cast(rng.normal(size=(T, *batch, INPUT)))
        hx = draw_hx(variant, rng, model, *batch)
        stream = model.stream(rows, hx=hx)
        assert isinstance(stream.state, tuple) == (len(variant.cell.states) == 2)
        assert len(planes(stream.state)) == len(variant.cell.states)
        assert_same_bits(stream.state, hx)
        _, middle = model(x[:4], hx)
        stream.run(x[:4])
        assert_close(stream.state, middle, variant.tolerance)
        stream.state = middle
        y, final = model(x[4:], middle)
        assert_close((feed(stream, x[4:]), stream.state), (y, final), variant.tolerance)


@pytest.mark.variants(kind="lstm")
def test_either_plane_of_a_pair_may_be_left_out(best, rng):
    model = best.model(INPUT, H, num_layers=2, rng=1)
    h, c = draw_hx(best, rng, model, N)
    zero = np.zeros_like(h)
    stream = model.stream(N, (h, None))
    assert_same_bits(stream.state, (h, zero))
    stream.reset((None, c))
    assert_same_bits(stream.state, (zero, c))


def test_states_of_another_float_are_converted(best, rng):
    """As x is: at construction, in reset and where `state` is set."""
    model = best.model(INPUT, H, num_layers=2, rng=1)
    for dtype in ("float64", "float16", "int8"):
        hx = on_planes(draw_hx(best, rng, model, N), lambda plane: (9 * plane).astype(dtype))      # noqa: B023
        cast = on_planes(hx, lambda plane: plane.astype(best.dtype))
        stream = model.stream(N, hx)
        assert_same_bits(stream.state, cast)
        stream.reset()
        stream.reset(hx)
        assert_same_bits(stream.state, cast)
        stream.reset()
        stream.state = hx
        assert_same_bits(stream.state, cast)


def test_steps_and_runs_follow_each_other(best, rng):
    model = best.model(INPUT, H, num_layers=2, rng=1)
    x, hx = draw(best, rng, model, T, N)
    y, h_n = model(x, hx)
    stream = model.stream(N, hx)
    parts = [stream.step(x[0])[None], stream.run(x[1:5]), stream.run(x[5:5])]
    parts += [stream.step(x[5])[None], stream.run(x[6:])]
    assert [len(part) for part in parts] == [1, 4, 0, 1, 3]
    assert_close((np.concatenate(parts), stream.state), (y, h_n), best.tolerance)


def test_a_long_step_is_the_same_step(variant, rng):
    """Beyond a million multiply-adds a step releases the GIL; nothing else changes."""
    model = variant.model(40, {"gru": 333, "lstm": 333, "rnn": 500}[variant.kind], rng=1)
    x, hx = draw(variant, rng, model, 3, 9)
    assert_close(feed(model.stream(9, hx), x), model(x, hx)[0], variant.tolerance)


# --------------------------------------------------------------------------------------- chunks and layouts


def test_no_steps(best, rng):
    """A chunk of T = 0 gives no output and leaves the state."""
    for batch_first in (False, True):
        model = best.model(INPUT, H, num_layers=2, batch_first=batch_first, rng=1)
        hx = draw_hx(best, rng, model, N)
        hx_row = row_of(hx, 1)
        stream, row = model.stream(N, hx), model.stream(hx=hx_row)
        y = stream.run(np.empty((N, 0, INPUT) if batch_first else (0, N, INPUT), best.dtype))
        assert y.shape == ((N, 0, H) if batch_first else (0, N, H)) and y.dtype == best.dtype
        assert row.run(np.empty((0, INPUT))).shape == (0, H)
        assert_same_bits(stream.state, hx)
        assert_same_bits(row.state, hx_row)


def test_batch_first_chunks(best, rng):
    """`run` takes (N, T, I) of a batch_first model, also where N = T; a step has no time axis."""
    model = best.model(INPUT, H, batch_first=True, rng=1)
    x = best.cast(rng.normal(size=(N, N, INPUT)))
    y, h_n = model(x)
    stream = model.stream(N)
    assert_equal((stream.run(x), stream.state), (y, h_n))
    stream.reset()
    assert_allclose(feed(stream, x.swapaxes(0, 1)), y.swapaxes(0, 1), rtol=0, atol=best.tolerance)
    assert_allclose(model.stream().run(x[1]), y[1], rtol=0, atol=best.tolerance)


# ------------------------------------------------------------------------------------------------ state


@pytest.mark.parametrize("rows", [None, N])
def test_state_is_a_copy_both_ways(best, rng, rows):
    model = best.model(INPUT, H, num_layers=2, rng=1)
    batch = [] if rows is None else [rows]
    x, hx = best.cast(rng.normal(size=(T, *batch, INPUT))), draw_hx(best, rng, model, *batch)
    stream = model.stream(rows)
    assert_equal(stream.state, zeros_hx(best, model, *batch))
    stream.state = hx
    kept = on_planes(hx, np.copy)
    for plane in planes(hx):
        plane[...] = np.nan
    assert_same_bits(stream.state, kept)
    first = feed(stream, x[:4])
    saved = stream.state
    for plane in planes(saved):
        assert plane.dtype == best.dtype and plane.shape == (2, *batch, H)
    then = feed(stream, x[4:])
    stream.state = saved
    assert_same_bits(feed(stream, x[4:]), then)
    stream.state = on_planes(kept, np.ndarray.tolist)
    assert_same_bits(feed(stream, x[:4]), first)


def test_reset(best, rng):
    model = best.model(INPUT, H, num_layers=2, rng=1)
    x, hx = draw(best, rng, model, T, N)
    stream = model.stream(N, hx)
    from_hx = feed(stream, x)
    stream.reset()
    assert_equal(stream.state, zeros_hx(best, model, N))
    from_zeros = feed(stream, x)
    assert_same_bits(from_zeros, feed(model.stream(N), x))
    stream.reset(hx)
    assert_same_bits(feed(stream, x), from_hx)
    stream.reset(hx=on_planes(hx, np.asfortranarray))
    assert_same_bits(feed(stream, x), from_hx)
    assert not np.array_equal(from_hx, from_zeros)


@pytest.mark.variants(kind="gru", weights="float32")
@pytest.mark.parametrize("rows", [None, N])
def test_a_learned_initial_state(variant, rng, rows):
    """A model that brings its own h_0 starts and restarts from it, in every row."""
    state = random_state(rng, INPUT, H, num_layers=2, kind=variant.kind)
    learned = float32_values(rng.uniform(-1, 1, (2, H)))
    model = variant.from_state(state | {"h_0": learned})
    batch = () if rows is None else (rows,)
    h_0 = np.broadcast_to(learned.reshape(2, *(1,) * len(batch), H), (2, *batch, H))
    stream = model.stream(rows)
    assert_array_equal(stream.state, h_0)
    x = float32_values(rng.normal(size=(T, *batch, INPUT)))
    expected, _ = reference.gru(x, state, h_0)
    assert_allclose(feed(stream, variant.cast(x)), expected, rtol=0, atol=variant.tolerance)
    stream.reset()
    assert_array_equal(stream.state, h_0)
    zeros = variant.cast(np.zeros_like(h_0))
    assert_array_equal(model.stream(rows, zeros).state, zeros)


def test_streams_share_a_model_and_nothing_else(best, rng):
    model = best.model(INPUT, H, num_layers=2, rng=1)
    x = best.cast(rng.normal(size=(3, T, INPUT)))
    alone = [feed(model.stream(), sequence) for sequence in x]
    streams = [model.stream() for _ in x]
    interleaved = [[stream.step(sequence[t]) for stream, sequence in zip(streams, x, strict=True)] for t in range(T)]
    assert_same_bits(np.array(interleaved).swapaxes(0, 1), np.array(alone))
    assert all(stream.model is model for stream in streams)


def test_a_stream_keeps_what_it_needs(best, rng):
    """The model may be forgotten; the compiled layers live as long as the stream."""
    x = best.cast(rng.normal(size=(T, INPUT)))
    model = best.model(INPUT, H, num_layers=3, rng=1)
    expected = feed(model.stream(), x)
    stream = model.stream()
    del model
    garbage = [best.model(INPUT, H, num_layers=3, rng=seed) for seed in range(5)]
    assert len(garbage) == 5
    assert_same_bits(feed(stream, x), expected)


@pytest.mark.parametrize("rows", [None, N])
@pytest.mark.parametrize("how", ["copy", "deepcopy", "pickle"])
def test_copies(best, rng, rows, how):
    """A copy goes on from the same state by itself."""
    again = {"copy": copy.copy, "deepcopy": copy.deepcopy, "pickle": lambda s: pickle.loads(pickle.dumps(s))}[how]
    model = best.model(INPUT, H, num_layers=2, rng=1)
    batch = [] if rows is None else [rows]
    x = best.cast(rng.normal(size=(T, *batch, INPUT)))
    stream = model.stream(rows)
    feed(stream, x[:4])
    other = again(stream)
    assert type(other) is cgru.Stream and other.batch_size == rows and repr(other) == repr(stream)
    assert (other.model is model) == (how == "copy")
    assert_same_bits(other.state, stream.state)
    wanted = feed(stream, x[4:])
    assert_same_bits(feed(other, x[4:]), wanted)


def test_repr():
    model = cgru.GRU(3, 5, engine="blas")
    assert repr(model.stream(4)) == "Stream(GRU(3, 5, dtype=float32, engine='blas'), batch_size=4)"
    lstm = cgru.LSTM(3, 5, engine="blas")
    assert repr(lstm.stream()) == "Stream(LSTM(3, 5, dtype=float32, engine='blas'), batch_size=None)"
    assert model.stream(4).batch_size == 4 and model.stream().batch_size is None
