"""Compile a source on the spot with the system's compiler, C or Cython, into a temporary shared library."""

import importlib.util
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from cgru.judge.native import NoCompiler, build, compiler, compiler_version

__all__ = ["NoCompiler", "build", "build_cython", "compiler", "compiler_version"]

CYTHON_DIRECTIVES = {"boundscheck": False, "wraparound": False, "initializedcheck": False, "cdivision": True}


def build_cython(source, flags, include):
    """Compile a Cython source and import it.

    Parameters
    ----------
    source : Path
    flags : sequence of str
        For the C compiler.
    include : Path
        Where its `cimport` looks.

    Returns
    -------
    module

    Raises
    ------
    NoCompiler
        Cython or a C compiler is missing, or one of them failed.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        generated, library = Path(directory) / f"{source.stem}.c", Path(directory) / f"{source.stem}.so"
        directives = [f"{name}={value}" for name, value in CYTHON_DIRECTIVES.items()]
        steps = (
            [sys.executable, "-m", "cython", "-3", "-I", include, "-X", ",".join(directives), source, "-o", generated],
            [*compiler(), *flags, "-fPIC", "-shared", f"-I{sysconfig.get_path('include')}", generated, "-o", library],
        )
        for step in steps:
            done = subprocess.run([str(word) for word in step], capture_output=True, text=True, check=False)
            if done.returncode:
                raise NoCompiler(f"could not build {source.name}: {done.stderr.strip()[-500:]}")
        spec = importlib.util.spec_from_file_location(source.stem, library)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
