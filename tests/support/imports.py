"""What the modules of the package import, read from their text; nothing is imported here."""

import ast
import re
from functools import cache
from typing import NamedTuple

# `from cgru.a import b, c`, also with brackets over several lines; cimports are imports
CYTHON = re.compile(
    r"^([ \t]*)(?:from (cgru[\w.]*) c?import (\([^)]*\)|[^\n#]*)|c?import (cgru[\w.]*))", re.MULTILINE
)


class Import(NamedTuple):
    """One name that a module imports: in full, and that of the module which it may be in; whether in a function."""

    names: tuple[str, ...]
    line: int
    inside: bool


def name_of(path, package):
    """The name of a module without "cgru."; that of the package itself is empty."""
    parts = path.relative_to(package).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(path, text):
    """What a module imports of cgru."""
    return of_text(text, path.suffix == ".py")


@cache
def of_text(text, is_python):
    """Each `Import` of Python's or Cython's text."""
    return tuple(of_python(text) if is_python else of_cython(text))


def first(names, known):
    """The first of these full names that is known, without "cgru."."""
    for name in names:
        short = name.removeprefix("cgru").lstrip(".")
        if known(short):
            return short
    raise AssertionError(f"{names[-1]} is imported and is no module")


def for_checkers(tree):
    """Every node under ``if TYPE_CHECKING``."""
    blocks = [n for n in ast.walk(tree) if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.dump(n.test)]
    return {inner for block in blocks for node in block.body for inner in ast.walk(node)}


def of_python(text):
    """Each `Import`, but for those of checkers."""
    tree = ast.parse(text)
    skipped = for_checkers(tree)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    inside = {inner for function in functions for inner in ast.walk(function)}
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            names = [(alias.name,) for alias in node.names if alias.name.split(".")[0] == "cgru"]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "cgru":
            assert node.level == 0
            names = [(f"{node.module}.{alias.name}", node.module) for alias in node.names]
        else:
            continue
        yield from (Import(one, node.lineno, node in inside) for one in names)


def of_cython(text):
    """Each `Import`; what is indented counts as in a function."""
    for match in CYTHON.finditer(text):
        indent, source, words, plain = match.groups()
        line = text.count("\n", 0, match.end(1)) + 1
        if plain:
            yield Import((plain,), line, bool(indent))
            continue
        for word in re.sub(r"#.*|[()]", "", words).split(","):
            if word.strip():
                yield Import((f"{source}.{word.split()[0]}", source), line, bool(indent))
