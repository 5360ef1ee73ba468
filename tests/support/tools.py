"""Programs that tests need: a compiler, an emulator, a browser."""

import importlib.util
import os
import shutil
import sys

import pytest


def tool(*names):
    """Path of the first of these programs that is there; without one the test is skipped, or fails if it must run."""
    for name in names:
        found = shutil.which(name)
        if found:
            return found
    _missing(f"{' or '.join(names)} is not installed")


def zig_cc():
    """The command of zig's C compiler, which compiles for everything."""
    if importlib.util.find_spec("ziglang") is None:
        _missing("ziglang is not installed")
    return (sys.executable, "-m", "ziglang", "cc")


def _missing(reason):
    if os.environ.get("CGRU_REQUIRE_TOOLS"):
        pytest.fail(f"{reason}, and CGRU_REQUIRE_TOOLS is set")
    pytest.skip(reason)
