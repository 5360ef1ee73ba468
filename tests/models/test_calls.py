"""What goes in and comes out of a model: shapes, defaults, layouts, dtypes, memory orders."""

import copy

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import cgru
from support.compare import assert_close, assert_equal, assert_same_bits, flat
from support.models import build, configurations, draw, draw_hx, on_planes, planes, random_lengths, row_of, zeros_hx
from support.variants import WEIGHTS

pytestmark = pytest.mark.variants(weights=WEIGHTS)

T, N, INPUT, H = 7, 4, 5, 19


def data(variant, rng, *shape):
    return variant.cast(rng.normal(size=shape))


# ----------------------------------------------------------------------------------------------- shapes


@pytest.mark.parametrize("num_layers", [1, 3])
@pytest.mark.parametrize("directions", [1, 2])
def test_shapes(variant, rng, num_layers, directions):
    options = {"num_layers": num_layers, "bidirectional": directions == 2, "rng": 1}
    cells = num_layers * directions
    time_major, batch_major = variant.model(INPUT, H, **options), variant.model(INPUT, H, batch_first=True, **options)
    x, hx = data(variant, rng, T, N, INPUT), draw_hx(variant, rng, time_major, N)
    y, h_n = time_major(x, hx)
    assert y.shape == (T, N, directions * H) and y.dtype == variant.dtype and y.flags.c_contiguous
    assert len(planes(h_n)) == len(variant.cell.states)
    for plane in planes(h_n):
        assert plane.shape == (cells, N, H) and plane.dtype == variant.dtype and plane.flags.c_contiguous

    y_batch, h_n_batch = batch_major(x.swapaxes(0, 1).copy(), hx)
    assert y_batch.shape == (N, T, directions * H)
    assert_array_equal(y_batch.swapaxes(0, 1), y)
    assert_equal(h_n_batch, h_n)

    for model in (time_major, batch_major):
        y_row, h_n_row = model(x[:, 1], row_of(hx, 1))
        assert y_row.shape == (T, directions * H) and planes(h_n_row)[0].shape == (cells, H)
        assert_close((y_row, h_n_row), (y[:, 1], row_of(h_n, 1)), variant.tolerance)


def test_order_of_results(variant, rng):
    """h_n is layer-major, direction-minor; y holds forward and backward of the last layer side by side."""
    model = variant.model(INPUT, H, num_layers=2, bidirectional=True, rng=1)
    x = data(variant, rng, T, N, INPUT)
    y, final = model(x, draw_hx(variant, rng, model, N))
    h_n = planes(final)[0]
    assert_array_equal(h_n[2], y[-1, :, :H])
    assert_array_equal(h_n[3], y[0, :, H:])
    lower = variant.from_state({k: v for k, v in model.state_dict().items() if "_l0" in k})
    y_lower, final_lower = lower(x)
    _, final = model(x)
    assert_equal(on_planes(final, lambda plane: plane[:2]), final_lower)
    assert_array_equal(planes(final)[0][0], y_lower[-1, :, :H])


def test_the_state_is_zeros_by_default(variant, rng):
    model = variant.model(INPUT, H, num_layers=2, rng=1)
    x = data(variant, rng, T, N, INPUT)
    zeros = zeros_hx(variant, model, N)
    assert_equal(model(x), model(x, zeros))
    assert_equal(model(x, hx=None), model(x, hx=zeros))
    if len(planes(zeros)) == 2:      # either of a pair may be left out
        h, c = draw_hx(variant, rng, model, N)
        assert_equal(model(x, (None, c)), model(x, (zeros[0], c)))
        assert_equal(model(x, (h, None)), model(x, (h, zeros[1])))
        assert_equal(model(x, (None, None)), model(x))


@pytest.mark.parametrize("bidirectional", [False, True])
def test_no_steps_and_no_rows(variant, rng, bidirectional):
    model = variant.model(INPUT, H, num_layers=2, bidirectional=bidirectional, rng=1)
    for steps, rows in ((0, N), (T, 0), (0, 0)):
        hx = draw_hx(variant, rng, model, rows)
        for lengths in (None, [0] * rows, np.zeros(rows, np.uint8)):
            y, h_n = model(np.zeros((steps, rows, INPUT), variant.dtype), hx, lengths=lengths)
            assert y.shape == (steps, rows, H * (1 + bidirectional)) and y.dtype == variant.dtype
            assert_equal(h_n, hx)
            assert not any(np.shares_memory(a, b) for a in planes(h_n) for b in planes(hx))
    y, h_n = model(np.zeros((0, INPUT), variant.dtype))
    assert y.shape == (0, H * (1 + bidirectional))
    assert_equal(h_n, zeros_hx(variant, model))


# ---------------------------------------------------------------------------------------------- lengths


@pytest.mark.parametrize("bidirectional", [False, True])
def test_lengths(variant, rng, bidirectional):
    """Each row is as if it were alone and cut to its length; what stands in the padding does not matter."""
    rows = 6
    model = variant.model(INPUT, H, num_layers=2, bidirectional=bidirectional, rng=1)
    x, hx = data(variant, rng, T, rows, INPUT), draw_hx(variant, rng, model, rows)
    lengths = random_lengths(rng, T, rows)
    lengths[2] = 0
    for row, length in enumerate(lengths):
        x[length:, row] = np.nan
    y, h_n = model(x, hx, lengths=lengths)
    for row, length in enumerate(lengths):
        alone = model(x[:length, row], row_of(hx, row))
        assert_close((y[:length, row], row_of(h_n, row)), alone, variant.tolerance)
        assert_array_equal(y[length:, row], 0)
    assert_equal(row_of(h_n, 2), row_of(hx, 2))


def test_forms_of_lengths(best, rng):
    model = best.model(INPUT, H, bidirectional=True, rng=1)
    x, lengths = data(best, rng, T, N, INPUT), [3, T, 0, 5]
    expected, _ = model(x, lengths=lengths)
    forms = [tuple(lengths), np.array(lengths, np.uint8), np.array(lengths, ">i2"), np.array(lengths * 2)[:4]]
    forms += [np.repeat(lengths, 3)[::3], np.array(lengths)[::-1].copy()[::-1]]
    for form in forms:
        assert_array_equal(model(x, lengths=form)[0], expected)


def test_full_lengths_are_no_lengths(variant, rng):
    model = variant.model(INPUT, H, num_layers=2, bidirectional=True, rng=1)
    x = data(variant, rng, T, N, INPUT)
    assert_close(model(x, lengths=[T] * N), model(x), variant.tolerance)


# -------------------------------------------------------------------------------------------------- out


@pytest.mark.parametrize("batch_first", [False, True])
def test_out_is_filled_and_returned(variant, rng, batch_first):
    model = variant.model(INPUT, H, num_layers=2, bidirectional=True, batch_first=batch_first, rng=1)
    x, lengths = data(variant, rng, T, N, INPUT), [3, T, 0, 5]
    x = x.swapaxes(0, 1) if batch_first else x
    for options in ({}, {"lengths": lengths}):
        expected, h_n = model(x, **options)
        out = np.full_like(expected, np.nan)
        y, h_n_out = model(x, out=out, **options)
        assert y is out
        assert_array_equal(out, expected)
        assert_equal(h_n_out, h_n)


def test_results_are_new_arrays(variant, rng):
    model = variant.model(INPUT, H, rng=1)
    x, hx = data(variant, rng, T, N, INPUT), draw_hx(variant, rng, model, N)
    first, second = model(x, hx), model(x, hx)
    arrays = [x, *planes(hx), *flat(first), *flat(second)]
    for i, a in enumerate(arrays):
        for b in arrays[:i]:
            assert not np.shares_memory(a, b)
    assert_equal(first, second)


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
    model = variant.model(INPUT, H, num_layers=2, bidirectional=True, rng=1)
    x, hx = data(variant, rng, T, rows, INPUT), draw_hx(variant, rng, model, rows)
    expected = model(x, hx)
    stored_x, stored_hx = dict(orders(x))[name], on_planes(hx, lambda plane: dict(orders(plane))[name])
    kept = copy.deepcopy((stored_x, stored_hx))
    result = model(stored_x, stored_hx)
    assert_close(result, expected, variant.tolerance)
    assert all(type(array) is np.ndarray for array in flat(result))
    assert_array_equal(stored_x, kept[0])
    for stored, copied in zip(planes(stored_hx), planes(kept[1]), strict=True):
        assert_array_equal(stored, copied)


def test_broadcast_input(variant, rng):
    """Rows, steps or both that are one row, step or vector in memory."""
    model = variant.model(INPUT, H, num_layers=2, rng=1)
    for shape in ((1, N, INPUT), (T, 1, INPUT), (1, 1, INPUT), (T, N, 1)):
        x = np.broadcast_to(data(variant, rng, *shape), (T, N, INPUT))
        hx = on_planes(draw_hx(variant, rng, model, 1), lambda plane: np.broadcast_to(plane, (2, N, H)))
        assert 0 in x.strides and all(0 in plane.strides for plane in planes(hx))
        assert_close(model(x, hx), model(x.copy(), on_planes(hx, np.copy)), variant.tolerance)


def test_one_feature_and_one_unit(variant, rng):
    """Sizes of 1, where NumPy leaves strides arbitrary."""
    model = variant.model(1, 1, num_layers=2, bidirectional=True, rng=1)
    x = data(variant, rng, T, N, 9)
    assert_equal(model(x[:, :, 4:5]), model(x[:, :, 4:5].copy()))


NUMBERS = ["int8", "uint16", "int64", "bool", "float16", "float32", "float64", "longdouble"]


@pytest.mark.parametrize("dtype", NUMBERS)
def test_numbers_are_converted(variant, rng, dtype):
    """x and hx alike, whatever numbers they are; neither is changed."""
    model = variant.model(INPUT, H, rng=1)
    x = np.clip(rng.normal(size=(T, N, INPUT)) * 3, 0, 9).astype(dtype)
    hx = on_planes(draw_hx(variant, rng, model, N), lambda plane: np.clip(plane * 9, 0, 9).astype(dtype))
    kept, kept_hx = x.copy(), on_planes(hx, np.copy)
    assert len(np.unique(x)) > 1 and all(len(np.unique(plane)) > 1 for plane in planes(hx))
    expected = model(x.astype(variant.dtype), on_planes(hx, lambda plane: plane.astype(variant.dtype)))
    result = model(x, hx)
    assert all(array.dtype == variant.dtype for array in flat(result))
    assert_equal(result, expected)
    assert_array_equal(x, kept)
    assert_equal(hx, kept_hx)
    assert_equal(model(x.tolist(), on_planes(hx, np.ndarray.tolist)), expected)


def test_numpy_s_zeros_are_a_state(variant, rng):
    """np.zeros is float64 and the first thing that everybody writes."""
    model = variant.model(INPUT, H, num_layers=2, rng=1)
    x = data(variant, rng, T, N, INPUT)
    zeros = on_planes(zeros_hx(variant, model, N), lambda plane: np.zeros(plane.shape))
    assert_equal(model(x, zeros), model(x))


def test_nan_stays_in_its_row(variant, rng):
    """NaN or infinity in one row of x or of the state leaves every other row exactly as it was."""
    rows = 9
    for form in configurations(kind=variant.kind, layout="one layer"):
        options = {"num_layers": 2, "bidirectional": True} | form.options
        model = variant.model(INPUT, H, rng=1, **options)
        x, hx = data(variant, rng, T, rows, INPUT), draw_hx(variant, rng, model, rows)
        clean = model(x, hx)
        for row, odd in ((0, np.nan), (4, np.inf), (rows - 1, np.nan)):
            bad_x = x.copy()
            bad_x[2, row, 1] = odd
            results = [model(bad_x, hx)]
            for spoilt in range(len(planes(hx))):
                bad_hx = on_planes(hx, np.copy)
                planes(bad_hx)[spoilt][1, row, 3] = np.nan
                results.append(model(x, bad_hx))
            others = np.arange(rows) != row
            for result in results:
                for array, wanted in zip(flat(result), flat(clean), strict=True):
                    assert_array_equal(array[:, others], wanted[:, others])
                assert not np.array_equal(result[0][:, row], clean[0][:, row])
        nan_x = x.copy()
        nan_x[2, 4, 1] = np.nan
        y, _ = model(nan_x, hx)
        assert np.isnan(y[:, 4]).all()  # through both directions of the lower layer


@pytest.mark.configurations(layout="two layers")
def test_a_record_is_a_call_with_a_tape(variant, configuration, rng):
    """Three things for every kind; the same bits as the call's, for every engine."""
    model = build(variant, configuration, INPUT, H)
    x, hx = draw(variant, rng, model, T, N)
    for lengths in (None, [3, T, 0, 5]):
        y, h_n, tape = model.record(x, hx, lengths=lengths)
        assert isinstance(tape, cgru.gradients.Tape) and tape.nbytes > 0
        assert y.flags.owndata and y.flags.c_contiguous
        called = model(x, hx, lengths=lengths)
        if lengths is None or variant.engine == "packed":
            assert_same_bits((y, h_n), called)
        assert_close((y, h_n), called, variant.tolerance)
    y, h_n, _ = model.record(x[:, 1], row_of(hx, 1))
    assert_same_bits((y, h_n), model(x[:, 1], row_of(hx, 1)))


@pytest.mark.configurations(layout="two layers")
def test_pieces_threads_and_one_row(variant, configuration, rng):
    """Steps one by one, rows split over threads, a row by itself: the whole, within the contract."""
    model = build(variant, configuration, INPUT, H)
    x, hx = draw(variant, rng, model, 9, 6)
    whole = y, h_n = model(x, hx)
    tolerance = min(variant.tolerance, 1e-6 if variant.name == "float32" else 1e-13)
    carried, parts = hx, []
    for x_t in x:
        part, carried = model(x_t[None], carried)
        parts.append(part)
    assert_close((np.concatenate(parts), carried), whole, tolerance)
    for lengths in (None, random_lengths(rng, 9, 6)):
        assert_close(model(x, hx, lengths=lengths, threads=3), model(x, hx, lengths=lengths), tolerance)
    assert_close(model(x[:, 2], row_of(hx, 2)), (y[:, 2], row_of(h_n, 2)), tolerance)
