"""The extension modules, built once."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from support.extensions import SUFFIX, build_with_setuptools, compile_c, load, to_c

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def calls(tmp_path_factory):
    """calls.c: everything of cgru.h, to be called from Python."""
    return load(compile_c(HERE / "calls.c", tmp_path_factory.mktemp("c")))


@pytest.fixture(scope="session")
def loops(tmp_path_factory):
    """loops.pyx: all of `cimport cgru`, to be called from Python."""
    folder = tmp_path_factory.mktemp("cython")
    return load(compile_c(to_c(HERE / "loops.pyx", folder), folder, strict=False))


@pytest.fixture(scope="session")
def examples(tmp_path_factory):
    """Those of docs/c-api.md, amp.c and voice.pyx, built by its setup.py."""
    folder = tmp_path_factory.mktemp("examples")
    for name in ("amp.c", "voice.pyx", "setup.py"):
        shutil.copy(HERE / name, folder)
    build_with_setuptools(folder)
    return SimpleNamespace(**{name: load(folder / f"{name}{SUFFIX}") for name in ("amp", "voice")})
