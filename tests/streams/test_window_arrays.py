"""What goes into `Window.step` and comes out: other forms of x, new results and `out`, wherever they are in memory."""

import numpy as np
import pytest

from support.arrays import read_only, unaligned
from support.chains import Dense, Recipe, cells, network_of
from support.compare import assert_same_bits
from support.variants import WEIGHTS
from support.windows import afresh, feed, same, signal

pytestmark = pytest.mark.variants(weights=WEIGHTS)

SAMPLES, INPUT, H, LAYERS = 23, 5, 19, 2
networks = pytest.mark.variants(kind="gru", weights=WEIGHTS)


def test_new_output_or_out(best, rng):
    """Without `out` every answer is an array of its own; with it, that array is filled and returned."""
    model = best.model(INPUT, H, LAYERS, rng=1)
    x = signal(best, rng, SAMPLES, INPUT)
    window, other = model.window(4), model.window(4)
    results = [window.step(sample) for sample in x]
    kept = [result.copy() for result in results]
    out = np.full(H, np.nan, best.dtype)
    for sample, wanted in zip(x, kept, strict=True):
        assert other.step(sample, out=out) is out
        assert_same_bits(out, wanted)
        out[...] = np.nan
        other.settle()
    for result, was in zip(results, kept, strict=True):
        assert_same_bits(result, was)
        assert result.flags.c_contiguous and result.flags.owndata
    assert not any(np.shares_memory(a, b) for a in results for b in results if a is not b)


def test_x_belongs_to_the_caller(best, rng):
    """It may be overwritten as soon as there is an answer, and the answer may be where it was or beside it."""
    model = best.model(H, H, LAYERS, rng=1)
    x = signal(best, rng, SAMPLES, H)
    expected = feed(model.window(4), x)
    reused = np.empty(H, best.dtype)
    for place in range(-3, 4):
        window, both = model.window(4), np.empty(H + 3, best.dtype)
        for k, sample in enumerate(x):
            given, out = both[max(0, -place) :][:H], both[max(0, place) :][:H]
            given[...] = sample
            assert window.step(given, out=out) is out
            assert_same_bits(out, expected[k])
            both[...] = np.nan
            if k % 3:
                window.settle()
    window = model.window(4)
    for sample, wanted in zip(x, expected, strict=True):
        reused[...] = sample
        assert_same_bits(window.step(reused), wanted)
        reused[...] = np.nan


@networks
def test_x_and_out_of_a_network(best, rng):
    """The skip adds what x was, and the Linears in front saw it."""
    net = network_of(best, Recipe("square", 6, (Dense(7), cells("gru", 11), Dense(6, "tanh")), {"skip": True}))
    x = signal(best, rng, SAMPLES, 6)
    expected = afresh(net, x, 4)
    window = net.window(4)
    for sample, wanted in zip(x.copy(), expected, strict=True):
        assert window.step(sample, out=sample) is sample
        same(best)(sample, wanted)


FORMS = {
    "list": np.ndarray.tolist, "tuple": tuple, "other float": lambda a: a.astype(np.longdouble),
    "byte-swapped": lambda a: a.astype(a.dtype.newbyteorder()), "strided": lambda a: np.repeat(a, 2)[::2],
    "reversed": lambda a: np.ascontiguousarray(a[::-1])[::-1], "unaligned": unaligned, "read-only": read_only,
    "subclass": lambda a: a.view(np.recarray), "buffer": memoryview,
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_anything_else_is_converted(best, rng, form):
    model = best.model(INPUT, H, LAYERS, rng=1)
    x = signal(best, rng, 11, INPUT)
    expected = feed(model.window(4), x)
    window, out = model.window(4), np.empty(H, best.dtype)
    for sample, wanted in zip(x, expected, strict=True):
        assert_same_bits(window.step(FORMS[form](sample), out=out), wanted)


def test_integers(best, rng):
    model = best.model(INPUT, H, LAYERS, rng=1)
    x = rng.integers(-3, 4, (11, INPUT))
    expected = feed(model.window(4), best.cast(x))
    for dtype in ("int8", "int64", "float16"):
        assert_same_bits(feed(model.window(4), x.astype(dtype)), expected)
