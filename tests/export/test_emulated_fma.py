"""The multiply-add in software, for processors without one: rounded once, as the C library's."""

import subprocess
from pathlib import Path

import pytest

import cgru
from support.c_programs import compiled, export
from support.tools import tool

PROGRAM = Path(__file__).with_name("fma_emulated.c")


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("level", ["-O0", "-O3"])
def test_against_the_c_library(compiler, level, tmp_path, rng):
    """Four million sums, in hundreds of which double precision alone goes wrong."""
    export(cgru.GRU(2, 3, rng=rng), tmp_path, "net")
    flags = ("-std=c99", level, "-DNET_EMULATE_FMA", "-I", tmp_path)
    compiled([tool(compiler), *flags, PROGRAM, "-lm"], tmp_path / "program")
    done = subprocess.run([str(tmp_path / "program")], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout
