"""``cgru run`` over Parquet files."""

import os
import signal
import time

import numpy as np
import pytest

import cgru
from cgru.__main__ import main
from cgru.batch import transform
from cgru.commands import _parquet
from support.peers import peer
from support.processes import run_python, start_cgru
from support.sequences import alone, column_of, draw_rows, numbers_of

pa = peer("pyarrow")
parquet = peer("pyarrow.parquet")

pytestmark = pytest.mark.usefixtures("folder")

N, INPUTS, H = 60, 3, 5


@pytest.fixture
def rows(rng):
    """The rows of in.parquet; a model in m.safetensors."""
    found = draw_rows(rng, N, INPUTS)
    write(found, "in.parquet")
    cgru.GRU(INPUTS, H, rng=1).save("m.safetensors")
    return found


def write(rows, path):
    table = {"frames": column_of(rows, "lists", INPUTS), "id": range(len(rows)), "other": ["a"] * len(rows)}
    parquet.write_table(pa.table(table), path, row_group_size=13)


def run(*arguments, status=0):
    assert main(["run", "m.safetensors", *arguments]) == status


def error(capsys, *arguments):
    """The one line of an error, which leaves nothing."""
    capsys.readouterr()
    before = sorted(os.listdir())
    run(*arguments, status=2)
    out, err = capsys.readouterr()
    assert not out and err.startswith("cgru: error: ") and err.count("\n") == 1
    assert sorted(os.listdir()) == before
    return err.removeprefix("cgru: error: ").rstrip()


def check(model, rows, path, output, names):
    found = parquet.read_table(path)
    assert found.schema.names == names
    for row, result in zip(rows, numbers_of(found[0].combine_chunks(), model.dtype), strict=True):
        assert np.array_equal(result, alone(model, row, output)[0]) or result.size == row.size == 0
    return found


@pytest.mark.parametrize("output", [None, "last", "all", "state"])
@pytest.mark.parametrize("threads", [None, "1", "3"])
def test_into_a_file(rows, output, threads, capsys):
    extra = [] if output is None else ["--output", output]
    extra += [] if threads is None else ["--threads", threads]
    run("in.parquet", "--column", "frames", "--keep", "other,id", *extra, "-o", "out.parquet")
    columns = {"state": "h (5)", "all": "y (T, 5)"}.get(output, "y (5)")
    assert capsys.readouterr().out.startswith(f"wrote out.parquet: 60 rows, {columns} float32, ")
    names = ["h" if output == "state" else "y", "other", "id"]
    found = check(cgru.load("m.safetensors"), rows, "out.parquet", output or "last", names)
    assert found["id"].to_pylist() == list(range(N)) and found["other"].to_pylist() == ["a"] * N


def test_a_folder_a_network_and_options_of_the_model(rng, rows, capsys):
    net = cgru.Sequential([cgru.LSTM(INPUTS, H, rng=1), cgru.Linear(H, 2, rng=2)], last=True)
    net.save("m.safetensors")
    os.mkdir("data")
    write(rows[:20], "data/a.parquet")
    write(rows[20:], "data/b.PARQUET")
    run("data", "--column", "frames", "-o", "out.parquet")
    check(net, rows, "out.parquet", "last", ["y"])
    run("data", "--column", "frames", "--output", "state", "-o", "out.parquet")
    found = check(net, rows, "out.parquet", "state", ["h", "c"])
    for row, c in zip(rows, found["c"].to_pylist(), strict=True):
        assert np.array_equal(np.array(c, np.float32), net(row)[1][0][1][0])
    assert ": 60 rows, h (5), c (5) float32, " in capsys.readouterr().out
    net.replace(engine="packed").save("m.safetensors")
    assert "--output all: this network has last=True" in error(
        capsys, "data", "--column", "frames", "--output", "all", "-o", "o.parquet"
    )


def test_output_also_names_the_file_as_before(rows):
    """--output was a file's name before it said what is written; a file has a suffix, so there is no doubt."""
    run("in.parquet", "--column", "frames", "--output", "all", "--output", "out.parquet")
    check(cgru.load("m.safetensors"), rows, "out.parquet", "all", ["y"])
    np.save("x.npy", rows[0])
    run("x.npy", "--output", "y.npy")
    assert np.array_equal(np.load("y.npy"), cgru.load("m.safetensors")(rows[0])[0])


def test_bad_rows(rows, capsys):
    bad = [row.tolist() for row in rows]
    for number in (4, 17, 18, 30, 31, 50):
        bad[number] = [[1, 2]]
    bad[30] = None
    write(bad, "in.parquet")
    assert error(capsys, "in.parquet", "--column", "frames", "-o", "out.parquet") == (
        "row 4 of in.parquet, column frames: step 0 has 2 numbers, expected input_size=3; mend it, or leave such rows "
        "out with --bad skip"
    )
    run("in.parquet", "--column", "frames", "--keep", "id", "--bad", "skip", "-o", "out.parquet")
    out, err = capsys.readouterr()
    assert out.startswith("wrote out.parquet: 54 rows, ")
    words = "step 0 has 2 numbers, expected input_size=3"
    assert err == (
        f"cgru: note: 6 rows were left out: row 4: {words}, row 17: {words}, row 18: {words}, row 30: it is null, "
        f"row 31: {words}, ...\n"
    )
    found = parquet.read_table("out.parquet")["id"].to_pylist()
    assert found == [k for k in range(N) if k not in (4, 17, 18, 30, 31, 50)]


@pytest.mark.parametrize("arguments, words", [
    ("in.parquet -o out.parquet", "INPUT in.parquet has columns: say with --column which one holds the sequences"),
    ("in.parquet --column frames", "the following arguments are required: -o"),
    ("in.parquet --column frames -o out.npy", "--output out.npy: expected a name that ends with .parquet"),
    ("in.parquet --column frames -o in.parquet", "--output in.parquet is the same file as INPUT in.parquet"),
    ("in.parquet --column frames -o m.parquet", "--output m.parquet is the same file as the model"),
    ("in.parquet --column x -o out.parquet", "in.parquet: column x is not there; there are frames, id, other"),
    ("in.parquet --column id -o out.parquet", "in.parquet: column id is int64, expected a list of steps of 3 numbers"),
    ("in.parquet --column frames --keep id,x -o out.parquet", "column x is not there"),
    ("in.parquet --column frames --keep y -o out.parquet", "error: --keep: y is an output"),
    ("in.parquet --column frames --output sate -o out.parquet",
     "error: --output sate: expected last, all or state; -o names a file"),
    ("in.parquet --column frames -o out.parquet --output sate", "--output sate: expected last, all or state"),
    ("in.parquet --column frames --output sate", "--output sate: expected last, all or state"),
    ("in.parquet --column frames --output a.parquet -o b.parquet",
     "--output a.parquet: b.parquet is to be written already; drop one of them"),
    ("in.parquet --column frames -o b.parquet --output a.parquet", "--output a.parquet: b.parquet is to be written"),
    ("x.npy --output a.npy -o b.npy", "--output a.npy: b.npy is to be written already"),
    ("path/a.parquet --column x -o out.parquet", "error: path/a.parquet: column x is not there"),
    ("path/text.parquet --column x -o out.parquet", "error: path/text.parquet is no Parquet file"),
    ("in.parquet --column frames --ray --threads 2 -o out.parquet", "--threads is for this machine alone"),
    ("in.parquet --column frames --h0 h.npy -o out.parquet", "--h0 is for arrays, and INPUT is in.parquet; drop it"),
    ("in.parquet --column frames --no-batch-first -o out.parquet", "--batch-first is for arrays"),
    ("in.parquet --column frames --lengths l.npy -o out.parquet", "--lengths is for arrays"),
    ("x.npy --column frames -o y.npy", "--column is for Parquet files, and INPUT is x.npy; drop it"),
    ("x.npy --output last -o y.npy", "--output is for Parquet files, and INPUT is x.npy"),
    ("x.npy --bad skip -o y.npy", "--bad is for Parquet files"),
    ("x.npy -o y.parquet", "--output y.parquet: expected a name that ends with .npy"),
    ("nothing.parquet --column frames -o out.parquet", "No such file or directory: 'nothing.parquet'"),
    ("text.parquet --column frames -o out.parquet", "text.parquet is no Parquet file, or is damaged: "),
    ("empty --column frames -o out.parquet", "empty is a folder without .parquet files"),
    ("data --column frames -o data/new.parquet", "--output data/new.parquet is in the folder data, which is read"),
    ("data --column frames -o data/a.parquet", "--output data/a.parquet is the same file as the source"),
    ("in.parquet --column frames -o no/out.parquet", "there is no folder no; make it first"),
    ("in.parquet --column frames --bad drop -o out.parquet", "invalid choice: 'drop'"),
])  # fmt: skip
def test_errors_are_one_line_and_leave_nothing(rows, arguments, words, capsys):
    os.link("m.safetensors", "m.parquet")
    np.save("x.npy", rows[0])
    with open("text.parquet", "w") as file:
        file.write("no Parquet file at all")
    os.mkdir("empty")
    os.mkdir("data")
    write(rows, "data/a.parquet")
    os.mkdir("path")
    os.link("in.parquet", "path/a.parquet")
    os.link("text.parquet", "path/text.parquet")
    assert words in f"error: {error(capsys, *arguments.split())}"


def test_the_choices_are_those_of_the_function():
    assert (_parquet.OUTPUTS, _parquet.BAD) == (transform.OUTPUTS, transform.BAD)


def test_no_rows(rows, capsys):
    write([], "in.parquet")
    run("in.parquet", "--column", "frames", "-o", "out.parquet")
    assert capsys.readouterr().out.startswith("wrote out.parquet: 0 rows, y (5) float32, ")
    assert parquet.read_table("out.parquet").num_rows == 0


WITHOUT = """
import sys
{}
from cgru.__main__ import main
sys.exit(main(["run", "m.safetensors", "in.parquet", "--column", "frames", "-o", "out.parquet", *{}]))
"""


def without(change, *arguments):
    """The one line of an error."""
    result = run_python(WITHOUT.format(change, arguments), check=False)
    assert result.returncode == 2 and not os.path.exists("out.parquet")
    return result.stderr


def test_without_pyarrow(rows):
    expected = 'cgru: error: reading in.parquet needs pyarrow: pip install "cgru[parquet]"\n'
    assert without('sys.modules["pyarrow"] = None') == expected


def test_without_ray(rows):
    assert without('sys.modules["ray"] = None', "--ray") == 'cgru: error: --ray needs ray: pip install "cgru[ray]"\n'


@pytest.mark.parametrize("text, words", [
    ("import somewhat_absent", "No module named 'somewhat_absent'"), ("raise ImportError('too old')", "too old"),
])  # fmt: skip
def test_ray_without_what_its_data_sets_need(rows, text, words):
    os.mkdir("ray")
    for name, inside in (("__init__", ""), ("data", text)):
        with open(f"ray/{name}.py", "w") as file:
            file.write(inside)
    expected = f'cgru: error: --ray: {words}; pip install -U "cgru[ray]"\n'
    assert without('sys.path.insert(0, "")', "--ray") == expected


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("name, status", [("SIGTERM", 143), ("SIGHUP", 129), ("SIGINT", 130)])
def test_a_signal_leaves_no_file_and_ends_the_threads(rng, name, status):
    """In the midst of a run of minutes; what had the name before, stays."""
    cgru.GRU(INPUTS, 512, num_layers=2, rng=1).save("m.safetensors")
    write(draw_rows(rng, 3000, INPUTS, longest=600), "in.parquet")
    with open("out.parquet", "w") as file:
        file.write("before")
    number = getattr(signal, name)
    before = signal.signal(number, signal.SIG_DFL if name != "SIGINT" else signal.default_int_handler)
    try:
        process = start_cgru(
            "run", "m.safetensors", "in.parquet", "--column", "frames", "-o", "out.parquet", "--threads", "3"
        )
    finally:
        signal.signal(number, before)
    with process:
        for _ in range(6000):
            if any(one.endswith(".tmp") for one in os.listdir()):
                break
            time.sleep(0.01)
        else:
            raise AssertionError("no temporary file")
        time.sleep(0.3)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == status and not out and not err
    assert sorted(os.listdir()) == ["in.parquet", "m.safetensors", "out.parquet"]
    with open("out.parquet") as file:
        assert file.read() == "before"
