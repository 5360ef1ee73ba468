"""The map of the code, docs/house.md and its picture, agrees with the imports; texts name files that are there."""

import re
import shutil
from pathlib import Path

import pytest

from support.imports import imported
from support.scripts import DOCS, script_of

ROOT = DOCS.parent
PAGE = DOCS / "house.md"
MEND = "run python docs/house.py"

if not (ROOT / ".ci").is_dir() or not (ROOT / "cgru" / "forward.py").is_file():
    pytest.skip("the pages, the source and what they name are together in the repository only", allow_module_level=True)


@pytest.fixture(scope="module")
def script():
    return script_of("house")


@pytest.fixture
def text():
    return PAGE.read_text(encoding="utf-8")


@pytest.fixture
def source(tmp_path):
    """A copy of the package's source, to be changed."""
    wanted = {".py", ".pyx", ".pxd", ".h", ".c"}
    for path in (ROOT / "cgru").rglob("*"):
        if path.suffix in wanted:
            copy = tmp_path / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
    return tmp_path / "cgru"


def add(path, line):
    path.write_text(f"{path.read_text(encoding='utf-8')}\n{line}\n", encoding="utf-8")


def test_the_map_is_what_the_imports_are(script, text):
    """Every file in one room, no import up, and the last column as it stands there."""
    assert script.page(text, script.read(text)) == text, MEND


def test_the_picture_is_of_this_map(script, text):
    """Its file says so; where what is drawn has changed, it has to be drawn again."""
    assert script.mark(script.read(text)).encode() in script.PICTURE.read_bytes(), MEND


def test_the_picture_can_be_drawn_again(script, text, tmp_path):
    pytest.importorskip("matplotlib")
    script.main(tmp_path)
    assert script.mark(script.read(text)).encode() in (tmp_path / script.PICTURE.name).read_bytes()


def test_the_picture_has_every_room_once(script, text):
    drawn = [name for row in script.FLOORS for name in row]
    assert sorted(drawn) == sorted(script.rooms_of(text)) and len(drawn) > 15


def test_a_new_arrow_is_noticed(script, text, source):
    """One import more, and the page has another last column; the picture another mark, where it shows the arrow."""
    before = script.read(text, source)
    add(source / "layers.py", "from cgru.activations import code")
    after = script.read(text, source)
    assert after.edges - before.edges == {("forward", "cells")}
    assert script.page(text, after) != script.page(text, before)
    assert script.mark(after) == script.mark(before)      # weights, below forward, import cells: a longer way
    add(source / "engines" / "_tile.pxd", "from cgru._states cimport is_plain")
    with pytest.raises(AssertionError, match=r"_tile\.pxd imports _states\.pxd: streams is not below products"):
        script.read(text, source)


def test_an_arrow_that_is_drawn_changes_the_mark(script, text, source):
    before = script.read(text, source)
    add(source / "study" / "check.py", "def lazy():\n    from cgru import batch")
    after = script.read(text, source)
    assert after.later - before.later == {("study", "batch")}
    assert script.mark(after) != script.mark(before)


@pytest.mark.parametrize("place", ["checks.py", "pool_arguments.py"])
def test_no_import_goes_up(script, text, source, place):
    add(source / place, "from cgru import stored, gru")
    with pytest.raises(AssertionError, match="is not below"):
        script.read(text, source)


def test_a_file_without_a_room_is_noticed(script, text, source):
    (source / "engines" / "_new.pxd").write_text("", encoding="utf-8")
    with pytest.raises(AssertionError, match=r"engines/_new\.pxd is in no room"):
        script.read(text, source)


def test_a_file_that_has_gone_is_noticed(script, text, source):
    (source / "engines" / "dot_int8.h").unlink()
    with pytest.raises(AssertionError, match=r"has engines/dot_int8\.h in products, which is not there"):
        script.read(text, source)
    (source / "convert" / "nam.py").unlink()
    with pytest.raises(AssertionError, match=r"cgru\.convert\.nam is imported and is no module"):
        script.read(text.replace("`dot_int8.h`, ", ""), source)


def test_imports_are_read():
    """In functions and brackets, cimports too; not what stands for checkers alone, nor others' packages."""
    python = """
import cgru.a, numpy
from cgru.b import c as d
def f():
    from cgru import (
        e,
    )
if TYPE_CHECKING:
    from cgru.no import no
from cgrunot import no
"""
    cython = """
from cgru.a cimport b, c as d  # no, never
from cgru.e cimport (
    f,
    g,  # no
)
cimport cgru.h
from libc.string cimport memcpy
def f():
    from cgru import i
"""
    found = imported(Path("a.py"), python)
    assert sorted((one.names, one.inside) for one in found) == [
        (("cgru.a",), False), (("cgru.b.c", "cgru.b"), False), (("cgru.e", "cgru"), True),
    ]  # fmt: skip
    assert [(one.names[0], one.line, one.inside) for one in imported(Path("a.pyx"), cython)] == [
        ("cgru.a.b", 2, False), ("cgru.a.c", 2, False), ("cgru.e.f", 3, False), ("cgru.e.g", 3, False),
        ("cgru.h", 7, False), ("cgru.i", 10, True),
    ]  # fmt: skip


# ---- what texts for developers say


TEXTS = ("CONTRIBUTING.md", "docs/house.md", ".ci/README.md", "bench/README.md")
#: Beside the source: where a name in a text may be.
FOLDERS = ("cgru", "tests", "docs", "bench", "examples", ".ci", ".github")


def missing(text, there):
    """The names of files and folders in backticks that are not there; those of a NEW or other* one may be anything."""
    names = re.findall(r"`([\w./-]+(?:\.(?:py|pyx|pxd|pyi|c|h|md|json|npz)|/))`", text)
    return [name for name in names if not re.search(r"[A-Z]{4}", Path(name).stem) and f"/{name}" not in there]


@pytest.fixture(scope="module")
def there():
    """Every file and folder, as every end of its path that begins at a folder; folders end in a slash."""
    found = set()
    paths = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if "__pycache__" not in path.parts]
    for path in [*paths, *ROOT.glob("*.*"), *(ROOT / folder for folder in FOLDERS)]:
        parts = path.relative_to(ROOT).parts
        end = "/" * path.is_dir()
        found |= {"/" + "/".join(parts[number:]) + end for number in range(len(parts))}
    return found


@pytest.mark.parametrize("name", TEXTS)
def test_files_that_texts_name_are_there(name, there):
    assert missing((ROOT / name).read_text(encoding="utf-8"), there) == []


def test_names_of_what_is_not_there_are_noticed(there):
    text = "`forward.py`, `engines/`, `convert/NAME.py`, `cgru/backward.py`, `tests/heaven/`, `a word`, `_nothing.pxd`"
    assert missing(text, there) == ["cgru/backward.py", "tests/heaven/", "_nothing.pxd"]


def test_every_folder_of_tests_is_explained():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8") + PAGE.read_text(encoding="utf-8")
    folders = {path.parent.name for path in (ROOT / "tests").glob("*/*.py")}
    assert len(folders) > 15
    assert {name for name in folders if f"tests/{name}" not in text and f"`{name}/`" not in text} == set()
