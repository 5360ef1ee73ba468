"""Bad input gets a clear error: the argument, what was expected, what came; and nothing has been written by then."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from support.arrays import ones, read_only, unaligned
from support.compare import flat
from support.models import on_planes, pack
from support.variants import WEIGHTS

pytestmark = pytest.mark.variants(weights=WEIGHTS)

T, N, INPUT, H = 7, 4, 3, 5


def call_with(model, dtype, **changes):
    """Call with good arguments but for `changes`; then check that none of them was written to."""
    good = {
        "x": np.ones((T, N, INPUT), dtype),
        "hx": pack([np.full((2, N, H), 0.25, dtype) for _ in model.config.cell.states]),
        "lengths": np.array([3, T, 0, 5]),
        "out": np.full((T, N, H), 7.0, dtype),
    }
    arguments = good | changes
    arrays = [array for value in arguments.values() for array in flat(value) if isinstance(array, np.ndarray)]
    kept = [array.copy() for array in arrays]
    try:
        x = arguments.pop("x")
        return model(x, **arguments)
    finally:
        for array, value in zip(arrays, kept, strict=True):
            assert_array_equal(array, value)


def one_bad_plane(cell, plane, bad, good):
    """An hx whose plane of that number is bad."""
    return pack([bad if number == plane else good for number in range(len(cell.states))])


class Unreadable:
    """Something that refuses to become an array."""

    def __array__(self, dtype=None, copy=None):
        raise TypeError("on another device")


PAD = ["x cannot be read as an array", "pad sequences", "lengths=", "a list of arrays (T, I)"]
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
    "x ragged": ({"x": [[1.0, 2.0], [3.0]]}, ValueError, ["x[0] has shape (2,), and x[1] has shape (1,)", *PAD]),
    "x ragged inside": ({"x": [[[1.0] * 3, [2.0]]]}, ValueError, ["x[0][0] has shape (3,), and x[0][1] has", *PAD]),
    "x ragged batches": ({"x": [ones(3, 2, 3), ones(1, 2, 3)]}, ValueError, ["x[1] has shape (1, 2, 3)", *PAD]),
    "x too deep": ({"x": [np.ones((1,) * 64).tolist()]}, ValueError, ["x cannot be read as an array"]),
    "x unreadable": ({"x": Unreadable()}, TypeError, ["x cannot be read as an array", "on another device"]),
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
    "lengths ragged": ({"lengths": [[1], [2, 3]]}, ValueError, ["lengths cannot be read", "lengths[1] has shape (2,)"]),
}  # fmt: skip


#: What is wrong with one plane of the state.
BAD_STATES = {
    "layers": (ones(1, N, H), ValueError, ["has shape (1, 4, 5)", "(2, 4, 5)"]),
    "rows": (ones(2, 1, H), ValueError, ["has shape (2, 1, 5)", "(2, 4, 5)"]),
    "units": (ones(2, N, INPUT), ValueError, ["has shape (2, 4, 3)", "(2, 4, 5)"]),
    "rank": (ones(2, H), ValueError, ["has shape (2, 5)", "(2, 4, 5)"]),
    "complex": (ones(2, N, H, dtype=complex), TypeError, ["has dtype complex128", "real numbers"]),
    "objects": (ones(2, N, H).astype(object), TypeError, ["has dtype object", "real numbers"]),
    "dates": (np.zeros((2, N, H), "M8[s]"), TypeError, ["has dtype datetime64", "real numbers"]),
    "string": ("zeros", TypeError, ["has dtype <U5", "real numbers"]),
    "ragged": ([[1.0, 2.0], [3.0]], ValueError, ["cannot be read as an array", "[0] has shape (2,), and "]),
}


@pytest.mark.parametrize("case", BAD_STATES)
def test_bad_states(best, case):
    """The error names the plane where there are two."""
    bad, error, words = BAD_STATES[case]
    model = best.model(INPUT, H, num_layers=2, rng=1)
    names = ["hx"] if len(best.cell.states) == 1 else [f"{state}_0" for state in best.cell.states]
    for plane, name in enumerate(names):
        with pytest.raises(error) as caught:
            call_with(model, best.dtype, hx=one_bad_plane(best.cell, plane, bad, ones(2, N, H)))
        for word in (f"{name} ", *words):
            assert word in str(caught.value)


@pytest.mark.variants(kind="lstm")
@pytest.mark.parametrize("hx", [ones(2, N, H), (None,), (None, None, None), "h", {"h": 1, "c": 2}, 0.0], ids=str)
def test_an_lstm_s_states_come_in_pairs(best, hx):
    with pytest.raises(TypeError, match=r"hx must be a pair \(h_0, c_0\)"):
        call_with(best.model(INPUT, H, num_layers=2, rng=1), best.dtype, hx=hx)


@pytest.mark.variants(kind="gru")
def test_a_gru_s_state_is_no_pair(best):
    with pytest.raises((TypeError, ValueError), match="hx"):
        call_with(best.model(INPUT, H, num_layers=2, rng=1), best.dtype, hx=(ones(2, N, H), ones(2, N, H)))


@pytest.mark.parametrize("case", BAD_CALLS)
def test_bad_calls(best, case):
    changes, error, words = BAD_CALLS[case]
    model = best.model(INPUT, H, num_layers=2, rng=1)
    with pytest.raises(error) as caught:
        call_with(model, best.dtype, **changes)
    for word in words:
        assert word in str(caught.value)


BAD_OUTS = {
    "strided": (lambda: ones(T, N, 2 * H)[..., ::2], ["C-contiguous"]),
    "Fortran": (lambda: np.asfortranarray(ones(T, N, H)), ["C-contiguous"]),
    "read-only": (lambda: read_only(ones(T, N, H)), ["read-only"]),
    "unaligned": (lambda: unaligned(ones(T, N, H)), ["aligned"]),
}


@pytest.mark.variants(name="float32")
@pytest.mark.parametrize("case", BAD_OUTS)
def test_outs_that_cannot_be_filled(best, case):
    make, words = BAD_OUTS[case]
    with pytest.raises(ValueError, match="out") as caught:
        call_with(best.model(INPUT, H, num_layers=2, rng=1), np.float32, out=make())
    for word in words:
        assert word in str(caught.value)


def test_an_out_of_the_other_float_is_refused(best):
    """x and hx are converted; in `out` the caller would find nothing."""
    other = np.float64 if best.dtype == np.float32 else np.float32
    with pytest.raises(TypeError, match=r"out has dtype float\d\d.*float\d\d"):
        call_with(best.model(INPUT, H, num_layers=2, rng=1), best.dtype, out=np.ones((T, N, H), other))


def test_out_that_overlaps(best):
    """x, h_0 and out in one piece of memory, from identical to a single shared element."""
    model = best.model(5, 5, rng=1)
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
        for plane in range(len(best.cell.states)):
            hx = one_bad_plane(best.cell, plane, view(start, 1, N, 5), None)
            with pytest.raises(ValueError, match="out overlaps hx"):
                model(view(2 * size, T, N, 5), hx, out=view(0, T, N, 5))
    assert_array_equal(memory, kept)
    expected, _ = model(view(0, T, N, 5).copy())
    y, _ = model(view(0, T, N, 5), out=view(size, T, N, 5))  # neighbours do not overlap
    assert_array_equal(y, expected)


def test_interleaved_out_does_not_overlap(best):
    """Bounds of x and out cross, their elements do not."""
    model = best.model(5, 5, rng=1)
    memory = best.cast(np.linspace(-1, 1, 2 * T * N * 5)).reshape(2 * T, N, 5)
    x, out = memory[::2], memory[1 : T + 1].copy()
    expected, _ = model(x.copy())
    assert_array_equal(model(x, out=out)[0], expected)


@pytest.mark.parametrize("batch_first", [False, True])
def test_unbatched(best, batch_first):
    model = best.model(INPUT, H, num_layers=2, batch_first=batch_first, rng=1)
    x, hx = np.ones((T, INPUT), best.dtype), pack([np.ones((2, H), best.dtype) for _ in best.cell.states])
    with pytest.raises(ValueError, match="lengths needs a batch"):
        model(x, hx, lengths=[T])
    with pytest.raises(ValueError, match=r"h(x|_0) has shape \(2, 1, 5\), expected \(2, 5\)"):
        model(x, on_planes(hx, lambda plane: plane[:, None]))
    with pytest.raises(ValueError, match=r"out has shape \(7, 1, 5\), expected \(7, 5\)"):
        model(x, hx, out=np.ones((T, 1, H), best.dtype))


def test_batch_first_is_named(best):
    with pytest.raises(ValueError, match=r"expected \(N, T, I\)"):
        best.model(INPUT, H, batch_first=True)(ones(INPUT))


@pytest.mark.variants(weights="float32")    # record refuses quantised ones
def test_the_state_is_called_hx(best):
    """One name in every call; h_0 is a plane of it."""
    model = best.model(INPUT, H, rng=1)
    stream = model.stream()
    x = ones(T, INPUT)
    hx = pack([ones(1, H) for _ in best.cell.states])
    for call in (model, model.record, lambda _, **options: model.stream(**options),
                 lambda _, **options: stream.reset(**options)):  # fmt: skip
        call(x, hx=hx)
        with pytest.raises(TypeError, match="h_0"):
            call(x, h_0=hx)


def test_more_rows_than_blas_can_count(best):
    x = np.broadcast_to(best.cast([1, 2, 3]), (1, 2**31, INPUT))  # 12 bytes of memory, or 24
    with pytest.raises(ValueError, match=r"x has 2147483648 rows.*limit.*2147483647"):
        best.model(INPUT, H, rng=1)(x)
