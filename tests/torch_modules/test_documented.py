"""docs/training.md: its programs run as they stand there, one after the other, and print what they say."""

import contextlib
import io
import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.filterwarnings("ignore")       # of PyTorch's compiler
def test_programs_run(torch):
    names, printed = {}, 0
    assert len(PROGRAMS) >= 6
    for program in PROGRAMS:
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            exec(program, names)
        for line in said.getvalue().splitlines():
            assert f"# {line}\n" in program
            printed += 1
    assert printed == 2 and names["report"].left["short"].startswith("has proj_size=16")
    assert names["old"].weight_hh_l0.grad is None and names["model"].reset_after is False


def test_the_index_names_the_page():
    index = (Path(__file__).parents[2] / "docs" / "index.md").read_text(encoding="utf-8")
    assert "](training.md)" in index and "\ntraining\n" in index
