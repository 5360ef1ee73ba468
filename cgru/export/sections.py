"""The C text that exported files are made of: sections of the files in `source`, and what each needs.

A section begins with a line such as ``/*= tanh: constants magnitude */`` and goes on to the next such line. What stands
before a file's first section is a heading, which comes with the first section that is taken of that file. In the text
``cgru_`` and ``CGRU_`` stand for the name of the model.
"""

import re
from collections.abc import Iterable
from functools import cache
from importlib import resources
from typing import NamedTuple

_FILES = ("head.c", "products.c", "functions.c", "cells.c")
_MARK = re.compile(r"^/\*= (\w+):(.*?)\*/\n", re.MULTILINE)


class Section(NamedTuple):
    """A piece of C text, what it needs before it, and what stands before the first one of its file."""

    text: str
    needs: tuple[str, ...]
    heading: str


@cache
def sections() -> dict[str, Section]:
    """Every section by its name, in the order of the files."""
    found: dict[str, Section] = {}
    for name in _FILES:
        heading, *parts = _MARK.split(_read("cgru.export", f"source/{name}"))
        for at in range(0, len(parts), 3):
            found[parts[at]] = Section(parts[at + 2].strip() + "\n", tuple(parts[at + 1].split()), heading.strip())
            if name == "products.c" and parts[at] == "lanes":
                found["dot_int8"] = Section(_dots(), ("head", "lanes"), "")
    return found


def _read(package, name):
    return resources.files(package).joinpath(name).read_text(encoding="utf-8")


#: What several rows want, in dot_int8.h: its macros and the paragraph about them.
_WIDE = re.compile(
    r"#if !defined\(CGRU_WIDE\)\n#define CGRU_WIDE 0\n#endif\n\n"
    r"|#define (?:CGRU_WIDE|cgru_even|cgru_odd|cgru_dot_wide)[^\n]*\n|\n\n   Where there is cgru_dot_wide[^*]*(?= \*/)"
)


def _dots():
    """The engine's own 8-bit dot products for one row, without a header that is not everywhere."""
    text = _WIDE.sub("", _read("cgru.engines", "dot_int8.h"))
    return text.replace("#include <string.h>\n", "").replace("memcpy(", "CGRU_COPY(").strip() + "\n"


def text_of(wanted: Iterable[str]) -> str:
    """These sections and all that they need, each once, in the order of the files."""
    table, taken, todo = sections(), set(), list(wanted)
    while todo:
        name = todo.pop()
        if name not in taken:
            taken.add(name)
            todo += table[name].needs
    parts: list[str] = []
    for name, section in table.items():
        if name in taken:
            if section.heading and section.heading not in parts:
                parts.append(section.heading)
            parts.append(section.text.rstrip())
    return "\n\n".join(parts) + "\n"


def named(text: str, name: str) -> str:
    """The text with a model's name in the place of cgru's, and in that of @name@."""
    return text.replace("cgru_", "@name@_").replace("CGRU_", f"{name.upper()}_").replace("@name@", name)
