"""The corpus: every file of it, good ones and what fuzzing found, and what the checks of them notice."""

import os
import struct
import subprocess
import sys
import zipfile

import pytest

import cgru
from fuzz.doors import Check
from fuzz.formats import CORPUS, FORMATS

#: A process for each file, and so some of them: the search has the others.
FEW = {"keras_in_child": 2}
#: Whole, but not for cgru: a loop over steps.
REFUSED = "tf2onnx_rnn.onnx"


def test_every_file_is_read_or_refused_as_it_should(format_, tmp_path):
    check, wrong = Check(format_, tmp_path), {}
    for name, data in list(format_.seeds.items())[: FEW.get(format_.name)]:
        before = check.models
        wrong[name] = check(data)
        if not name.startswith("found_") and name != REFUSED:
            assert check.models > before, f"{name} is no good file"
    assert {name: found for name, found in wrong.items() if found} == {}


def test_every_format_begins_from_several_files(format_):
    assert len(format_.seeds) >= (40 if format_.name == "cgru" else 1)


def test_the_corpus_is_small():
    sizes = [path.stat().st_size for path in CORPUS.rglob("*") if path.is_file()]
    assert {path.name for path in CORPUS.iterdir()} <= set(FORMATS)
    assert len(sizes) > 60 and sum(sizes) < 300_000


# ---- what is noticed


@pytest.fixture
def nam(tmp_path):
    """A check of .nam files, and a good one."""
    format_ = FORMATS["nam"]
    return Check(format_, tmp_path), next(iter(format_.seeds.values()))


def _raising(error):
    def read(*_, **__):
        raise error

    return read


@pytest.mark.parametrize("error, told", [
    (struct.error("unpack requires a buffer of 4 bytes"), "struct.error"), (MemoryError(), "MemoryError"),
    (KeyError("config"), "KeyError"), (AssertionError(), "AssertionError"), (TypeError("x"), "TypeError"),
    (zipfile.BadZipFile("x"), "BadZipFile"), (ValueError(""), "without a text"),
    (OSError("no"), "does not name the file"),
], ids=lambda value: type(value).__name__)  # fmt: skip
def test_other_errors_are_noticed(nam, monkeypatch, error, told):
    check, good = nam
    assert check(good) == []
    monkeypatch.setattr(cgru, "load", _raising(error))
    found = check(good)
    assert len(found) == 1 and found[0].startswith("load: ") and told.removeprefix("struct.") in found[0]


def test_what_a_reader_does_beside_reading_is_noticed(nam, monkeypatch, tmp_path_factory):
    check, good = nam
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "file"
    elsewhere.write_text("secret")
    for deed, told in (
        (lambda: open(elsewhere).close(), "opens"), (lambda: open(elsewhere, "a").close(), "writes"),
        (lambda: open(os.path.join(check.folder, "model.tmp"), "w").close(), "leaves model.tmp"),
        (lambda: subprocess.run([sys.executable, "-c", ""], check=True), "subprocess.Popen"),
        (lambda: os.system("true"), "os.system"),
    ):  # fmt: skip
        monkeypatch.setattr(cgru, "load", lambda path, deed=deed: deed() or cgru.GRU(2, 3, rng=0))
        found = check(good)
        assert found and all(one.startswith("load: ") for one in found) and any(told in one for one in found), told


def test_what_a_command_does_wrong_is_noticed(nam, monkeypatch):
    import cgru.commands.info as info

    check, good = nam
    for deed, told in (
        (lambda *_: print("warning", file=sys.stderr), "prints warning"),
        (lambda *_: print("\x1b[31m"), "terminals obey"),
        (_raising(SystemError("x")), "SystemError"), (_raising(ValueError("x")), "does not name the file"),
    ):  # fmt: skip
        monkeypatch.setattr(info, "lines", lambda model, deed=deed: deed() or [])
        found = check(good)
        assert len(found) == 1 and found[0].startswith("info: ") and told in found[0], told
