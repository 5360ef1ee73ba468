"""Extension modules in C and Cython, built against the cgru that is tested, and loaded."""

import importlib.util
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import cgru
from support.processes import ROOT
from support.tools import tool

STRICT = ("-O2", "-Wall", "-Wextra", "-pedantic", "-Werror")
SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")


def _missing(reason):
    """Skip the test, or where tools are required fail it."""
    if os.environ.get("CGRU_REQUIRE_TOOLS"):
        pytest.fail(f"{reason}, and CGRU_REQUIRE_TOOLS is set")
    pytest.skip(reason)


def python_headers():
    """The folder of Python.h; without it the test is skipped, or fails where tools are required."""
    folder = sysconfig.get_path("include")
    if not Path(folder, "Python.h").is_file():
        _missing("Python's headers are not installed")
    return folder


def compile_c(source, folder, language="c99", include=None, strict=True):
    """A C or C++ source as a module, which is not loaded yet: its path. `strict`: its own warnings are errors."""
    folders = [f"-I{include or cgru.get_include()}", "-isystem", python_headers()]
    compilers = ("c++", "g++", "clang++") if "++" in language else ("cc", "gcc", "clang")
    module = folder / f"{source.stem}{SUFFIX}"
    undefined = ["-undefined", "dynamic_lookup"] if sys.platform == "darwin" else []
    done = subprocess.run(
        [
            tool(*compilers), "-x", "c++" if "++" in language else "c", f"-std={language}", *(STRICT if strict else ()),
            "-shared", "-fPIC", "-pthread", *undefined, *folders, source, "-o", module,
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return module


def to_c(source, folder):
    """What Cython makes of a .pyx: the path of the C file."""
    made = folder / f"{source.stem}.c"
    _run_python(folder, "Cython", "-m", "cython", "-3", source, "-o", made)
    return made


def build_with_setuptools(folder):
    """What a folder's setup.py makes, in place."""
    python_headers()
    tool("cc", "gcc", "clang")
    _run_python(folder, "setuptools", "setup.py", "build_ext", "--inplace")


def _run_python(folder, module, *command):
    """In this folder, with the cgru that is tested; without Cython or the module as without a tool."""
    for name in ("Cython", module):
        if importlib.util.find_spec(name) is None:
            _missing(f"{name} is not installed")
    variables = {name: value for name, value in os.environ.items() if not name.startswith("CGRU_")}
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder, env=variables | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def load(path):
    """Import the module in this file."""
    spec = importlib.util.spec_from_file_location(path.name.split(".")[0], path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
