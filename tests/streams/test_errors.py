"""What a `Stream` refuses, with a clear error and its state left as it was."""

import re

import numpy as np
import pytest

import cgru
from support.arrays import read_only, unaligned
from support.compare import assert_same_bits
from support.models import build, pack
from support.variants import WEIGHTS

pytestmark = pytest.mark.variants(weights=WEIGHTS)

T, N, INPUT, H, LAYERS = 6, 4, 5, 19, 2


@pytest.fixture
def stream(best, rng):
    """A batch of rows in the middle of their sequences."""
    stream = best.model(INPUT, H, LAYERS, rng=1).stream(N)
    stream.run(best.cast(rng.normal(size=(T, N, INPUT))))
    return stream


def refused(stream, error, match, call, *arguments, **options):
    """The call raises this error, and the stream is where it was."""
    before = stream.state
    with pytest.raises(error, match=match):
        call(*arguments, **options)
    assert_same_bits(stream.state, before)


def other_dtype(dtype):
    """float64 for float32 and the other way round."""
    return np.dtype(np.float64 if dtype == np.float32 else np.float32)


# ------------------------------------------------------------------------------------------- x and chunks

NUMBERS = {
    "complex": np.ones((N, INPUT), np.complex64),
    "object": np.full((N, INPUT), None),
    "string": np.full((N, INPUT), "1.5"),
    "bytes": np.full((N, INPUT), b"1.5"),
    "time": np.zeros((N, INPUT), "M8[s]"),
    "list of strings": [["1"] * INPUT] * N,
    "nothing": None,
    "text": "0.5",
    "mapping": {"x": 1.0},
}


@pytest.mark.parametrize("form", NUMBERS)
def test_x_of_a_wrong_form(stream, form):
    bad = NUMBERS[form]
    refused(stream, TypeError, "x_t .*real numbers", stream.step, bad)
    refused(stream, TypeError, "x .*real numbers", stream.run, bad if isinstance(bad, np.ndarray) else [bad])
    row = stream.model.stream()
    refused(row, TypeError, "x_t .*real numbers", row.step, bad[0] if isinstance(bad, np.ndarray) else bad)


def test_ragged_x(stream):
    text = re.escape(f"x_t cannot be read as an array: x_t[0] has shape ({INPUT},), and x_t[3] has shape (1,)")
    refused(stream, ValueError, text, stream.step, [[1.0] * INPUT] * 3 + [[1.0]])


@pytest.mark.parametrize("shape", [(N, INPUT - 1), (N, INPUT + 1), (N, 1), (N, 0), (0,), (), (INPUT, N), (1,)])
def test_wrong_feature_count(stream, shape):
    """The message names the shape and the model's input_size; as a plain array and converted."""
    for dtype in (np.float32, np.float64, int):
        x = np.ones(shape, dtype)
        refused(stream, ValueError, f"x_t has .* features.*input_size={INPUT}", stream.step, x)
        refused(stream, ValueError, f"x has .* features.*input_size={INPUT}", stream.run, x)


@pytest.mark.parametrize("shape", [(N - 1, INPUT), (N + 1, INPUT), (1, INPUT), (0, INPUT), (INPUT,), (1, N, INPUT)])
def test_wrong_batch(stream, shape):
    for dtype in (np.float32, np.float64):
        x = np.ones(shape, dtype)
        expected = re.escape(f"x_t has shape {shape}, this stream expects ({N}, {INPUT})")
        refused(stream, ValueError, expected, stream.step, x)
        if shape != (1, N, INPUT):
            expected = re.escape(f"x has shape {(T, *shape)}, this stream expects (T, {N}, {INPUT})")
            refused(stream, ValueError, expected, stream.run, np.ones((T, *shape), dtype))


@pytest.mark.parametrize("shape", [(1, INPUT), (N, INPUT), (1, 1, INPUT)])
def test_a_batch_for_a_single_row(best, shape):
    hx = pack([np.full((LAYERS, H), 0.25, best.dtype) for _ in best.cell.states])
    row = best.model(INPUT, H, LAYERS, rng=1).stream(hx=hx)
    expected = re.escape(f"x_t has shape {shape}, this stream expects ({INPUT},)")
    refused(row, ValueError, expected, row.step, np.ones(shape, best.dtype))
    expected = re.escape(f"x has shape {(3, *shape)}, this stream expects (T, {INPUT})")
    refused(row, ValueError, expected, row.run, np.ones((3, *shape), best.dtype))


def test_chunks_in_the_wrong_layout(best):
    """The batch is where the model says, first or second."""
    stream = best.model(INPUT, H, batch_first=True, rng=1).stream(N)
    expected = re.escape(f"x has shape {(T, N, INPUT)}, this stream expects ({N}, T, {INPUT})")
    refused(stream, ValueError, expected, stream.run, np.ones((T, N, INPUT), best.dtype))
    refused(stream, ValueError, "this stream expects", stream.run, np.ones((N, INPUT), best.dtype))


# ------------------------------------------------------------------------------------------------- out


class Subclass(np.ndarray):
    """An ndarray by another name."""


def foreign_outs(dtype):
    """Error, message, and an `out` that cannot be filled in place."""
    plain = np.zeros((N, H), dtype)
    contiguous = "out must be C-contiguous and aligned"
    return {
        "list": (TypeError, "out must be a NumPy array; got list", plain.tolist()),
        "buffer": (TypeError, "out must be a NumPy array; got memoryview", memoryview(plain)),
        "other float": (TypeError, "out has dtype float.., expected float..", plain.astype(other_dtype(dtype))),
        "integers": (TypeError, "out has dtype int", np.zeros((N, H), f"i{dtype.itemsize}")),
        "byte-swapped": (TypeError, "out has dtype >f", plain.astype(dtype.newbyteorder())),
        "transposed": (ValueError, "out has shape", np.zeros((H, N), dtype)),
        "one row": (ValueError, "out has shape", np.zeros(H, dtype)),
        "too many rows": (ValueError, "out has shape", np.zeros((N + 1, H), dtype)),
        "too many units": (ValueError, "out has shape", np.zeros((N, H + 1), dtype)),
        "with time": (ValueError, "out has shape", np.zeros((1, N, H), dtype)),
        "read-only": (ValueError, "out is read-only", read_only(plain)),
        "strided": (ValueError, contiguous, np.zeros((N, 2 * H), dtype)[:, ::2]),
        "Fortran": (ValueError, contiguous, np.zeros((N, H), dtype, order="F")),
        "reversed": (ValueError, contiguous, plain[::-1]),
        "unaligned": (ValueError, contiguous, unaligned(plain)),
        "subclass": (ValueError, "not of a subclass", plain.view(Subclass)),
    }


@pytest.mark.parametrize("form", foreign_outs(np.dtype(np.float32)))
def test_foreign_out(stream, form):
    error, match, out = foreign_outs(stream.model.dtype)[form]
    kept = np.array(out)
    for x in (np.ones((N, INPUT), stream.model.dtype), np.ones((N, INPUT), int)):
        refused(stream, error, match, stream.step, x, out=out)
        assert np.array_equal(np.array(out), kept)


def test_the_error_in_x_comes_before_anything_is_written(stream):
    out = np.full((N, H), np.nan, stream.model.dtype)
    refused(stream, ValueError, "features", stream.step, np.ones((N, INPUT + 1)), out=out)
    refused(stream, TypeError, "real numbers", stream.step, NUMBERS["complex"], out=out)
    assert np.isnan(out).all()


# ----------------------------------------------------------------------------------------------- states


def bad_states(dtype):
    """Error, message, and what cannot be a state (LAYERS, N, H)."""
    good = np.zeros((LAYERS, N, H), dtype)
    shape = re.escape(f"expected {(LAYERS, N, H)}")
    return {
        "one layer": (ValueError, shape, good[:1]),
        "too many layers": (ValueError, shape, np.zeros((LAYERS + 1, N, H), dtype)),
        "one row": (ValueError, shape, good[:, 0]),
        "to broadcast": (ValueError, shape, good[:, :1]),
        "too many rows": (ValueError, shape, np.zeros((LAYERS, N + 1, H), dtype)),
        "too few units": (ValueError, shape, good[:, :, 1:]),
        "transposed": (ValueError, shape, good.swapaxes(0, 1)),
        "number": (ValueError, shape, 0.0),
        "complex": (TypeError, "real numbers", good.astype(complex)),
        "object": (TypeError, "real numbers", good.astype(object)),
        "string": (TypeError, "real numbers", good.astype(str)),
        "ragged": (ValueError, "cannot be read as an array", [[[0.0] * H] * N, [[0.0]]]),
    }


@pytest.mark.parametrize("form", bad_states(np.dtype(np.float32)))
def test_bad_state(stream, form):
    """One plane of it is bad, and the error names it where there are two."""
    error, match, bad = bad_states(stream.model.dtype)[form]
    cell = stream.model.config.cell
    good = np.zeros((LAYERS, N, H), stream.model.dtype)
    for plane, letter in enumerate(cell.states):
        value = pack([bad if number == plane else good for number in range(len(cell.states))])
        hx, state = ("hx", "state") if len(cell.states) == 1 else (f"{letter}_0", f"state {letter}")
        refused(stream, error, f"{state}.*{match}", setattr, stream, "state", value)
        refused(stream, error, f"{hx}.*{match}", stream.reset, value)
        with pytest.raises(error, match=f"{hx}.*{match}"):
            stream.model.stream(N, value)


@pytest.mark.variants(kind="lstm")
@pytest.mark.parametrize("value", [np.zeros((LAYERS, N, H)), (None,), (None,) * 3, "h", 0.0], ids=str)
def test_an_lstm_s_state_is_a_pair(stream, value):
    refused(stream, TypeError, r"hx must be a pair \(h_0, c_0\)", stream.reset, value)
    refused(stream, TypeError, r"state must be a pair \(state h, state c\)", setattr, stream, "state", value)
    with pytest.raises(TypeError, match=r"hx must be a pair \(h_0, c_0\)"):
        stream.model.stream(N, value)


def test_state_none_is_not_zeros(stream):
    refused(stream, TypeError, "state must be an array, or an LSTM's pair; got None", setattr, stream, "state", None)


def test_what_a_stream_is_does_not_change(stream):
    for name in ("batch_size", "model", "anything"):
        refused(stream, AttributeError, name, setattr, stream, name, 1)


# ---------------------------------------------------------------------------------------- construction


@pytest.mark.configurations(streams=False)
def test_models_that_need_the_future(best, configuration):
    model = build(best, configuration, INPUT, H)
    way = "bidirectional" if model.bidirectional else "reversed"
    expected = f"a {way} {best.cell.name} cannot be streamed: .* steps that are still to come"
    for make in (model.stream, lambda: cgru.Stream(model)):
        with pytest.raises(ValueError, match=expected):
            make()


@pytest.mark.parametrize("size, error", [
    (0, ValueError), (-1, ValueError), (2**31, ValueError), (2**62, ValueError), (2**80, ValueError),
    (2.0, TypeError), (True, TypeError), ("4", TypeError), ((4,), TypeError),
])  # fmt: skip
def test_bad_batch_size(best, size, error):
    with pytest.raises(error, match=f"batch_size.*{re.escape(str(size))}"):
        best.model(INPUT, H, rng=1).stream(size)


def test_foreign_models():
    for model in (None, "model.safetensors", np.zeros(3), object()):
        with pytest.raises(TypeError, match=f"model must be a GRU, .*; got {type(model).__name__}"):
            cgru.Stream(model)


def test_too_many_layers(best):
    """64 are enough for anybody, and 65 a clear error."""
    assert best.model(2, 3, 64, rng=1).stream().step([0.5, -0.5]).shape == (3,)
    with pytest.raises(ValueError, match="at most 64 layers; this model has 65"):
        best.model(2, 3, 65, rng=1).stream()
