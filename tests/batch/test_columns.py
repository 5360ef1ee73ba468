"""Sequences out of Arrow columns: slices, chunks, nulls at every level and what stands beneath them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cgru.batch.columns import check_type, sequences
from support.peers import peer
from support.sequences import LAYOUTS, column_of, types

pa = peer("pyarrow")

FEATURES = 3


def wrong(row, layout):
    """What is wrong with a row, number by number."""
    if row is None:
        return "it is null"
    flat = [number for step in row for number in step] if "flat" in layout else None
    if flat is not None:
        if len(flat) % FEATURES:
            return f"it has {len(flat)} numbers, expected a multiple of input_size={FEATURES}"
        row = [flat[k : k + FEATURES] for k in range(0, len(flat), FEATURES)]
    for number, step in enumerate(row):
        if step is None:
            return f"step {number} is null"
        if len(step) != FEATURES:
            return f"step {number} has {len(step)} numbers, expected input_size={FEATURES}"
    for number, step in enumerate(row):
        if None in step:
            return f"number {step.index(None)} of step {number} is null"
    return ""


def check(column, rows, layout):
    """What `sequences` finds in a column is what stands in the rows."""
    check_type("frames", column.type, FEATURES)
    found = sequences(column, FEATURES)
    expected = [wrong(row, layout) for row in rows]
    assert found.bad == {number: text for number, text in enumerate(expected) if text}
    assert list(found.bad) == sorted(found.bad)
    assert len(found.starts) == len(found.lengths) == len(rows)
    for row, start, length, text in zip(rows, found.starts, found.lengths, expected, strict=True):
        flat = [] if text else [number for step in row for number in step]
        assert length == len(flat) // FEATURES
        assert found.numbers[start : start + len(flat)].tolist() == flat


NUMBERS = st.integers(-9, 9).map(float)
FULL = st.lists(NUMBERS, min_size=FEATURES, max_size=FEATURES)
ANY = st.one_of(
    FULL, FULL, st.none(), st.lists(st.one_of(NUMBERS, st.none()), max_size=5),
    st.lists(st.one_of(NUMBERS, st.none()), min_size=FEATURES, max_size=FEATURES),
)  # fmt: skip
ROWS = st.lists(st.one_of(st.none(), st.lists(FULL, max_size=4), st.lists(ANY, max_size=4)), max_size=9)


@pytest.mark.parametrize("layout", LAYOUTS)
@given(rows=ROWS, data=st.data())
def test_slices_chunks_and_nulls(layout, rows, data):
    if layout not in types():
        pytest.skip("this pyarrow has no list views")
    if "fixed" in layout:       # there are no steps of another width
        rows = [
            row and [step if step is None or len(step) == FEATURES else [None] * FEATURES for step in row]
            for row in rows
        ]  # fmt: skip
    elif "flat" in layout:      # nor steps that are null
        rows = [row and [step for step in row if step is not None] for row in rows]
    column = column_of(rows, layout, FEATURES)
    low, high = sorted((data.draw(st.integers(0, len(rows))), data.draw(st.integers(0, len(rows)))))
    check(column, rows, layout)
    check(column.slice(low, high - low), rows[low:high], layout)
    chunks = pa.chunked_array([column.slice(0, low), column.slice(low, high - low), column.slice(high)])
    check(chunks, rows, layout)
    check(chunks.slice(low), rows[low:], layout)
    check(pa.chunked_array([], column.type), [], layout)


def mask(*bits):
    return pa.array([bool(bit) for bit in bits])


def places(*numbers):
    return pa.array(numbers, pa.int32())


def test_what_stands_beneath_a_null_is_not_read():
    """A null row or step may have numbers in memory, also of other widths and with nulls of their own."""
    numbers = pa.array([*map(float, range(14)), None, None, 16.0, 17.0, 18.0])
    #        0: 0 1 2    1: 3 4 5    2: 6 7 8 9 (null)    3: 10 11 12    4: 13 - - (null)   5: 16 17 18
    steps = pa.ListArray.from_arrays([0, 3, 6, 10, 13, 16, 19], numbers, mask=mask(0, 0, 1, 0, 1, 0))
    inner = [[0, 1, 2], [3, 4, 5], None, [10, 11, 12], None, [16, 17, 18]]
    column = pa.ListArray.from_arrays([0, 2, 3, 4, 5, 6], steps, mask=mask(0, 1, 0, 1, 0))
    check(column, [inner[:2], None, inner[3:4], None, inner[5:]], "lists")
    column = pa.ListArray.from_arrays([0, 2, 4, 6], steps)
    check(column, [inner[:2], inner[2:4], inner[4:]], "lists")


def test_lists_of_fixed_size_and_slices_of_them():
    numbers = pa.array([*map(float, range(24))])
    steps = pa.FixedSizeListArray.from_arrays(numbers, FEATURES, mask=mask(0, 0, 1, 0, 0, 0, 0, 1))
    inner = [None if k in (2, 7) else [3.0 * k, 3 * k + 1, 3 * k + 2] for k in range(8)]
    column = pa.FixedSizeListArray.from_arrays(steps, 2, mask=mask(0, 0, 1, 0))
    rows = [inner[:2], inner[2:4], None, inner[6:]]
    flat = pa.FixedSizeListArray.from_arrays(numbers, 2 * FEATURES)
    for low in range(5):
        for high in range(low, 5):
            check(column.slice(low, high - low), rows[low:high], "fixed")
            some = [step and [step] for step in inner[2 * low : 2 * high]]
            check(steps.slice(2 * low, 2 * (high - low)), some, "flat")
            some = [[list(map(float, range(6 * k, 6 * k + 6)))] for k in range(low, high)]
            check(flat.slice(low, high - low), some, "flat")


def test_views_that_overlap_are_out_of_order_and_leave_things_out():
    if "views" not in types():
        pytest.skip("this pyarrow has no list views")
    numbers = pa.array([*map(float, range(12)), None])
    steps = pa.ListViewArray.from_arrays(places(9, 0, 3, 1, 10), places(3, 3, 3, 3, 3), numbers)
    inner = [[9, 10, 11], [0, 1, 2], [3, 4, 5], [1, 2, 3], [10, 11, None]]
    column = pa.ListViewArray.from_arrays(places(3, 1, 0, 0, 3), places(1, 2, 4, 0, 2), steps)
    rows = [inner[3:4], inner[1:3], inner[:4], [], inner[3:]]
    check(column, rows, "views")
    check(column.slice(1, 3), rows[1:4], "views")


def test_numbers_are_a_view_of_arrow_s_memory():
    numbers = pa.array(np.arange(12, dtype=np.float32))
    column = pa.ListArray.from_arrays([0, 1, 4], pa.FixedSizeListArray.from_arrays(numbers, FEATURES))
    found = sequences(column, FEATURES).numbers
    assert found.dtype == np.float32 and not found.flags.owndata
    assert found.ctypes.data == numbers.buffers()[1].address
