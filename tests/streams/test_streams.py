"""`cgru.Stream`: a model with a running state, step by step and chunk by chunk; bad input in test_stream_errors.py."""

import copy
import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import cgru
from support import reference
from bits import STACKS, assert_same_bits, build, draw
from support.models import float32_values, random_state

T, N, INPUT, H = 9, 4, 5, 19


def feed(stream, x):
    """Outputs of one step after the other."""
    return np.stack([stream.step(x_t) for x_t in x])


# --------------------------------------------------------------------------------------- what it computes


@pytest.mark.parametrize("num_layers", [1, 2, 3])
@pytest.mark.parametrize("reset_after", [True, False], ids=["after", "before"])
@pytest.mark.parametrize("rows", [None, 1, 3, 9])
def test_oracle_agreement(variant, rng, num_layers, reset_after, rows):
    state = random_state(rng, INPUT, H, num_layers=num_layers)
    batch = () if rows is None else (rows,)
    x = float32_values(rng.normal(size=(T, *batch, INPUT)))
    h_0 = float32_values(rng.normal(size=(num_layers, *batch, H)))
    expected, h_n = reference.gru(x, state, h_0, reset_after=reset_after)
    model = variant.from_state(state, reset_after=reset_after)
    x, h_0 = variant.cast(x), variant.cast(h_0)
    for way in (feed, cgru.Stream.run):
        stream = model.stream(rows, h_0)
        y = way(stream, x)
        assert y.dtype == variant.dtype and y.shape == expected.shape
        assert_allclose(y, expected, rtol=0, atol=variant.tolerance)
        assert stream.state.shape == h_n.shape
        assert_allclose(stream.state, h_n, rtol=0, atol=variant.tolerance)


@pytest.mark.parametrize("stack", STACKS)
def test_every_configuration_streams(variant, rng, stack):
    """Other activations, clip, no bias, batch_first, stored states: what the model says of the whole."""
    model = build(variant, INPUT, H, **STACKS[stack])
    x, h_0 = draw(variant, rng, model, T, N)
    y, h_n = model(x, h_0)
    stream = model.stream(N, h_0)
    assert_allclose(stream.run(x), y, rtol=0, atol=variant.tolerance)
    assert_allclose(stream.state, h_n, rtol=0, atol=variant.tolerance)
    stream.reset(h_0)
    steps, wanted = (a.swapaxes(0, 1) if model.batch_first else a for a in (x, y))
    assert_allclose(feed(stream, steps), wanted, rtol=0, atol=variant.tolerance)


def test_steps_and_runs_follow_each_other(best, rng):
    model = best.gru(INPUT, H, num_layers=2, rng=1)
    x, h_0 = best.cast(rng.normal(size=(T, N, INPUT))), best.cast(rng.normal(size=(2, N, H)))
    y, h_n = model(x, h_0)
    stream = model.stream(N, h_0)
    parts = [stream.step(x[0])[None], stream.run(x[1:5]), stream.run(x[5:5])]
    parts += [stream.step(x[5])[None], stream.run(x[6:])]
    assert [len(part) for part in parts] == [1, 4, 0, 1, 3]
    assert_allclose(np.concatenate(parts), y, rtol=0, atol=best.tolerance)
    assert_allclose(stream.state, h_n, rtol=0, atol=best.tolerance)


def test_a_long_step_is_the_same_step(variant, rng):
    """Beyond a million multiply-adds a step releases the GIL; nothing else changes."""
    model = variant.gru(40, 333, rng=1)
    x, h_0 = variant.cast(rng.normal(size=(3, 9, 40))), variant.cast(rng.normal(size=(1, 9, 333)))
    assert_allclose(feed(model.stream(9, h_0), x), model(x, h_0)[0], rtol=0, atol=variant.tolerance)


# --------------------------------------------------------------------------------------- chunks and layouts


def test_no_steps(best, rng):
    """A chunk of T = 0 gives no output and leaves the state."""
    for batch_first in (False, True):
        model = best.gru(INPUT, H, num_layers=2, batch_first=batch_first, rng=1)
        h_0 = best.cast(rng.normal(size=(2, N, H)))
        stream, row = model.stream(N, h_0), model.stream(h_0=h_0[:, 1])
        y = stream.run(np.empty((N, 0, INPUT) if batch_first else (0, N, INPUT), best.dtype))
        assert y.shape == ((N, 0, H) if batch_first else (0, N, H)) and y.dtype == best.dtype
        assert row.run(np.empty((0, INPUT))).shape == (0, H)
        assert_same_bits(stream.state, h_0)
        assert_same_bits(row.state, h_0[:, 1])


def test_batch_first_chunks(best, rng):
    """`run` takes (N, T, I) of a batch_first model, also where N = T; a step has no time axis."""
    model = best.gru(INPUT, H, batch_first=True, rng=1)
    x = best.cast(rng.normal(size=(N, N, INPUT)))
    y, h_n = model(x)
    stream = model.stream(N)
    assert_array_equal(stream.run(x), y)
    assert_array_equal(stream.state, h_n)
    stream.reset()
    assert_allclose(feed(stream, x.swapaxes(0, 1)), y.swapaxes(0, 1), rtol=0, atol=best.tolerance)
    assert_allclose(model.stream().run(x[1]), y[1], rtol=0, atol=best.tolerance)


# ------------------------------------------------------------------------------------------- x and out


def other_forms(x_t):
    """The same numbers as ndarrays that are not plain, and as no ndarrays at all."""
    shifted = np.zeros(x_t.nbytes + 1, np.uint8)[1:].view(x_t.dtype).reshape(x_t.shape)
    shifted[...] = x_t
    read_only = x_t.copy()
    read_only.flags.writeable = False
    wide = np.repeat(x_t, 2, axis=-1)
    return {
        "list": x_t.tolist(),
        "tuple": tuple(x_t),
        "other float": x_t.astype(np.float64 if x_t.dtype == np.float32 else np.longdouble),
        "byte-swapped": x_t.astype(x_t.dtype.newbyteorder()),
        "strided": wide[..., ::2],
        "reversed": np.ascontiguousarray(x_t[..., ::-1])[..., ::-1],
        "Fortran": np.asfortranarray(x_t),
        "unaligned": shifted,
        "read-only": read_only,
        "subclass": x_t.view(np.recarray),
        "buffer": memoryview(x_t),
    }


@pytest.mark.parametrize("form", other_forms(np.zeros((1, 2))))
@pytest.mark.parametrize("rows", [None, N])
def test_anything_else_is_converted(best, rng, form, rows):
    model = best.gru(INPUT, H, num_layers=2, rng=1)
    x = best.cast(rng.normal(size=(T, *([] if rows is None else [rows]), INPUT)))
    plain, converted = model.stream(rows), model.stream(rows)
    for x_t in x:
        given = other_forms(x_t)[form]
        kept = copy.deepcopy(given) if form != "buffer" else None
        assert_same_bits(converted.step(given), plain.step(x_t))
        if kept is not None:
            assert_array_equal(given, kept)


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "int64", "float16", "float32", "float64"])
def test_numbers_are_converted(best, rng, dtype):
    model = best.gru(INPUT, H, rng=1)
    x = np.clip(rng.normal(size=(T, N, INPUT)) * 3, 0, 9).astype(dtype)
    y, stream, other = model(x)[0], model.stream(N), model.stream(N)
    assert_allclose(feed(stream, x), y, rtol=0, atol=best.tolerance)
    assert_array_equal(other.run(x), y)


def test_new_output_or_out(best, rng):
    """Without `out` every result is an array of its own; with it, that array is filled and returned."""
    model = best.gru(INPUT, H, num_layers=2, rng=1)
    x = best.cast(rng.normal(size=(T, N, INPUT)))
    stream, other = model.stream(N), model.stream(N)
    results = [stream.step(x_t) for x_t in x]
    kept = [result.copy() for result in results]
    out = np.full((N, H), np.nan, best.dtype)
    for x_t, result in zip(x, kept, strict=True):
        assert other.step(x_t, out=out) is out
        assert_same_bits(out, result)
        out[...] = np.nan                       # the output is a copy of the state
    for result, was in zip(results, kept, strict=True):
        assert_same_bits(result, was)
        assert result.flags.c_contiguous and result.flags.owndata
    assert not any(np.shares_memory(a, b) for a in results for b in results if a is not b)


def test_out_may_be_x(best, rng):
    """With as many features as units a signal may be replaced where it stands."""
    model = best.gru(H, H, num_layers=2, rng=1)
    x = best.cast(rng.normal(size=(T, N, H)))
    stream, y = model.stream(N), feed(model.stream(N), x)
    for x_t, wanted in zip(x, y, strict=True):
        assert_same_bits(stream.step(x_t, out=x_t), wanted)


# ------------------------------------------------------------------------------------------------ state


@pytest.mark.parametrize("rows", [None, N])
def test_state_is_a_copy_both_ways(best, rng, rows):
    model = best.gru(INPUT, H, num_layers=2, rng=1)
    batch = [] if rows is None else [rows]
    x, h = best.cast(rng.normal(size=(T, *batch, INPUT))), best.cast(rng.normal(size=(2, *batch, H)))
    stream = model.stream(rows)
    assert_array_equal(stream.state, np.zeros((2, *batch, H)))
    stream.state = h
    kept = h.copy()
    h[...] = np.nan
    assert_same_bits(stream.state, kept)
    first = feed(stream, x[:4])
    saved = stream.state
    assert saved.dtype == best.dtype and saved.shape == (2, *batch, H) and saved.flags.writeable
    then = feed(stream, x[4:])
    changed = stream.state
    changed[...] = np.nan
    assert np.isfinite(stream.state).all()
    stream.state = saved
    assert_same_bits(feed(stream, x[4:]), then)
    stream.state = kept.tolist()
    assert_same_bits(feed(stream, x[:4]), first)


def test_reset(best, rng):
    model = best.gru(INPUT, H, num_layers=2, rng=1)
    x, h_0 = best.cast(rng.normal(size=(T, N, INPUT))), best.cast(rng.normal(size=(2, N, H)))
    stream = model.stream(N, h_0)
    from_h_0 = feed(stream, x)
    stream.reset()
    assert_array_equal(stream.state, np.zeros((2, N, H)))
    from_zeros = feed(stream, x)
    assert_same_bits(from_zeros, feed(model.stream(N), x))
    stream.reset(h_0)
    assert_same_bits(feed(stream, x), from_h_0)
    stream.reset(h_0=np.asfortranarray(h_0))
    assert_same_bits(feed(stream, x), from_h_0)
    assert not np.array_equal(from_h_0, from_zeros)


@pytest.mark.parametrize("rows", [None, N])
def test_a_learned_initial_state(variant, rng, rows):
    """A model that brings its own h_0 starts and restarts from it, in every row."""
    state = random_state(rng, INPUT, H, num_layers=2)
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
    model = best.gru(INPUT, H, num_layers=2, rng=1)
    x = best.cast(rng.normal(size=(3, T, INPUT)))
    alone = [feed(model.stream(), sequence) for sequence in x]
    streams = [model.stream() for _ in x]
    interleaved = [[stream.step(sequence[t]) for stream, sequence in zip(streams, x, strict=True)] for t in range(T)]
    assert_same_bits(np.array(interleaved).swapaxes(0, 1), np.array(alone))
    assert all(stream.model is model for stream in streams)


def test_a_stream_keeps_what_it_needs(best, rng):
    """The model may be forgotten; the compiled layers live as long as the stream."""
    x = best.cast(rng.normal(size=(T, INPUT)))
    model = best.gru(INPUT, H, num_layers=3, rng=1)
    expected = feed(model.stream(), x)
    stream = model.stream()
    del model
    garbage = [best.gru(INPUT, H, num_layers=3, rng=seed) for seed in range(5)]
    assert len(garbage) == 5
    assert_same_bits(feed(stream, x), expected)


@pytest.mark.parametrize("rows", [None, N])
@pytest.mark.parametrize("how", ["copy", "deepcopy", "pickle"])
def test_copies(best, rng, rows, how):
    """A copy goes on from the same state by itself."""
    again = {"copy": copy.copy, "deepcopy": copy.deepcopy, "pickle": lambda s: pickle.loads(pickle.dumps(s))}[how]
    model = best.gru(INPUT, H, num_layers=2, rng=1)
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
    assert model.stream(4).batch_size == 4 and model.stream().batch_size is None
