"""A transform of record batches: every row's result is that of the model called with it alone."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import cgru
from cgru.batch.transform import BadRow, Transform
from support.peers import peer
from support.sequences import LAYOUTS, alone, column_of, draw_rows, numbers_of, types

pa = peer("pyarrow")

N, INPUTS, H = 37, 3, 5


def batch_of(rows, layout="lists", **columns):
    return pa.record_batch({"frames": column_of(rows, layout, INPUTS), "id": pa.array(range(len(rows))), **columns})


def check(model, rows, output, found, exact=True):
    """The columns of `found` are what the model makes of each of the rows alone."""
    for row, *results in zip(rows, *(numbers_of(column, model.dtype) for column in found), strict=True):
        expected = alone(model, row, output)
        assert len(expected) == len(results)
        for one, other in zip(expected, results, strict=True):
            if one.size == 0:
                assert other.size == 0
            elif exact:
                assert_array_equal(one, other)
            else:
                assert_allclose(one, other, rtol=0, atol=1e-12 if model.dtype == np.float64 else 2e-6)


@pytest.mark.parametrize("output", ["last", "all", "state"])
def test_each_row_is_that_of_the_model_alone(model, rng, output):
    """Every kind, configuration, engine and dtype; whatever the batches are."""
    rows = draw_rows(rng, N, INPUTS)
    transform = Transform(model, "frames", output=output)
    found = transform(batch_of(rows).slice(2, 30))
    assert found.schema == transform.schema(batch_of(rows).schema)
    assert found.schema.names == (["y"] if output != "state" else ["h", "c"][: found.num_columns])
    check(model, rows[2:32], output, found.columns, exact=model.engine == "packed")


NETWORKS = {
    "last": lambda: cgru.Sequential([cgru.GRU(INPUTS, H, rng=1), cgru.Linear(H, 2, rng=2)], last=True),
    "every step": lambda: cgru.Sequential(
        [cgru.Linear(INPUTS, 4, rng=0), cgru.GRU(4, H, bidirectional=True, rng=1), cgru.Linear(2 * H, 2, rng=2)]
    ),
    "h_n": lambda: cgru.Sequential(
        [cgru.LSTM(INPUTS, H, bidirectional=True, batch_first=True, rng=1), cgru.Linear(2 * H, 2, rng=2)],
        last="h_n", batch_first=True,
    ),
    "skip": lambda: cgru.Sequential(
        [cgru.GRU(INPUTS, H, rng=1), cgru.LSTM(H, 4, rng=3), cgru.Linear(4, 2, rng=2)], skip=True
    ),
    "backwards": lambda: cgru.Sequential([cgru.GRU(INPUTS, H, go_backwards=True, rng=1), cgru.GRU(H, 4, rng=2)]),
    "int8": lambda: cgru.Sequential([cgru.GRU(INPUTS, H, rng=1), cgru.LSTM(H, 4, rng=3)]).quantize("int8"),
    "no state": lambda: cgru.Sequential([cgru.Linear(INPUTS, 2, rng=2)]),
}


@pytest.mark.parametrize("output", ["last", "all", "state"])
@pytest.mark.parametrize("name", NETWORKS)
def test_networks(rng, name, output):
    net = NETWORKS[name]()
    if (output == "all" and net.last) or (output == "state" and name == "no state"):
        with pytest.raises(ValueError, match=f"output='{output}'"):
            Transform(net, "frames", output=output)
        return
    rows = draw_rows(rng, N, INPUTS)
    transform = Transform(net, "frames", output=output, keep=["id"])
    found = transform(batch_of(rows))
    assert found["id"].to_pylist() == list(range(N))
    check(net, rows, output, found.columns[:-1])
    if output == "state":
        recurrent = [k for k, layer in enumerate(net.layers) if layer.kind != "linear"]
        names = [f"{k}.{plane}" for k in recurrent for plane in net.layers[k].config.cell.states]
        expected = names if len(recurrent) > 1 else [name.partition(".")[2] for name in names]
        assert list(transform.outputs) == expected


def test_a_row_without_steps(rng):
    """Zeros as its last step, as of a network that gives the last step; no steps; its initial state, stored or not."""
    h_0 = rng.normal(size=(1, H)).astype(np.float32)
    gru = cgru.GRU(INPUTS, H, rng=1, initial_state=h_0)
    rows = [np.zeros((0, INPUTS), np.float32)] * 2
    y, steps, state = (Transform(gru, "frames", output=what)(batch_of(rows))[0] for what in ("last", "all", "state"))
    assert numbers_of(y, np.float32)[1].tolist() == [0] * H and steps.to_pylist() == [[], []]
    assert_array_equal(numbers_of(state, np.float32)[1], h_0[0])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_and_chunks(rng, layout):
    if layout not in types():
        pytest.skip("this pyarrow has no list views")
    gru = cgru.GRU(INPUTS, H, rng=1)
    rows = draw_rows(rng, N, INPUTS)
    whole = batch_of(rows, layout)
    table = pa.Table.from_batches([whole.slice(0, 9), whole.slice(9, 0), whole.slice(9, 20), whole.slice(29)])
    expected = Transform(gru, "frames", output="all", keep=["id"])(whole)
    found = Transform(gru, "frames", output="all", keep=["id"])(table)
    assert isinstance(found, pa.RecordBatch) and found == expected
    check(gru, rows, "all", found.columns[:1])
    assert Transform(gru, "frames", output="all", keep=["id"])(table.slice(7, 0)).num_rows == 0


@pytest.mark.parametrize("number", ["float16", "float64", "int8", "uint16", "int64", "bool_"])
@pytest.mark.parametrize("flat", [False, True])
def test_numbers_are_converted_as_a_call_converts(rng, number, flat):
    gru, kind = cgru.GRU(INPUTS, H, rng=1), getattr(pa, number)()
    rows = [(rng.normal(size=(T, INPUTS)) * 3).astype(kind.to_pandas_dtype()) for T in (4, 0, 7, 5)]
    rows = [np.abs(row) if number == "uint16" else row for row in rows]
    lists = [list(row.ravel()) if flat else [list(step) for step in row] for row in rows]
    column = pa.array(lists, pa.list_(kind) if flat else pa.list_(pa.list_(kind)))
    check(gru, rows, "last", Transform(gru, "frames")(pa.record_batch({"frames": column})).columns)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_and_the_cut_into_batches_change_no_bit(rng, monkeypatch, threads):
    gru = cgru.GRU(INPUTS, H, num_layers=2, bidirectional=True, rng=1)
    rows = draw_rows(rng, 90, INPUTS, longest=40)
    expected = Transform(gru, "frames", output="all")(batch_of(rows))
    for most, size in ((1, 1 << 20), (7, 1 << 20), (64, 3000), (64, 1)):
        monkeypatch.setattr("cgru.batch.transform.ROWS", most)
        monkeypatch.setattr("cgru.batch.transform.BYTES", size)
        assert Transform(gru, "frames", output="all", threads=threads)(batch_of(rows)) == expected
    check(gru, rows, "all", expected.columns)


def test_batches_are_of_like_lengths_and_bounded(rng):
    from cgru.batch import transform

    lengths = rng.integers(0, 500, 1000)
    batches = transform._like_lengths(lengths, 1000, False)
    assert sorted(np.concatenate(batches)) == list(range(1000))
    for rows in batches:
        own = lengths[rows]
        assert np.all(np.diff(own) <= 0) and len(own) <= transform.ROWS
        assert len(own) * own[0] * 1000 <= transform.BYTES and len(own) * own[0] <= transform.PADDED * own.sum()
    assert sum(len(rows) * lengths[rows[0]] for rows in batches) < 1.05 * lengths.sum()
    far = np.array([1, 1, 1000, 1, 999, 3])
    assert [rows.tolist() for rows in transform._like_lengths(far, 1, False)] == [[2, 4, 5, 0, 1, 3]]
    far[[1, 4]] = 2, 1
    assert [rows.tolist() for rows in transform._like_lengths(far, 1, False)] == [[2, 5, 1, 0], [3, 4]]
    assert all(len(set(lengths[rows])) == 1 for rows in transform._like_lengths(lengths, 1000, True))


def test_it_pickles(rng):
    rows = draw_rows(rng, N, INPUTS)
    for model in (cgru.GRU(INPUTS, H, rng=1, batch_first=True).quantize("int8"), NETWORKS["skip"]()):
        transform = Transform(model, "frames", keep=("id",), bad="skip")
        again = pickle.loads(pickle.dumps(transform))
        assert again(batch_of(rows)) == transform(batch_of(rows))


# ---- bad rows


def bad_rows(rng):
    rows = [row.tolist() for row in draw_rows(rng, 8, INPUTS)]
    rows[0] = rng.normal(size=(3, INPUTS)).tolist()
    rows[1] = None
    rows[3] = [[1, 2, 3], [1, 2]]
    rows[5] = [[1, 2, 3], None]
    rows[6] = [[1, 2, 3], [4, None, 6]]
    return rows


REASONS = {
    1: "it is null", 3: "step 1 has 2 numbers, expected input_size=3", 5: "step 1 is null",
    6: "number 1 of step 1 is null",
}  # fmt: skip


def test_bad_rows_are_left_out(rng):
    gru, rows = cgru.GRU(INPUTS, H, rng=1), bad_rows(rng)
    for output in ("last", "all", "state"):
        found, skipped = Transform(gru, "frames", output=output, keep=["id"], bad="skip").apply(batch_of(rows), 100)
        assert skipped == {100 + row: reason for row, reason in REASONS.items()} and list(skipped) == sorted(skipped)
        assert found["id"].to_pylist() == [0, 2, 4, 7]
        good = [np.array(rows[k], np.float32).reshape(-1, INPUTS) for k in (0, 2, 4, 7)]
        check(gru, good, output, found.columns[:-1])
    everything, skipped = Transform(gru, "frames", bad="skip").apply(batch_of([None, None]))
    assert everything.num_rows == 0 and list(skipped) == [0, 1]


def test_a_bad_row_fails(rng):
    transform = Transform(cgru.GRU(INPUTS, H, rng=1), "frames")
    rows = bad_rows(rng)
    for row, reason in REASONS.items():
        with pytest.raises(ValueError, match=f"^row {row + 10}, column frames: {reason}; mend it") as error:
            transform(batch_of(rows[row:]), 10 + row)
        assert type(error.value) is BadRow and error.value.row == row + 10 and error.value.reason == reason
        again = pickle.loads(pickle.dumps(error.value))
        assert str(again) == str(error.value)
    with pytest.raises(ValueError, match="row 1, column frames: it has 4 numbers, expected a multiple of"):
        transform(batch_of([[[1, 2, 3]], [[1, 2, 3, 4]]], "flat"))


# ---- columns and arguments


@pytest.mark.parametrize("column, words", [
    (lambda: pa.array([1, 2]), "column frames is int64, expected a list of steps of 3 numbers each"),
    (lambda: pa.array(["a"]), "is string, expected"),
    (lambda: pa.array([["a"]]), "is list<item: string>, expected"),
    (lambda: pa.array([[[[1.0]]]]), "expected a list of steps"),
    (lambda: pa.array([[]]), "is list<item: null>, expected"),
    (lambda: pa.array([[{"a": 1}]]), "expected a list of steps"),
    (lambda: pa.array([1, 1]).dictionary_encode(), "cast it to int64 first"),
    (lambda: pa.FixedShapeTensorArray.from_numpy_ndarray(np.zeros((2, 4, 3))), "cast it to its storage type"),
])  # fmt: skip
def test_a_column_that_holds_no_sequences(column, words):
    with pytest.raises(TypeError) as error:
        Transform(cgru.GRU(INPUTS, H, rng=1), "frames")(pa.record_batch({"frames": column()}))
    assert words in str(error.value)


@pytest.mark.parametrize("kind, words", [
    (lambda: pa.list_(pa.list_(pa.float32(), 4)), "steps of 4 numbers .*expects input_size=3"),
    (lambda: pa.list_(pa.float32(), 4), "4 numbers a row .*multiple of input_size=3"),
])  # fmt: skip
def test_a_type_of_another_width(kind, words):
    transform = Transform(cgru.GRU(INPUTS, H, rng=1), "frames", bad="skip")
    with pytest.raises(ValueError, match=words):
        transform.schema(pa.schema([("frames", kind())]))


def test_columns_that_are_missing_or_clash():
    gru, schema = cgru.GRU(INPUTS, H, rng=1), batch_of([]).schema
    with pytest.raises(ValueError, match="column x is not there; there are frames, id"):
        Transform(gru, "x").schema(schema)
    with pytest.raises(ValueError, match="column name is not there"):
        Transform(gru, "frames", keep=["id", "name"]).schema(schema)
    with pytest.raises(ValueError, match="column id is there twice"):
        Transform(gru, "frames", keep=["id"]).schema(schema.append(pa.field("id", pa.int8())))
    with pytest.raises(ValueError, match="keep: y is an output"):
        Transform(gru, "frames", keep=["y"])
    with pytest.raises(ValueError, match="keep: h is an output"):
        Transform(gru, "frames", output="state", keep=["id", "h"])
    with pytest.raises(ValueError, match="keep: id stands in it twice"):
        Transform(gru, "frames", keep=["id", "id"])
    assert Transform(gru, "frames", keep=["frames", "id"]).schema(schema).names == ["y", "frames", "id"]


@pytest.mark.parametrize("options, kind, words", [
    ({"output": "first"}, ValueError, "output must be 'last', 'all' or 'state'; got 'first'"),
    ({"bad": "drop"}, ValueError, "bad must be 'fail' or 'skip'; got 'drop'"),
    ({"keep": "id"}, TypeError, "keep must be a list of names"),
    ({"keep": [1]}, TypeError, "keep must be a list of names"),
    ({"column": 3}, TypeError, "column must be the name of a column; got int"),
    ({"threads": 0}, ValueError, "threads must be at least 1"),
    ({"model": cgru.Linear(3, 2, rng=0)}, TypeError, "model must be a GRU, LSTM, RNN or Sequential; got Linear"),
    ({"model": "m.safetensors"}, TypeError, "got str"),
])  # fmt: skip
def test_arguments(options, kind, words):
    with pytest.raises(kind, match=words):
        Transform(**{"model": cgru.GRU(INPUTS, H, rng=1), "column": "frames"} | options)
