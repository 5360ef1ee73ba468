"""`Stream.step(rows=)`: some rows advance, the others keep their state."""

import re

import numpy as np
import pytest

import cgru
from support.arrays import read_only, unaligned
from support.compare import assert_close, assert_same_bits
from support.models import build, draw, draw_hx, on_planes, planes, row_of
from support.rows import BAD_FORMS, FORMS, N
from support.variants import WEIGHTS

pytestmark = pytest.mark.variants(weights=WEIGHTS)

T, INPUT, H, LAYERS = 6, 5, 19, 3


@pytest.fixture
def running(variant, rng):
    """A stream in the middle of its rows' sequences."""
    model = variant.model(INPUT, H, LAYERS, rng=1)
    x, hx = draw(variant, rng, model, T, N)
    stream = model.stream(N, hx)
    stream.run(x)
    return stream


def indices(rows):
    """What `rows` names, as NumPy has it."""
    return np.arange(N)[list(rows) if isinstance(rows, tuple) else rows]


@pytest.mark.parametrize("form", FORMS)
def test_some_rows_advance(variant, running, rng, form):
    """As each would alone, on the engine packed to the last bit; the others stay, to the last bit."""
    rows = FORMS[form]
    index = indices(rows)
    expected = on_planes(running.state, np.copy)
    x_t = variant.cast(rng.normal(size=(*index.shape, INPUT)))
    wanted = np.empty((*index.shape, H), variant.dtype)
    for place in np.ndindex(index.shape):
        row = index[place]
        alone = running.model.stream(hx=row_of(expected, row))
        wanted[place] = alone.step(x_t[place])
        for plane, own in zip(planes(expected), planes(alone.state), strict=True):
            plane[:, row] = own
    y = running.step(x_t, rows=rows)
    if variant.engine == "packed" and variant.fused:
        assert_same_bits((y, running.state), (wanted, expected))
    else:
        assert_close((y, running.state), (wanted, expected), variant.tolerance)
    others = np.setdiff1d(np.arange(N), index)
    assert_same_bits(*(row_of(state, others) for state in (running.state, expected)))
    if index.size:
        assert_same_bits(y, planes(running.state)[0][-1, index])


@pytest.mark.configurations(streams=True)
def test_every_configuration(variant, configuration, rng):
    """Ticks at which other rows take part, against each row's own sequence."""
    model = build(variant, configuration, INPUT, H)
    hx = draw_hx(variant, rng, model, N)
    stream = model.stream(N, hx)
    seen: list[list] = [[] for _ in range(N)]
    got: list[list] = [[] for _ in range(N)]
    for _ in range(T):
        rows = rng.permutation(N)[: rng.integers(1, N)]
        x_t = variant.cast(rng.normal(size=(len(rows), INPUT)))
        for row, x, y in zip(rows, x_t, stream.step(x_t, rows=rows), strict=True):
            seen[row].append(x)
            got[row].append(y)
    for row in range(N):
        own = row_of(hx, row)
        alone = model.stream(hx=own)
        if seen[row]:
            assert_close(np.stack(got[row]), alone.run(np.stack(seen[row])), variant.tolerance)
        state = row_of(stream.state, row)
        assert_close(state, alone.state, variant.tolerance)


def test_all_rows_are_a_step(best, rng):
    model = best.model(INPUT, H, LAYERS, rng=1)
    x, hx = draw(best, rng, model, T, N)
    stream, other = model.stream(N, hx), model.stream(N, hx)
    for x_t in x:
        assert_same_bits(stream.step(x_t, rows=slice(None)), other.step(x_t))
    order = rng.permutation(N)
    assert_same_bits(stream.step(x_t[order], rows=order), other.step(x_t)[order])
    assert_same_bits(stream.state, other.state)


def test_into_an_array(best, rng):
    """`out` is filled and returned; it may overlap x_t."""
    model = best.model(H, H, LAYERS, rng=1)
    hx = draw_hx(best, rng, model, N)
    for rows, shape in (([4, 1, 2], (3, H)), (5, (H,)), ([], (0, H))):
        x_t = best.cast(rng.normal(size=shape))
        stream, other = model.stream(N, hx), model.stream(N, hx)
        expected, out = other.step(x_t, rows=rows), np.full(shape, np.nan, best.dtype)
        assert stream.step(x_t, out, rows) is out
        assert_same_bits((out, stream.state), (expected, other.state))
        stream.state = hx
        assert stream.step(x_t, out=x_t, rows=rows) is x_t
        assert_same_bits((x_t, stream.state), (expected, other.state))


def test_x_is_converted(best, rng):
    model = best.model(INPUT, H, rng=1)
    x_t = best.cast(rng.normal(size=(2, INPUT)))
    expected = model.stream(N).step(x_t, rows=[6, 3])
    forms = (x_t.tolist(), x_t.astype(np.longdouble), unaligned(x_t), read_only(x_t), memoryview(x_t), x_t.copy("F"))
    for given in forms:
        assert_same_bits(model.stream(N).step(given, rows=[6, 3]), expected)


# ------------------------------------------------------------------------------------------- refusals


@pytest.fixture
def stream(best, rng):
    """The same on the chosen instruction set alone."""
    model = best.model(INPUT, H, LAYERS, rng=1)
    return model.stream(N, draw_hx(best, rng, model, N))


def refused(stream, error, match, *arguments, **options):
    """The step raises this error, and the stream is where it was."""
    before = stream.state
    with pytest.raises(error, match=match):
        stream.step(*arguments, **options)
    assert_same_bits(stream.state, before)


@pytest.mark.parametrize("form", BAD_FORMS)
def test_bad_rows(stream, form):
    """In the words of `reset`."""
    refused(stream, ValueError, "rows must", np.ones((2, INPUT)), rows=BAD_FORMS[form])


def test_a_single_row_has_no_rows(best):
    row = best.model(INPUT, H, rng=1).stream()
    refused(row, ValueError, "without a batch size", np.ones(INPUT), rows=0)


@pytest.mark.parametrize("rows, shape", [
    ([1, 2], (3, INPUT)), ([1, 2], (N, INPUT)), ([1, 2], (INPUT,)), ([1], (INPUT,)), (1, (1, INPUT)), (1, (N, INPUT)),
    ([], (INPUT,)), (slice(None), (2, INPUT)),
])  # fmt: skip
def test_x_must_have_the_rows(stream, rows, shape):
    expected = (*indices(rows).shape, INPUT)
    for dtype in (stream.model.dtype, int):
        text = f"x_t has shape {shape}, this stream expects {expected} for these rows"
        refused(stream, ValueError, re.escape(text), np.ones(shape, dtype), rows=rows)


def test_bad_x_and_out(stream):
    """Before anything is written."""
    dtype, x_t = stream.model.dtype, np.ones((2, INPUT), stream.model.dtype)
    out = np.full((2, H), np.nan, dtype)
    refused(stream, ValueError, f"features.*input_size={INPUT}", np.ones((2, INPUT + 1)), out, rows=[0, 3])
    refused(stream, TypeError, "real numbers", [["1"] * INPUT] * 2, out, rows=[0, 3])
    refused(stream, ValueError, "rows must", x_t, out, rows=[0, N])
    assert np.isnan(out).all()
    refused(stream, ValueError, "out has shape", x_t, np.empty((N, H), dtype), rows=[0, 3])
    refused(stream, ValueError, "out has shape", x_t, np.empty((2, H + 1), dtype), rows=[0, 3])
    refused(stream, TypeError, "out must be a NumPy array", x_t, out.tolist(), rows=[0, 3])
    refused(stream, TypeError, "out has dtype", x_t, np.empty((2, H), int), rows=[0, 3])
    refused(stream, ValueError, "read-only", x_t, read_only(out), rows=[0, 3])
    refused(stream, ValueError, "C-contiguous", x_t, np.empty((H, 2), dtype).T, rows=[0, 3])
    refused(stream, ValueError, "not of a subclass", x_t, out.view(np.recarray), rows=[0, 3])


def test_a_wide_stream(rng):
    """More rows than the engine takes at once."""
    model = cgru.GRU(INPUT, 40, rng=1)
    stream, other = model.stream(20_000), model.stream(9_000)
    rows = rng.permutation(20_000)[:9_000]
    for _ in range(2):
        x_t = rng.normal(size=(9_000, INPUT)).astype(np.float32)
        y = stream.step(x_t, rows=rows)
        wanted = other.step(x_t)
        if model.engine == "packed":
            assert_same_bits(y, wanted)
    rest = np.setdiff1d(np.arange(20_000), rows)
    assert not stream.state[:, rest].any()
