"""Compile a C source of ours on the spot with the system's compiler into a temporary shared library, and load it."""

import ctypes
import subprocess
import sys
import tempfile
from pathlib import Path

from cgru.judge import build as building


class NoCompiler(RuntimeError):
    """No C compiler was found, or it could not build the source; the message says which."""


def compiler(cc=None):
    """Command of the C compiler: `cc`, else ``$CC``, else the first of cc, gcc and clang on the path."""
    try:
        return list(building.compiler("C", cc))
    except building.BuildError as error:
        raise NoCompiler(str(error)) from error


def compiler_version():
    """First line of what the compiler says about itself, or None without a compiler."""
    try:
        said = subprocess.run([*compiler(), "--version"], capture_output=True, text=True, check=True)
    except (NoCompiler, OSError, subprocess.CalledProcessError):
        return None
    return said.stdout.splitlines()[0]


def build(source, flags, cc=None):
    """Compile a source file and load it.

    Parameters
    ----------
    source : Path
        What it includes stands beside it.
    flags : sequence of str
        Optimisation flags; other spellings are tried where this compiler refuses them.
    cc : str, optional
        The C compiler, with flags if need be; by default that of `compiler`.

    Returns
    -------
    ctypes.CDLL
        The library; its attribute ``command`` is the command line without the paths, for the records.

    Raises
    ------
    NoCompiler
        There is no compiler, or every attempt failed.
    """
    command = compiler(cc)
    complaint = ""
    # A library that is loaded does not need its file any more.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        name = Path(directory) / source.stem
        for attempt in _spellings(list(flags)):
            arguments = ["-std=gnu11", *attempt, "-fPIC"]
            steps = (
                [*arguments, "-c", str(source), "-o", f"{name}.o"],
                # Without the flags: -ffast-math at the link would make the whole process flush subnormals.
                ["-shared", f"{name}.o", "-o", f"{name}.so", "-lm"],
            )
            try:
                for step in steps:
                    subprocess.run([*command, *step], capture_output=True, text=True, check=True)
            except subprocess.CalledProcessError as error:
                complaint = error.stderr.strip()
                continue
            try:
                library = ctypes.CDLL(f"{name}.so")
            except OSError as error:
                raise NoCompiler(
                    f"what {command[0]} made of {source.name} cannot be loaded: {error}; where the folder of temporary "
                    "files is mounted noexec, set TMPDIR to another"
                ) from error
            words = [Path(command[0]).name, *command[1:], *arguments, source.name]
            library.command = " ".join(words)  # type: ignore[attr-defined]
            return library
    raise NoCompiler(f"{command[0]} could not build {source.name}: {complaint[-500:]}")


def _spellings(flags):
    """The flags, then the same for compilers that say -mcpu=native, or that know no vector width."""
    yield flags
    narrow = [flag for flag in flags if not flag.startswith("-mprefer-vector-width")]
    yield narrow
    if sys.platform != "win32":
        yield ["-mcpu=native" if flag == "-march=native" else flag for flag in narrow]
