"""The pages of docs/: their examples come out as they stand there, and their commands run."""

import doctest
import re
import shlex
from pathlib import Path

import pytest

import cgru
from cgru.activations import DEFAULTS, ROW_FUNCTIONS
from support.commands import printed
from support.scripts import script_of

DOCS = Path(__file__).parents[2] / "docs"
FENCES = re.compile(r"^(:::+|```+)\{?(\w[\w-]*)\}?(?: .*)?\n(.*?)^\1$", flags=re.MULTILINE | re.DOTALL)
# No code, or C and JavaScript, which tests/export and tests/capi compile and run
SHOWN = {"text", "c", "js", "cython", "eval-rst", "include", "toctree"}
# Their blocks of Python are run by tests/batch, tests/capi and tests/torch_modules, with what they need.
ELSEWHERE = {"many", "c-api", "training"}
# Their blocks of sh that begin with `cgru` are run behind the examples above them, in the same folder.
COMMANDS = {"start", "frameworks", "command-line"}
OPTIONS = doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL | doctest.NORMALIZE_WHITESPACE

if not DOCS.is_dir():
    pytest.skip("docs/ is in the repository only", allow_module_level=True)

PAGES = {path.stem: path.read_text(encoding="utf-8") for path in sorted(DOCS.glob("*.md"))}


def examples(body, name, globals_):
    """The examples of one block, or None where it asks to be left out."""
    condition = re.match(r":skipif: (.*)\n", body)
    if condition and eval(condition[1], {}):
        return None
    source = re.sub(r"\A(:\w+:.*\n)+", "", body)
    return doctest.DocTestParser().get_doctest(source, globals_, name, None, 0)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_runs(page, folder, capsys):
    """All its examples, one after the other, with the same names."""
    names: dict = {}
    runner = doctest.DocTestRunner(optionflags=OPTIONS)
    for number, (_, language, body) in enumerate(FENCES.findall(PAGES[page])):
        if language == "doctest":
            test = examples(body, f"{page}, block {number + 1}", names)
            if test is not None:
                capsys.readouterr()
                runner.run(test, clear_globs=False)
                assert not runner.summarize(verbose=False).failed, capsys.readouterr().out
                names = test.globs
        elif language == "python" and page not in ELSEWHERE:
            exec(body, names)
        elif language == "sh" and page in COMMANDS:
            for line in body.splitlines():
                if line.startswith("cgru ") and line.split()[1] not in ("demo", "self-test"):
                    printed(capsys, *shlex.split(line)[1:])


@pytest.mark.parametrize("page", PAGES)
def test_there_is_no_code_that_nobody_runs(page):
    languages = {language for _, language, _ in FENCES.findall(PAGES[page])}
    assert languages <= SHOWN | {"doctest", "python", "sh"}
    fenced = FENCES.sub("", PAGES[page])
    assert not re.search(r"^ *(>>>|```|:::)", fenced, flags=re.MULTILINE)


@pytest.mark.parametrize("page", PAGES)
def test_links_to_other_pages_and_pictures_arrive(page):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", PAGES[page]):
        assert (DOCS / target).is_file(), target


def test_every_page_is_in_the_menu():
    menu = "".join(body for _, language, body in FENCES.findall(PAGES["index"]) if language == "toctree")
    assert sorted(re.findall(r"^[a-z][\w-]*$", menu, flags=re.MULTILINE)) == sorted(set(PAGES) - {"index"})


def test_the_reference_names_what_is_public():
    text = PAGES["reference"]
    assert {name for name in cgru.__all__ if not re.search(rf"\b{name}\b", text)} == set()
    activations = text.partition("## Activations")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)`", activations, flags=re.MULTILINE)) == {*DEFAULTS, *ROW_FUNCTIONS}


def test_pictures_can_be_drawn_again(tmp_path):
    """As many as there are, with the names that the pages show; what is in them is for people to look at."""
    pytest.importorskip("matplotlib")
    script_of("pictures").main(tmp_path)
    drawn = sorted(["house.png", *(path.name for path in tmp_path.iterdir())])      # which test_house.py draws
    shown = sorted({name for text in PAGES.values() for name in re.findall(r"\]\(pictures/([^)]+)\)", text)})
    assert drawn == shown == sorted(path.name for path in (DOCS / "pictures").iterdir())
