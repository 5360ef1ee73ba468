"""What the README says works."""

import re
import warnings
from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "README.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def test_exactly_two_set_up_commands():
    assert [text for language, text in BLOCKS if language == "sh"] == [
        "pip install . && cgru demo\n",
        'pip install ".[test]" && pytest\n',
    ]


@pytest.mark.parametrize("program", [text for language, text in BLOCKS if language == "python"])
def test_examples_run(program, request, folder):
    if "torch" in program:
        request.getfixturevalue("torch")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        names = {}
        exec(program, names)
    expected = re.search(r"# y (\(.*?\)), h_n (\(.*?\))$", program, flags=re.MULTILINE)
    if expected:
        assert (str(names["y"].shape), str(names["h_n"].shape)) == expected.groups()


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "SECURITY.md"])
def test_links_arrive(name):
    root = README.parent
    if not (root / ".ci").is_dir():
        pytest.skip("what they lead to is in the repository only")
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", (root / name).read_text(encoding="utf-8"))
    assert [target for target in targets if not (root / target).exists()] == []


def test_it_is_short():
    """What, install, five lines, a picture, where to read on: the rest stands in docs/."""
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 90
