"""setup.py's choice of a compiler on Windows, driven here: setuptools' class for it, and clang as clang-cl."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cgru.engines import isas

ROOT = Path(__file__).resolve().parents[2]
CLANG = shutil.which("clang")
TRIPLES = {"win-amd64": "x86_64-pc-windows-msvc", "win-arm64": "aarch64-pc-windows-msvc"}

pytestmark = pytest.mark.skipif(
    os.name != "posix" or CLANG is None or not (ROOT / "cgru" / "engines" / "packed.pyx").is_file(),
    reason="needs the sources, and clang",
)

DRIVER = """
import runpy, sys
import setuptools
import distutils.util
from distutils.compilers.C import msvc
from distutils.dist import Distribution

def initialize(self, plat_name=None):       # as where cl.exe was found
    self.cc, self._paths, self.preprocess_options, self.initialized = "cl.exe", "", None, True
    self.compile_options = ["/nologo", "/O2", "/W3", "/GL", "/DNDEBUG", "/MD"]

given, msvc.Compiler.initialize = {}, initialize
setuptools.setup = lambda **options: given.update(options)
distutils.util.get_platform = lambda: sys.argv[1]
runpy.run_path("setup.py")
command = given["cmdclass"]["build_ext"](Distribution({"ext_modules": given["ext_modules"]}))
command.compiler, command.plat_name = msvc.Compiler(), sys.argv[1]
command._prepare_msvc()
print(command.compiler.cc, *command.compiler.compile_options)
if command.compiler.cc != "cl.exe":
    compiler = command._compiler()
    print(compiler, *(isa.name for isa in command._isas(compiler)), command._common_flags(compiler)[1])
"""


@pytest.fixture
def drive(tmp_path):
    """A function: what setup.py says, line by line, for a platform, where clang-cl makes code for `triple`."""
    pytest.importorskip("Cython")
    pytest.importorskip("setuptools")
    pytest.importorskip("distutils.compilers.C", reason="needs a newer setuptools")
    program = tmp_path / "bin" / "clang-cl"
    program.parent.mkdir()
    source = tmp_path / "source"
    shutil.copytree(ROOT / "cgru", source / "cgru", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    shutil.copy(ROOT / "setup.py", source)

    def run(platform, triple, **variables):
        program.write_text(f'#!/bin/sh\nexec {CLANG} --driver-mode=cl --target={triple} -Werror "$@"\n')
        program.chmod(0o755)
        environment = {name: value for name, value in os.environ.items() if name != "CC"} | variables
        environment["PATH"] = f"{program.parent}{os.pathsep}{environment['PATH']}"
        return subprocess.run(
            [sys.executable, "-c", DRIVER, platform],
            cwd=source, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip

    run.program = program
    return run


@pytest.mark.parametrize("platform", TRIPLES)
def test_clang_cl_takes_the_place_of_cl(drive, platform):
    """It takes all flags; with -Werror one that it ignores is an error."""
    done = drive(platform, TRIPLES[platform], CC="clang-cl")
    assert done.returncode == 0, done.stderr
    rows = " ".join(isa.name for isa in isas.isas_of(isas.architecture_of(platform)))
    lines = [f"{drive.program} /nologo /O2 /W3 /DNDEBUG /MD", f"clang-cl {rows} __forceinline"]
    assert done.stdout.splitlines() == lines


@pytest.mark.parametrize("variables", [{}, {"CC": "gcc"}], ids=str)
def test_cl_where_nothing_else_is_asked_for(drive, variables):
    done = drive("win-amd64", TRIPLES["win-amd64"], **variables)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "cl.exe /nologo /O2 /W3 /GL /DNDEBUG /MD\n"


def test_errors_of_clang_cl(drive):
    done = drive("win-arm64", TRIPLES["win-amd64"], CC="clang-cl")
    assert done.returncode == 1 and "the wheel is to be for win-arm64, but" in done.stderr
    done = drive("win-amd64", TRIPLES["win-amd64"], CC="/nowhere/clang-cl.exe")
    assert done.returncode == 1 and "CC=/nowhere/clang-cl.exe: there is no such program" in done.stderr


@pytest.mark.parametrize("triple", TRIPLES.values())
def test_clang_cl_ignores_no_flag(tmp_path, triple):
    (tmp_path / "probe.c").write_text("int probe(void) { return 0; }\n")
    row = "x86_64" if triple.startswith("x86_64") else "aarch64"
    for isa in isas.isas_of(row):
        command = [CLANG, "--driver-mode=cl", f"--target={triple}", "-Werror", "/c", "probe.c", *isas.FLAGS["clang-cl"]]
        done = subprocess.run(
            [*command, *isa.flags["clang-cl"]], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0 and not done.stderr, done.stderr
