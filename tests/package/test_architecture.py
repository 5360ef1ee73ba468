"""The plan of the house: imports run downward, privates stay private, kinds are asked of the table, files are short."""

import ast
import os
import re
from functools import cache
from pathlib import Path

import pytest

import cgru
from cgru.cells import CELLS, KINDS
from support.imports import first, for_checkers, imported, name_of

#: The installed package, or the source folder that CI names: only that has the .pyx and .pxd files.
PACKAGE = Path(os.environ.get("CGRU_SOURCE") or Path(cgru.__file__).parent)
MOST_LINES = 330

#: From the ground up: a module imports from its own line, if it must, and from those below. A name with a dot at its
#: end is a folder with all that is in it.
LEVELS = [
    ["_version", "cells", "activations", "layout", "threads", "checks", "tensors", "quantize",
     "engines._cpu", "engines.isas", "engines.packing", "engines.interruption", "engines.missing"],
    ["config", "engines."],
    ["weights", "pipeline", "layers"],
    ["chain", "files", "equations", "staged", "forward", "summary"],
    ["stored", "forward_chain", "sequences", "properties", "stream_arguments", "pool_arguments", "gradients_layers",
     "gradients_stages", "export."],
    ["gradients", "study.trace", "study.products", "study.jacobian", "study.views", "study"],
    ["gradients_chain", "model", "stream", "pool", "window", "_running", "_states", "_gathered"],
    ["streamed", "recurrent", "networks"],
    ["gru", "lstm", "rnn", "linear", "network_doors"],
    ["sequential"],
    [""],
    ["torch.", "fixed_run", "convert.", "batch.", "capi"],
    ["installation"],
    ["study."],
    ["demo.", "judge."],
    ["commands.", "__main__"],
]
#: Not modules, but .pxd files that compiled ones are made of.
PARTS = ("_running", "_states", "_gathered")
#: Imports inside functions that go up, and why.
UPWARD = {
    ("recurrent", "convert.onnx_write"): "Recurrent.to_onnx",
    ("recurrent", "convert.torch_write"): "Recurrent.to_torch",
    ("linear", "convert.onnx_write"): "Linear.to_onnx",
    ("linear", "convert.torch_write"): "Linear.to_torch",
    **{("network_doors", f"convert.{name}"): "Sequential's doors" for name in (
        "keras_chain", "nam", "onnx_chain", "onnx_write", "rtneural_chain", "rtneural_write", "torch_chain",
        "torch_write",
    )},
}


@cache
def modules():
    """Name without "cgru." -> (path, text) of every module; compiled ones where their source is there."""
    found = {}
    for path in sorted([*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.pyx")]):
        found[name_of(path, PACKAGE)] = path, path.read_text(encoding="utf-8")
    for name in ("stream", "pool", "window"):
        found.setdefault(name, (PACKAGE / f"{name}.pyx", ""))
    return found


def is_known(name):
    """Whether it is a module, or a part of one."""
    return name in modules() or name.startswith("engines._") or name in PARTS


@cache
def imports(name):
    """The modules that one imports, in functions too; [(name, line)]."""
    return [(first(one.names, is_known), one.line) for one in imported(*modules()[name])]


def level(name):
    """Its place in LEVELS; the exact name goes before the folder."""
    exact = [number for number, names in enumerate(LEVELS) if name in names]
    folder = [
        number for number, names in enumerate(LEVELS) for one in names
        if one.endswith(".") and (f"{name}.").startswith(one)
    ]  # fmt: skip
    assert exact or folder, f"{name} has no place in the plan: add it to LEVELS"
    return (exact or folder)[0]


def test_every_module_has_a_place():
    for name in modules():
        assert level(name) >= 0


def test_no_arrow_goes_up():
    wrong = [
        f"{name}:{line} imports {other}"
        for name in modules()
        for other, line in imports(name)
        if level(other) > level(name) and (name, other) not in UPWARD
    ]
    assert not wrong
    assert all(any(other == high for other, _ in imports(low)) for low, high in UPWARD), "UPWARD lists too much"


def test_no_circle():
    """Imports inside functions count, but for those that are listed."""
    arrows = {
        name: {other for other, _ in imports(name) if (name, other) not in UPWARD and other in modules()} - {name}
        for name in modules()
    }
    while arrows:
        leaves = {name for name, others in arrows.items() if not others}
        assert leaves, f"a circle among {sorted(arrows)}"
        arrows = {name: others - leaves for name, others in arrows.items() if name not in leaves}


def test_models_import_no_converter():
    """At import; each converter is loaded when it is asked for."""
    for name in modules():
        if level(name) <= level("sequential"):
            inside = [other for other, _ in imports(name) if other.split(".")[0] in ("convert", "commands", "demo")]
            assert set(inside) <= {high for low, high in UPWARD if low == name}


FRAMEWORKS = {
    "torch", "keras", "tensorflow", "jax", "flax", "haiku", "onnx", "onnxruntime", "h5py", "matplotlib", "tqdm",
    "pyarrow", "ray",
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in modules() if modules()[name][0].suffix == ".py"])
def test_frameworks_are_imported_by_nobody_at_import_time(name):
    """Only cgru.torch, which is nothing without PyTorch; and the child process that reads HDF5."""
    tree = ast.parse(modules()[name][1])
    skipped = for_checkers(tree)
    top = [node for node in ast.iter_child_nodes(tree) if node not in skipped]
    found = {
        (alias.name if isinstance(node, ast.Import) else node.module).split(".")[0]
        for node in top
        if isinstance(node, ast.Import | ast.ImportFrom) and getattr(node, "level", 0) == 0
        for alias in node.names
    }
    rooms = {"torch": {"torch"}, "convert.keras_hdf5": {"h5py"}}
    allowed = rooms.get(name, rooms.get(name.split(".")[0], set()))
    assert found & FRAMEWORKS <= allowed


# ------------------------------------------------------------------------------------------------ privates


def test_nobody_uses_another_s_underscore_names():
    """``other._name``: of `self`, `cls` and what a class method makes of its own class only."""
    wrong = []
    for name, (path, text) in modules().items():
        if path.suffix == ".py":
            for node in ast.walk(ast.parse(text)):
                private = isinstance(node, ast.Attribute) and re.fullmatch(r"_[a-z]\w*", node.attr)
                if private and ast.unparse(node) not in ("sys._getframe", "model._build"):
                    owner = ast.unparse(node.value)
                    wrong += [] if owner in ("self", "cls") else [f"{name}:{node.lineno} {ast.unparse(node)}"]
    assert not wrong


def test_private_modules_stay_in_their_folder():
    """convert/_build.py is convert's. Entry points use the commands' exit."""
    allowed = {("__main__", "commands._exit")}
    for name in modules():
        for other, line in imports(name):
            home, _, last = other.rpartition(".")
            if last.startswith("_") and last != "_version" and (name, other) not in allowed:
                own = name.startswith(f"{home}.") or name == home or (not home and "." not in name)
                assert own or home == "engines", f"{name}:{line} imports {other}"


def test_private_names_are_not_imported():
    for name, (path, text) in modules().items():
        if path.suffix == ".py":
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("cgru"):
                    for alias in node.names:
                        module = f"{node.module}.{alias.name}".removeprefix("cgru.") in modules()
                        dunder = alias.name == "__version__"
                        assert module or dunder or not alias.name.startswith("_"), f"{name}:{node.lineno}"


# --------------------------------------------------------------------------------------------------- kinds


def compared_texts(tree):
    """[(text, line)] in comparisons, `in` tests and cases of `match`; and the kinds among keys of dictionaries."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            parts = [node.left, *node.comparators]
            parts += [inner for part in parts for inner in getattr(part, "elts", ())]
        elif isinstance(node, ast.MatchValue):
            parts = [node.value]
        elif isinstance(node, ast.Dict):
            parts = [key for key in node.keys if getattr(key, "value", None) in CELLS]
        else:
            continue
        yield from ((part.value, node.lineno) for part in parts if isinstance(part, ast.Constant))


def test_kinds_are_asked_of_the_table():
    """No ``== "gru"``, no dictionary by kind outside cells.py; foreign systems' words in converters are theirs."""
    foreign = {"convert.rtneural", "convert.keras", "convert.keras_layer", "convert.onnx_graph"}
    names = {*CELLS, *(cell.name for cell in CELLS.values())}
    wrong = [
        f"{name}:{line} {text!r}"
        for name, (path, source) in modules().items()
        if path.suffix == ".py" and name != "cells" and name not in foreign
        for text, line in compared_texts(ast.parse(source))
        if text in names
    ]
    assert not wrong


def test_the_search_for_kinds_finds_them():
    program = """
if kind == "gru" or cell.name in ("LSTM", "x"): pass
match kind:
    case "rnn": pass
table = {"lstm": 4, "other": 1}
fine = cell is CELLS["gru"]
"""
    assert {text for text, _ in compared_texts(ast.parse(program))} >= {"gru", "LSTM", "rnn", "lstm"}


def test_the_table_agrees_with_the_engines_numbers():
    """engines/_cells.pxd names the same kinds with the same codes."""
    source = PACKAGE / "engines" / "_cells.pxd"
    if not source.is_file():
        pytest.skip("the engines' source is in the repository only")
    numbers = dict(re.findall(r"^\s+(GRU|RNN|LSTM|[A-Z]{3,}) = (\d+)\b", source.read_text(), re.MULTILINE))
    names = {cell.kind.upper(): cell.code for cell in KINDS.values()}
    assert {name: int(number) for name, number in numbers.items() if name in names} == names


def test_the_table_s_rows():
    """Codes differ; letters of planes and gates are single; what is plain has known activations."""
    from cgru.activations import DEFAULTS
    from cgru.config import Config

    assert list(CELLS) == [cell.kind for cell in CELLS.values()]
    assert len({cell.code for cell in CELLS.values()}) == len(CELLS)
    for cell in CELLS.values():
        assert getattr(cgru, cell.name).kind == cell.kind
        assert cell.stacked == max(1, len(cell.gates)) and len(set(cell.gates)) == len(cell.gates)
        assert cell.states[0] == "h"
        assert set(cell.gates) <= set(cell.tape) or not cell.tape
        assert cell.keeps in ("", *cell.gates)
        assert "g" in cell.functions and set(cell.functions) <= set("fgh") and len(cell.uses) == len(cell.functions)
        assert {letter.lower() for letter in cell.sums} <= set(cell.traced) and cell.sums.isupper()
        for names in cell.plain:
            assert len(names) == len(cell.functions) and set(names) <= set(DEFAULTS)
        config = Config(input_size=3, hidden_size=5, kind=cell.kind)
        assert config.cell is cell and config.shapes()["weight_hh_l0"] == (5 * cell.stacked, 5)
        assert config.is_plain and config.tape == cell.tape
        for option in cell.options:
            assert hasattr(config, option), option


# --------------------------------------------------------------------------------------------------- sizes


@pytest.mark.parametrize("name", [
    str(path.relative_to(PACKAGE)) for suffix in ("py", "pyx", "pxd", "pyi") for path in PACKAGE.rglob(f"*.{suffix}")
])  # fmt: skip
def test_no_file_is_long(name):
    lines = len((PACKAGE / name).read_text(encoding="utf-8").splitlines())
    assert lines <= MOST_LINES


def test_no_function_is_long():
    """60 lines without its docstring."""
    long = []
    for name, (path, text) in modules().items():
        if path.suffix == ".py":
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.FunctionDef):
                    first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
                    lines = node.end_lineno - first.lineno + 1
                    long += [f"{name}.{node.name}: {lines} lines"] if lines > 60 else []
    assert not long


#: Those whose products may be of any size, which `study.products` cuts.
PRODUCTS = {"study.products"}
BLAS_NAMES = {"dot", "vdot", "inner", "matmul", "einsum", "tensordot", "linalg", "blas"}


def test_products_are_in_one_place():
    """NumPy's wake its BLAS's threads where they are large."""
    found = set()
    for name, (path, text) in modules().items():
        if path.suffix == ".py":
            for node in ast.walk(ast.parse(text)):
                if isinstance(getattr(node, "op", None), ast.MatMult) or getattr(node, "attr", "") in BLAS_NAMES:
                    found.add(name)
    assert found == PRODUCTS
