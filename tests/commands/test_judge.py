"""``cgru judge``: the test vectors, what is said of a contestant in C, the exit status, what is refused."""

import json
import os
import re
import shutil
import types
from pathlib import Path

import numpy as np
import pytest

from cgru.__main__ import main
from cgru.commands import judge
from cgru.judge.build import BuildError
from cgru.judge.case_files import NAMES
from cgru.judge.cases import CASES
from cgru.judge.fast import Fast
from cgru.judge.report import Report
from support.commands import printed, refused

pytestmark = pytest.mark.usefixtures("folder")
CONTESTANT = Path(__file__).parent.parent / "judge" / "contestant.c"
compiles = pytest.mark.skipif(os.name != "posix" or shutil.which("cc") is None, reason="needs a C compiler, cc")


# ---- the test vectors


def test_write_cases(capsys):
    """Four files, and what was written; a seed of one's own."""
    out = printed(capsys, "judge", "--write-cases", "cases", "--seed", "3")
    assert re.findall(r"^wrote cases/(\S+), ([\d,]+) bytes$", out, re.MULTILINE) == [
        (name, f"{os.path.getsize(f'cases/{name}'):,}") for name in NAMES
    ]
    with np.load("cases/cases.npz") as file:
        first = CASES(3)[0]
        assert np.array_equal(file[f"{first.name}.y"], first.y) and json.loads(str(file["cases"]))["seed"] == 3


def test_what_is_refused_before_anything_is_written(capsys):
    Path("file.c").write_text("int x;")
    Path("notes.txt").write_text("x")
    os.mkdir("folder")
    os.mkdir("more")
    for arguments, says in {
        "": "what is to be judged?",
        "nosuch.c": "there is no file nosuch.c",
        "folder": "folder is a folder, expected a file",
        "notes.txt": "notes.txt: expected a name that ends with .c, .cc, ",
        "file.c --seed -1": "--seed must be 0 or more; got -1",
        "--write-cases notes.txt": "notes.txt is a file, expected a folder",
        "--write-cases no/such": "make it first",
        "file.c --write-cases notes.txt": "notes.txt is a file, expected a folder",
        "nosuch.c --write-cases more": "there is no file nosuch.c",
        "file.c --include nosuch": "--include nosuch: there is no such folder",
        "file.c --json found.txt": "--json found.txt: expected a name that ends with .json",
        "file.c --json no/found.json": "there is no folder no; make it first",
        "file.c --only right,quick": "argument --only: invalid choice of right, safe, fast value: 'right,quick'",
        "file.c --only right --plot p.png": "--plot is of what is timed; add fast to --only",
        "file.c --only right --suite audio": "--suite is of what is timed; add fast to --only",
        "file.c --suite nosuch": "suite must be one of ",
        "file.c --suite audio --cell rnn": "suite audio has no point of rnn; it has gru, lstm",
        "--write-cases more --json found.json": "--json is of a contestant, and there is none",
        "--write-cases more --plot x.txt": "--plot is of a contestant",
        "--write-cases more --suite nosuch": "--suite is of a contestant",
        "--write-cases more --only right": "--only is of a contestant",
        "--write-cases more --cell gru": "--cell is of a contestant",
        "--write-cases more --quick": "--quick is of a contestant",
        "--write-cases=": "--write-cases: the name of the folder is empty",
        "file.c --cell linear": "invalid choice: 'linear'",
    }.items():
        assert says in refused(capsys, "judge", *arguments.split()), arguments
    assert not os.listdir("more")


# ---- contestants


def judged(capsys, *arguments):
    """Exit status, and what is printed, of a few cases."""
    capsys.readouterr()
    try:
        status = main(["judge", str(CONTESTANT), "--quick", *arguments])
    except SystemExit as stop:
        status = stop.code
    out, err = capsys.readouterr()
    return status, out, err


@compiles
def test_a_contestant_that_is_right(capsys):
    status, out, err = judged(capsys, "--only", "right", "--json", "found.json", "--cell", "gru", "--cell", "lstm")
    assert (status, err) == (0, "")
    assert "\nright? yes\n" in out and "safe?" not in out and "fast?" not in out
    for name in ("GRU, reset after", "GRU, reset before", "LSTM"):
        assert re.search(rf"^  {name}: 8 of 8 cases right, largest error \S+e-0[78] ", out, re.MULTILINE)
    assert "RNN" not in out
    found = json.loads(Path("found.json").read_text())
    assert found["right"]["passed"] and len(found["right"]["groups"]) == 3 and found["contestant"] in out
    assert found["built"] in out and found["file"] == str(CONTESTANT)


@compiles
def test_a_contestant_that_misread_z(capsys):
    status, out, err = judged(capsys, "--only", "right", "--flags=-O1 -DZ_TAKES", "--cell", "gru")
    assert (status, err) == (1, "") and "\nright? no\n" in out and "-DZ_TAKES" in out
    assert out.count("    misread: it computes with z in the other sense, h' = (1 - z) h + z n") == 2


@compiles
@pytest.mark.parametrize(("flags", "status", "says"), [
    ("-DONLY_GRU -DONE_ROW", 0, "LSTM: refused"),
    ("-DONLY_GRU -DONE_ROW", 0, "rows were given one by one"),
    ("-DNO_RUN", 0, "GRU, reset after: 8 of 8 cases right"),
    ("-DGIVES_NAN", 1, "nan first at step 0, row 1, unit 4"),
    ("-DCRASHES", 1, "crashed: "),
    ("-DWRITES_OUTSIDE", 1, "wrote outside"),
])  # fmt: skip
def test_verdicts_of_the_child_process(capsys, flags, status, says):
    found, out, err = judged(capsys, "--only", "right", f"--flags=-O1 {flags}")
    assert (found, err) == (status, "") and says in out


@compiles
def test_all_parts(capsys):
    """Right, safe and fast in one call, one row of the network's kinds, a picture where there is Matplotlib."""
    picture = ["--plot", "p.png"] if shutil.which("cc") and _matplotlib() else []
    status, out, err = judged(capsys, "--cell", "gru", "--json", "found.json", *picture)
    assert status == 0 and not err, out
    assert re.findall(r"^(\w+)\?", out, re.MULTILINE) == ["right", "safe", "fast"]
    found = json.loads(Path("found.json").read_text())
    assert {"contestant", "file", "built", "right", "safe", "fast"} <= set(found)
    assert not picture or os.path.getsize("p.png") > 5000


@compiles
@pytest.mark.parametrize("error", [ValueError("a later mistake"), KeyboardInterrupt(), BuildError("it went wrong")])
def test_what_is_known_is_written_whatever_comes_later(capsys, monkeypatch, error):
    def fails(contestant, args):
        raise error

    monkeypatch.setitem(judge._PARTS, "fast", fails)
    status, out, err = judged(capsys, "--only", "right,fast", "--json", "found.json", "--cell", "gru")
    assert status == (130 if isinstance(error, KeyboardInterrupt) else 2) and str(error) in err
    assert "\nright? yes\n" in out
    found = json.loads(Path("found.json").read_text())
    assert found["right"]["passed"] and found["broken_off"] == (str(error) or "KeyboardInterrupt")
    assert "fast" not in found


@compiles
def test_nothing_is_written_of_what_was_not_begun(capsys, monkeypatch):
    def fails(contestant, args):
        raise ValueError("a mistake")

    monkeypatch.setitem(judge._PARTS, "right", fails)
    status, _, err = judged(capsys, "--only", "right", "--json", "found.json")
    assert status == 2 and "a mistake" in err and not os.path.exists("found.json")


@compiles
def test_no_picture_of_nothing(capsys, monkeypatch):
    """It is said; right and its exit status stand."""
    pytest.importorskip("matplotlib")

    def nothing(contestant, args):
        return Report(Fast("mine", [], judge._options(args), [], {}, None))

    monkeypatch.setitem(judge._PARTS, "fast", nothing)
    words = ["--only", "right,fast", "--json", "found.json", "--cell", "gru", "--plot", "p.png"]
    status, out, err = judged(capsys, *words)
    assert (status, err) == (0, "") and "no picture, for nothing was timed" in out and not os.path.exists("p.png")
    assert "broken_off" not in json.loads(Path("found.json").read_text())


@pytest.mark.parametrize(("name", "cc"), [("a.c", "mycc"), ("a.so", "mycc"), ("a.cpp", None)])
def test_the_compiler_is_handed_on(name, cc):
    """But for that of C++, which is no C compiler."""
    args = types.SimpleNamespace(contestant=name, cc="mycc", cell=None, suite=None, quick=True)
    assert judge._options(args).cc == cc


def _matplotlib():
    try:
        import matplotlib  # noqa: F401
    except ModuleNotFoundError:
        return False
    return True


@compiles
def test_what_does_not_build_is_one_line(capsys):
    Path("broken.c").write_text("this is no C\n")
    Path("lacks.c").write_text("int x;\n")
    before = sorted(os.listdir())
    for arguments, says in [
        ([CONTESTANT, "--cc", "nosuchcc"], "nosuchcc"),
        (["broken.c"], "broken.c:1"),
        (["lacks.c"], "cgru_judge_make"),
        ([CONTESTANT, "--flags=-DNO_FREE"], "cgru_judge_free"),
    ]:
        assert main(["judge", *map(str, arguments)]) == 2
        out, err = capsys.readouterr()
        assert err.startswith("cgru: error: ") and err.count("\n") == 1 and says in err
        assert "right?" not in out and sorted(os.listdir()) == before
