"""Bad input gets a clear error: the argument, what was expected, what came; and nothing has been written by then."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import cgru

T, N, INPUT, H = 7, 4, 3, 5


def call_with(model, dtype, **changes):
    """Call with good arguments but for `changes`; then check that none of them was written to."""
    good = {
        "x": np.ones((T, N, INPUT), dtype),
        "h_0": np.full((2, N, H), 0.25, dtype),
        "lengths": np.array([3, T, 0, 5]),
        "out": np.full((T, N, H), 7.0, dtype),
    }
    arguments = good | changes
    kept = {name: np.copy(value) for name, value in arguments.items() if isinstance(value, np.ndarray)}
    try:
        x = arguments.pop("x")
        return model(x, **arguments)
    finally:
        for name, value in kept.items():
            assert_array_equal((good | changes)[name], value)


def ones(*shape, dtype=np.float32):
    return np.ones(shape, dtype)


def read_only():
    out = ones(T, N, H)
    out.flags.writeable = False
    return out


def unaligned(*shape):
    return np.ones(4 * np.prod(shape) + 1, np.uint8)[1:].view(np.float32).reshape(shape)


class Unreadable:
    """Something that refuses to become an array."""

    def __array__(self, dtype=None, copy=None):
        raise TypeError("on another device")


BAD_CALLS = {
    # x
    "x features": ({"x": ones(T, N, 12)}, ValueError, ["x has 12 features", "input_size=3"]),
    "x 1-d": ({"x": ones(INPUT)}, ValueError, ["x has 1 dimension", "(3,)", "(T, N, I)", "(T, I)"]),
    "x 4-d": ({"x": ones(1, T, N, INPUT)}, ValueError, ["x has 4 dimensions", "(1, 7, 4, 3)", "(T, N, I)"]),
    "x scalar": ({"x": 3.5}, ValueError, ["x has no features", "input_size=3"]),
    "x None": ({"x": None}, TypeError, ["x has dtype object", "real numbers"]),
    "x complex": ({"x": ones(T, N, INPUT, dtype=complex)}, TypeError, ["x has dtype complex128", "real numbers"]),
    "x objects": ({"x": ones(T, N, INPUT).astype(object)}, TypeError, ["x has dtype object", "real numbers"]),
    "x strings": ({"x": [["one", "two", "six"]]}, TypeError, ["x has dtype <U3", "real numbers"]),
    "x bytes": ({"x": ones(T, N, INPUT).astype("S3")}, TypeError, ["x has dtype |S3", "real numbers"]),
    "x dates": ({"x": np.zeros((T, N, INPUT), "M8[s]")}, TypeError, ["x has dtype datetime64", "real numbers"]),
    "x ragged": ({"x": [[1.0, 2.0], [3.0]]}, ValueError, ["x cannot be read as an array"]),
    "x unreadable": ({"x": Unreadable()}, TypeError, ["x cannot be read as an array", "on another device"]),
    # h_0
    "h_0 layers": ({"h_0": ones(1, N, H)}, ValueError, ["h_0 has shape (1, 4, 5)", "(2, 4, 5)"]),
    "h_0 rows": ({"h_0": ones(2, 1, H)}, ValueError, ["h_0 has shape (2, 1, 5)", "(2, 4, 5)"]),
    "h_0 units": ({"h_0": ones(2, N, INPUT)}, ValueError, ["h_0 has shape (2, 4, 3)", "(2, 4, 5)"]),
    "h_0 rank": ({"h_0": ones(2, H)}, ValueError, ["h_0 has shape (2, 5)", "(2, 4, 5)"]),
    "h_0 dtype": ({"h_0": ones(2, N, H, dtype=np.float16)}, TypeError, ["h_0 has dtype float16", "astype"]),
    "h_0 integers": ({"h_0": ones(2, N, H, dtype=int)}, TypeError, ["h_0 has dtype int64", "astype"]),
    "h_0 complex": ({"h_0": ones(2, N, H, dtype=complex)}, TypeError, ["h_0 has dtype complex128", "real numbers"]),
    "h_0 string": ({"h_0": "zeros"}, TypeError, ["h_0 has dtype <U5", "real numbers"]),
    # out
    "out shape": ({"out": ones(N, T, H)}, ValueError, ["out has shape (4, 7, 5)", "(7, 4, 5)"]),
    "out rank": ({"out": ones(T * N * H)}, ValueError, ["out has shape (140,)", "(7, 4, 5)"]),
    "out dtype": ({"out": ones(T, N, H, dtype=np.float16)}, TypeError, ["out has dtype float16", "expected float"]),
    "out byte order": ({"out": ones(T, N, H, dtype=">f4")}, TypeError, ["out has dtype >f4", "expected float"]),
    "out list": ({"out": ones(T, N, H).tolist()}, TypeError, ["out must be a NumPy array", "list"]),
    # lengths
    "lengths few": ({"lengths": [1, 2, 3]}, ValueError, ["lengths has shape (3,)", "(4,)", "one length per"]),
    "lengths many": ({"lengths": [1, 2, 3, 4, 5]}, ValueError, ["lengths has shape (5,)", "(4,)"]),
    "lengths 2-d": ({"lengths": [[1, 2, 3, 4]]}, ValueError, ["lengths has shape (1, 4)", "(4,)"]),
    "lengths number": ({"lengths": 5}, ValueError, ["lengths has shape ()", "(4,)"]),
    "lengths negative": ({"lengths": [1, 2, -1, 4]}, ValueError, ["lengths[2] is -1", "0 to 7"]),
    "lengths above T": ({"lengths": [1, 8, 3, 4]}, ValueError, ["lengths[1] is 8", "0 to 7"]),
    "lengths huge": ({"lengths": np.full(4, 2**64 - 1, np.uint64)}, ValueError, ["lengths[0] is 1844", "0 to 7"]),
    "lengths floats": ({"lengths": [1.0, 2.0, 3.0, 4.0]}, TypeError, ["lengths must be integers", "float64"]),
    "lengths bools": ({"lengths": [True, False] * 2}, TypeError, ["lengths must be integers", "bool"]),
    "lengths strings": ({"lengths": list("1234")}, TypeError, ["lengths must be integers", "<U1"]),
    "lengths ragged": ({"lengths": [[1], [2, 3]]}, ValueError, ["lengths cannot be read"]),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_CALLS)
def test_bad_calls(best, case):
    changes, error, words = BAD_CALLS[case]
    model = best.gru(INPUT, H, num_layers=2, rng=1)
    with pytest.raises(error) as caught:
        call_with(model, best.dtype, **changes)
    for word in words:
        assert word in str(caught.value)


BAD_OUTS = {
    "strided": (lambda: ones(T, N, 2 * H)[..., ::2], ["C-contiguous"]),
    "Fortran": (lambda: np.asfortranarray(ones(T, N, H)), ["C-contiguous"]),
    "read-only": (read_only, ["read-only"]),
    "unaligned": (lambda: unaligned(T, N, H), ["aligned"]),
}


@pytest.mark.parametrize("case", BAD_OUTS)
def test_outs_that_cannot_be_filled(case):
    make, words = BAD_OUTS[case]
    with pytest.raises(ValueError, match="out") as caught:
        call_with(cgru.GRU(INPUT, H, num_layers=2, rng=1), np.float32, out=make())
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("name", ["h_0", "out"])
def test_the_other_float_is_refused(best, name):
    """x is converted; for h_0 and out, where memory is shared in spirit, the caller says it."""
    other = np.float64 if best.dtype == np.float32 else np.float32
    shape = (2, N, H) if name == "h_0" else (T, N, H)
    with pytest.raises(TypeError, match=rf"{name} has dtype float\d\d.*float\d\d"):
        call_with(best.gru(INPUT, H, num_layers=2, rng=1), best.dtype, **{name: np.ones(shape, other)})


def test_out_that_overlaps(best):
    """x, h_0 and out in one piece of memory, from identical to a single shared element."""
    model = best.gru(5, 5, rng=1)
    memory = best.cast(np.linspace(-1, 1, 3 * T * N * 5))
    size = T * N * 5

    def view(start, *shape):
        return memory[start : start + np.prod(shape)].reshape(shape)

    kept = memory.copy()
    for start in (0, 1, size - 1):
        with pytest.raises(ValueError, match="out overlaps x"):
            model(view(0, T, N, 5), out=view(start, T, N, 5))
        with pytest.raises(ValueError, match="out overlaps x"):
            model(view(start, T, N, 5)[::-1], out=view(0, T, N, 5))
    for start in (0, 5, size - 1):
        with pytest.raises(ValueError, match="out overlaps h_0"):
            model(view(2 * size, T, N, 5), view(start, 1, N, 5), out=view(0, T, N, 5))
    assert_array_equal(memory, kept)
    expected, _ = model(view(0, T, N, 5).copy())
    y, _ = model(view(0, T, N, 5), out=view(size, T, N, 5))  # neighbours do not overlap
    assert_array_equal(y, expected)


def test_interleaved_out_does_not_overlap(best):
    """Bounds of x and out cross, their elements do not."""
    model = best.gru(5, 5, rng=1)
    memory = best.cast(np.linspace(-1, 1, 2 * T * N * 5)).reshape(2 * T, N, 5)
    x, out = memory[::2], memory[1 : T + 1].copy()
    expected, _ = model(x.copy())
    assert_array_equal(model(x, out=out)[0], expected)


@pytest.mark.parametrize("batch_first", [False, True])
def test_unbatched(best, batch_first):
    model = best.gru(INPUT, H, num_layers=2, batch_first=batch_first, rng=1)
    x, h_0 = np.ones((T, INPUT), best.dtype), np.ones((2, H), best.dtype)
    with pytest.raises(ValueError, match="lengths needs a batch"):
        model(x, h_0, lengths=[T])
    with pytest.raises(ValueError, match=r"h_0 has shape \(2, 1, 5\), expected \(2, 5\)"):
        model(x, h_0[:, None])
    with pytest.raises(ValueError, match=r"out has shape \(7, 1, 5\), expected \(7, 5\)"):
        model(x, h_0, out=np.ones((T, 1, H), best.dtype))


def test_batch_first_is_named():
    with pytest.raises(ValueError, match=r"expected \(N, T, I\)"):
        cgru.GRU(INPUT, H, batch_first=True)(ones(INPUT))


def test_more_rows_than_blas_can_count(best):
    x = np.broadcast_to(best.cast([1, 2, 3]), (1, 2**31, INPUT))  # 12 bytes of memory, or 24
    with pytest.raises(ValueError, match=r"x has 2147483648 rows.*limit.*2147483647"):
        best.gru(INPUT, H, rng=1)(x)
