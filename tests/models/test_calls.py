"""What goes in and comes out of `cgru.GRU`: shapes, defaults, layouts, dtypes, memory orders."""

import copy

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import cgru
from support.models import random_lengths

T, N, INPUT, H = 7, 4, 5, 19


def data(variant, rng, *shape):
    return variant.cast(rng.normal(size=shape))


# ----------------------------------------------------------------------------------------------- shapes


@pytest.mark.parametrize("num_layers", [1, 3])
@pytest.mark.parametrize("directions", [1, 2])
def test_shapes(variant, rng, num_layers, directions):
    options = {"num_layers": num_layers, "bidirectional": directions == 2, "rng": 1}
    cells = num_layers * directions
    time_major, batch_major = variant.gru(INPUT, H, **options), variant.gru(INPUT, H, batch_first=True, **options)
    x, h_0 = data(variant, rng, T, N, INPUT), data(variant, rng, cells, N, H)
    y, h_n = time_major(x, h_0)
    assert y.shape == (T, N, directions * H) and h_n.shape == (cells, N, H)
    assert y.dtype == h_n.dtype == variant.dtype
    assert y.flags.c_contiguous and h_n.flags.c_contiguous

    y_batch, h_n_batch = batch_major(x.swapaxes(0, 1).copy(), h_0)
    assert y_batch.shape == (N, T, directions * H)
    assert_array_equal(y_batch.swapaxes(0, 1), y)
    assert_array_equal(h_n_batch, h_n)

    for model in (time_major, batch_major):
        y_row, h_n_row = model(x[:, 1], h_0[:, 1])
        assert y_row.shape == (T, directions * H) and h_n_row.shape == (cells, H)
        assert_allclose(y_row, y[:, 1], rtol=0, atol=variant.tolerance)
        assert_allclose(h_n_row, h_n[:, 1], rtol=0, atol=variant.tolerance)


def test_order_of_results(variant, rng):
    """h_n is layer-major, direction-minor; y holds forward and backward of the last layer side by side."""
    model = variant.gru(INPUT, H, num_layers=2, bidirectional=True, rng=1)
    x = data(variant, rng, T, N, INPUT)
    y, h_n = model(x, data(variant, rng, 4, N, H))
    assert_array_equal(h_n[2], y[-1, :, :H])
    assert_array_equal(h_n[3], y[0, :, H:])
    lower = variant.from_state({k: v for k, v in model.state_dict().items() if "_l0" in k})
    y_lower, h_n_lower = lower(x)
    _, h_n = model(x)
    assert_array_equal(h_n[:2], h_n_lower)
    assert_array_equal(h_n[0], y_lower[-1, :, :H])


def test_h_0_is_zeros_by_default(variant, rng):
    model = variant.gru(INPUT, H, num_layers=2, rng=1)
    x = data(variant, rng, T, N, INPUT)
    for left_out, zeros in zip(model(x), model(x, variant.cast(np.zeros((2, N, H)))), strict=True):
        assert_array_equal(left_out, zeros)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_no_steps_and_no_rows(variant, rng, bidirectional):
    cells = 2 * (1 + bidirectional)
    model = variant.gru(INPUT, H, num_layers=2, bidirectional=bidirectional, rng=1)
    for steps, rows in ((0, N), (T, 0), (0, 0)):
        h_0 = data(variant, rng, cells, rows, H)
        for lengths in (None, [0] * rows, np.zeros(rows, np.uint8)):
            y, h_n = model(np.zeros((steps, rows, INPUT), variant.dtype), h_0, lengths=lengths)
            assert y.shape == (steps, rows, H * (1 + bidirectional)) and y.dtype == variant.dtype
            assert_array_equal(h_n, h_0)
            assert not np.shares_memory(h_n, h_0)
    y, h_n = model(np.zeros((0, INPUT), variant.dtype))
    assert y.shape == (0, H * (1 + bidirectional))
    assert_array_equal(h_n, np.zeros((cells, H)))


# ---------------------------------------------------------------------------------------------- lengths


@pytest.mark.parametrize("bidirectional", [False, True])
def test_lengths(variant, rng, bidirectional):
    """Each row is as if it were alone and cut to its length; what stands in the padding does not matter."""
    rows = 6
    cells = 2 * (1 + bidirectional)
    model = variant.gru(INPUT, H, num_layers=2, bidirectional=bidirectional, rng=1)
    x, h_0 = data(variant, rng, T, rows, INPUT), data(variant, rng, cells, rows, H)
    lengths = random_lengths(rng, T, rows)
    lengths[2] = 0
    for row, length in enumerate(lengths):
        x[length:, row] = np.nan
    y, h_n = model(x, h_0, lengths=lengths)
    for row, length in enumerate(lengths):
        y_row, h_n_row = model(x[:length, row], h_0[:, row])
        assert_allclose(y[:length, row], y_row, rtol=0, atol=variant.tolerance)
        assert_allclose(h_n[:, row], h_n_row, rtol=0, atol=variant.tolerance)
        assert_array_equal(y[length:, row], 0)
    assert_array_equal(h_n[:, 2], h_0[:, 2])


def test_forms_of_lengths(best, rng):
    model = best.gru(INPUT, H, bidirectional=True, rng=1)
    x, lengths = data(best, rng, T, N, INPUT), [3, T, 0, 5]
    expected, _ = model(x, lengths=lengths)
    forms = [tuple(lengths), np.array(lengths, np.uint8), np.array(lengths, ">i2"), np.array(lengths * 2)[:4]]
    forms += [np.repeat(lengths, 3)[::3], np.array(lengths)[::-1].copy()[::-1]]
    for form in forms:
        assert_array_equal(model(x, lengths=form)[0], expected)


def test_full_lengths_are_no_lengths(variant, rng):
    model = variant.gru(INPUT, H, num_layers=2, bidirectional=True, rng=1)
    x = data(variant, rng, T, N, INPUT)
    for with_lengths, without in zip(model(x, lengths=[T] * N), model(x), strict=True):
        assert_allclose(with_lengths, without, rtol=0, atol=variant.tolerance)


# -------------------------------------------------------------------------------------------------- out


@pytest.mark.parametrize("batch_first", [False, True])
def test_out_is_filled_and_returned(variant, rng, batch_first):
    model = variant.gru(INPUT, H, num_layers=2, bidirectional=True, batch_first=batch_first, rng=1)
    x, lengths = data(variant, rng, T, N, INPUT), [3, T, 0, 5]
    x = x.swapaxes(0, 1) if batch_first else x
    for options in ({}, {"lengths": lengths}):
        expected, h_n = model(x, **options)
        out = np.full_like(expected, np.nan)
        y, h_n_out = model(x, out=out, **options)
        assert y is out
        assert_array_equal(out, expected)
        assert_array_equal(h_n_out, h_n)


def test_results_are_new_arrays(variant, rng):
    model = variant.gru(INPUT, H, rng=1)
    x, h_0 = data(variant, rng, T, N, INPUT), data(variant, rng, 1, N, H)
    results = [*model(x, h_0), *model(x, h_0)]
    arrays = [x, h_0, *results]
    for i, a in enumerate(arrays):
        for b in arrays[:i]:
            assert not np.shares_memory(a, b)
    assert_array_equal(results[0], results[2])


# ----------------------------------------------------------------------------------------------- inputs


def orders(a):
    """The same numbers, stored in other ways."""
    a = np.ascontiguousarray(a)
    read_only = a.copy()
    read_only.flags.writeable = False
    padded = np.zeros([2 * size + 1 for size in a.shape], a.dtype)
    inner = padded[tuple(slice(1, None, 2) for _ in a.shape)]
    inner[...] = a
    shifted = np.zeros(a.nbytes + 1, np.uint8)[1:].view(a.dtype).reshape(a.shape)
    shifted[...] = a
    wide = np.zeros((*a.shape[:-1], a.shape[-1] + 3), a.dtype)
    wide[..., : a.shape[-1]] = a
    yield "read-only", read_only
    yield "non-contiguous", inner
    yield "row-strided", wide[..., : a.shape[-1]]
    yield "Fortran", np.asfortranarray(a)
    yield "byte-swapped", a.astype(a.dtype.newbyteorder())
    yield "unaligned", shifted
    yield "negative strides", np.ascontiguousarray(a[::-1, ::-1, ::-1])[::-1, ::-1, ::-1]
    yield "negative time", np.ascontiguousarray(a[::-1])[::-1]
    yield "swapped axes", np.ascontiguousarray(a.swapaxes(0, 1)).swapaxes(0, 1)
    yield "list", a.tolist()
    yield "subclass", a.view(np.matrix if a.ndim == 2 else Subclass)


class Subclass(np.ndarray):
    """An ndarray by another name."""


@pytest.mark.parametrize("name", [name for name, _ in orders(np.zeros((1, 2, 3)))])
@pytest.mark.parametrize("rows", [1, N])
def test_memory_orders(variant, rng, name, rows):
    """Any way of storing x and h_0 gives the same bits, and neither is changed."""
    model = variant.gru(INPUT, H, num_layers=2, bidirectional=True, rng=1)
    x, h_0 = data(variant, rng, T, rows, INPUT), data(variant, rng, 4, rows, H)
    expected, expected_h_n = model(x, h_0)
    stored_x, stored_h_0 = dict(orders(x))[name], dict(orders(h_0))[name]
    kept = copy.deepcopy((stored_x, stored_h_0))
    y, h_n = model(stored_x, stored_h_0)
    assert_allclose(y, expected, rtol=0, atol=variant.tolerance)
    assert_allclose(h_n, expected_h_n, rtol=0, atol=variant.tolerance)
    assert type(y) is type(h_n) is np.ndarray
    for stored, copied in zip((stored_x, stored_h_0), kept, strict=True):
        assert_array_equal(stored, copied)


def test_broadcast_input(variant, rng):
    """Rows, steps or both that are one row, step or vector in memory."""
    model = variant.gru(INPUT, H, num_layers=2, rng=1)
    for shape in ((1, N, INPUT), (T, 1, INPUT), (1, 1, INPUT), (T, N, 1)):
        x = np.broadcast_to(data(variant, rng, *shape), (T, N, INPUT))
        h_0 = np.broadcast_to(data(variant, rng, 2, 1, H), (2, N, H))
        assert 0 in x.strides and 0 in h_0.strides
        for given, full in zip(model(x, h_0), model(x.copy(), h_0.copy()), strict=True):
            assert_allclose(given, full, rtol=0, atol=variant.tolerance)


def test_one_feature_and_one_unit(variant, rng):
    """Sizes of 1, where NumPy leaves strides arbitrary."""
    model = variant.gru(1, 1, num_layers=2, bidirectional=True, rng=1)
    x = data(variant, rng, T, N, 9)
    y, h_n = model(x[:, :, 4:5])
    expected, expected_h_n = model(x[:, :, 4:5].copy())
    assert_array_equal(y, expected)
    assert_array_equal(h_n, expected_h_n)


@pytest.mark.parametrize("dtype", ["int8", "uint16", "int64", "bool", "float16", "float32", "float64", "longdouble"])
def test_numbers_are_converted(variant, rng, dtype):
    model = variant.gru(INPUT, H, rng=1)
    x = np.clip(rng.normal(size=(T, N, INPUT)) * 3, 0, 9).astype(dtype)
    kept = x.copy()
    assert len(np.unique(x)) > 1
    for given, cast in zip(model(x), model(x.astype(variant.dtype)), strict=True):
        assert given.dtype == variant.dtype
        assert_array_equal(given, cast)
    assert_array_equal(x, kept)
    assert_array_equal(model(x.tolist())[0], model(x.astype(variant.dtype))[0])


def test_nan_stays_in_its_row(variant, rng):
    """NaN or infinity in one row of x or h_0 leaves every other row exactly as it was."""
    rows = 9
    for reset_after in (True, False):
        model = variant.gru(INPUT, H, num_layers=2, bidirectional=True, reset_after=reset_after, rng=1)
        x, h_0 = data(variant, rng, T, rows, INPUT), data(variant, rng, 4, rows, H)
        clean, clean_h_n = model(x, h_0)
        for row, odd in ((0, np.nan), (4, np.inf), (rows - 1, np.nan)):
            bad_x, bad_h_0 = x.copy(), h_0.copy()
            bad_x[2, row, 1] = odd
            bad_h_0[1, row, 3] = np.nan
            others = np.arange(rows) != row
            for y, h_n in (model(bad_x, h_0), model(x, bad_h_0)):
                assert_array_equal(y[:, others], clean[:, others])
                assert_array_equal(h_n[:, others], clean_h_n[:, others])
                assert not np.array_equal(y[:, row], clean[:, row])
        nan_x = x.copy()
        nan_x[2, 4, 1] = np.nan
        y, _ = model(nan_x, h_0)
        assert np.isnan(y[:, 4]).all()  # through both directions of the lower layer


# ----------------------------------------------------------------------------------------- construction


def test_defaults():
    model = cgru.GRU(3, 5)
    assert (model.input_size, model.hidden_size, model.num_layers) == (3, 5, 1)
    assert (model.bias, model.batch_first, model.bidirectional, model.reset_after) == (True, False, False, True)
    assert model.dtype == np.float32
    assert model.engine in cgru.engines.ENGINES


def test_integers_of_numpy_are_sizes(best):
    model = best.gru(np.int8(3), np.uint64(5), np.int32(2), np.True_, bidirectional=np.False_, rng=1)
    assert repr(model) == repr(best.gru(3, 5, 2, rng=1))


@pytest.mark.parametrize("bias", [True, False])
def test_drawn_parameters(best, bias):
    """Uniform in +-1/sqrt(hidden_size), the same for the same seed or Generator."""
    model = best.gru(6, 64, 2, bias, bidirectional=True, rng=7)
    state = model.state_dict()
    assert len(state) == 4 * (4 if bias else 2)
    for name, values in state.items():
        assert values.dtype == best.dtype
        assert 0.9 / 8 < np.abs(values).max() <= 1 / 8
        assert abs(values.mean()) < 0.02, name
    for source in (7, np.random.default_rng(7)):
        again = best.gru(6, 64, 2, bias, bidirectional=True, rng=source).state_dict()
        assert all(np.array_equal(again[name], state[name]) for name in state)
    assert len({values[0].tobytes() for values in state.values()}) == len(state)
    other = best.gru(6, 64, 2, bias, bidirectional=True).state_dict()
    assert not np.array_equal(other["weight_hh_l0"], state["weight_hh_l0"])
