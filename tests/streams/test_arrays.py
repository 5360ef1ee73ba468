"""What goes into `Stream.step` and `run` and comes out: other forms of x, new results and `out`."""

import copy

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from support.compare import assert_same_bits
from support.variants import WEIGHTS

pytestmark = pytest.mark.variants(weights=WEIGHTS)

T, N, INPUT, H = 9, 4, 5, 19


def feed(stream, x):
    """Outputs of one step after the other."""
    return np.stack([stream.step(x_t) for x_t in x])


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
    model = best.model(INPUT, H, num_layers=2, rng=1)
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
    model = best.model(INPUT, H, rng=1)
    x = np.clip(rng.normal(size=(T, N, INPUT)) * 3, 0, 9).astype(dtype)
    y, stream, other = model(x)[0], model.stream(N), model.stream(N)
    assert_allclose(feed(stream, x), y, rtol=0, atol=best.tolerance)
    assert_array_equal(other.run(x), y)


def test_new_output_or_out(best, rng):
    """Without `out` every result is an array of its own; with it, that array is filled and returned."""
    model = best.model(INPUT, H, num_layers=2, rng=1)
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
    model = best.model(H, H, num_layers=2, rng=1)
    x = best.cast(rng.normal(size=(T, N, H)))
    stream, y = model.stream(N), feed(model.stream(N), x)
    for x_t, wanted in zip(x, y, strict=True):
        assert_same_bits(stream.step(x_t, out=x_t), wanted)
