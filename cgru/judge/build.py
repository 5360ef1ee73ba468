"""Compiling a contestant with the program that runs it: compilers, flags, what is wrong with a source in one line."""

from __future__ import annotations

import functools
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import weakref
from pathlib import Path

HERE = Path(__file__).resolve().parent
INCLUDE = HERE.parent / "include"
HOST, NULL = HERE / "host.c", HERE / "null.c"
C, CXX, LIBRARY = (".c",), (".cc", ".cpp", ".cxx"), (".so", ".dylib")
#: Of the contestant, where it asks for none of its own; the first that the compiler takes.
FLAGS = (
    ("-O3", "-march=native", "-mprefer-vector-width=512"),
    ("-O3", "-march=native"),
    ("-O3", "-mcpu=native"),
    ("-O3",),
)
SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-g")
_NAMES = {"C": ("CC", "cc", "gcc", "clang"), "C++": ("CXX", "c++", "g++", "clang++")}
#: The link gets all flags but these: with them it makes the whole process, the host too, flush subnormals.
_NOT_AT_THE_LINK = re.compile(r"-(Ofast|f(fast-math|unsafe-math-optimizations|fp-model=(fast|aggressive))|mdaz-ftz)$")
#: The host is of the same machine as the contestant.
_OF_THE_MACHINE = re.compile(r"-(m32|m64|mx32|-target=.*|-sysroot=.*)$")
#: Flags with which no program comes out that could run.
_NO_PROGRAM = {
    "-static": "the host looks for functions while it runs, in a dynamic program",
    "-static-pie": "the host looks for functions while it runs, in a dynamic program",
    "-shared": "a source is linked with the host as a program; a library is judged as it is, by its name mine.so",
}
_SECONDS = 300


class BuildError(RuntimeError):
    """A contestant that cannot be judged: no compiler, a source that does not compile, a function that is missing.

    Its attribute ``reason`` is the message without the compiler's command.
    """

    def __init__(self, reason, command=()):
        super().__init__(f"{reason}; the command was: {shlex.join(command)}" if command else reason)
        self.reason = reason


def compiler(language, cc=None):
    """Command of a compiler.

    Parameters
    ----------
    language : {"C", "C++"}
    cc : str, optional
        The command, with flags if need be. Default: ``$CC`` or ``$CXX``, else the first that is on the path.

    Returns
    -------
    tuple of str

    Raises
    ------
    BuildError
        There is none.
    """
    variable, *names = _NAMES[language]
    if cc is not None or os.environ.get(variable):
        text = cc if cc is not None else os.environ[variable]
        command = tuple(shlex.split(text, posix=os.name == "posix"))
        if not command or shutil.which(command[0]) is None:
            where, name = "--cc" if cc is not None else f"${variable}", command[0] if command else "''"
            raise BuildError(
                f"{where} names the {language} compiler {name}, which is not there: give the name or the path of one "
                f"that is, or leave it out, for the first of {', '.join(names)}"
            )
        return command
    for name in names:
        if shutil.which(name):
            return (name,)
    package = "gcc (Debian: apt install gcc; macOS: xcode-select --install) or clang"
    if language == "C++":
        package = package.replace("gcc", "g++", 1).replace("install gcc", "install g++")
    raise BuildError(
        f"no {language} compiler: looked for ${variable}, {', '.join(names)}; install {package}, "
        f"or name one in ${variable}"
    )


@functools.cache
def version(command):
    """What a compiler calls itself: "gcc 12.2.0"."""
    said = _run([*command, "--version"]).stdout.splitlines()
    first = said[0] if said else ""
    number = re.search(r"\d+\.\d+(\.\d+)?", re.sub(r"\(.*?\)", "", first))
    name = "clang" if "clang" in first else Path(command[0]).name
    return f"{name} {number[0]}" if number else name


@functools.cache
def default_flags(command):
    """The first of FLAGS that this compiler takes."""
    with tempfile.TemporaryDirectory() as folder:
        empty = Path(folder, "empty.c")
        empty.write_text("int nothing;\n")
        for flags in FLAGS:
            words = [*command, "-Werror", *flags, "-x", "c", "-c", str(empty), "-o", f"{folder}/empty.o"]
            if _run(words).returncode == 0:
                return flags
    return FLAGS[-1]


@functools.cache
def sanitizes(command):
    """Whether a program can be built with the sanitizers, and runs."""
    with tempfile.TemporaryDirectory() as folder:
        source, program = Path(folder, "empty.c"), f"{folder}/empty"
        source.write_text("int main(void) { return 0; }\n")
        done = _run([*command, "-x", "c", *SANITIZE, str(source), "-o", program])
        return done.returncode == 0 and _run([program]).returncode == 0


def build(target, source, command, *, flags=(), include=(), defines=(), sanitize=False):
    """Compile a contestant, and link it with the host.

    Parameters
    ----------
    target : Path
        The program to be written; its object file goes beside it.
    source : Path or None
        None: the host alone, for a library.
    command : tuple of str
        The compiler.
    flags, include, defines : sequence of str
        Of the contestant alone.
    sanitize : bool
        With SANITIZE, and -O1.

    Raises
    ------
    BuildError
        With the compiler's own first error.
    """
    for flag in (*command, *flags):
        if flag in _NO_PROGRAM:
            raise BuildError(f"{flag}: {_NO_PROGRAM[flag]}; leave it out")
    watched = ["-O1", *SANITIZE] if sanitize else []
    plain = tuple(word for word in command if not _NOT_AT_THE_LINK.match(word))
    objects = [_host(plain, sanitize, tuple(flag for flag in flags if _OF_THE_MACHINE.match(flag)))]
    if source is not None:
        objects.append(f"{target}.o")
        folders = [f"-I{folder}" for folder in (*include, INCLUDE)]
        words = [*command, *flags, *defines, *folders, *watched, "-c", str(source), "-o", objects[-1]]
        _do(words, f"{source} does not compile", objects[-1])
    link = [flag for flag in flags if not _NOT_AT_THE_LINK.match(flag)]
    watched = [SANITIZE[0]] if sanitize else []
    words = [*plain, *objects, "-rdynamic", *link, *watched, "-o", str(target), "-ldl", "-lm"]
    _do(words, f"{source or HOST} does not link", target)


@functools.cache
def _host(command, sanitize, machine):
    """The object file of the host, kept while Python runs."""
    folder = _folder()
    target = Path(folder, f"host{len(os.listdir(folder))}.o")
    words = [*command, "-x", "c", "-std=c99", "-O2", *machine, f"-I{INCLUDE}"]
    if sanitize:
        words += ["-DHOST_SANITIZED", *SANITIZE]
    _do([*words, "-c", str(HOST), "-o", str(target)], "the host does not compile", target)
    return str(target)


@functools.cache
def _folder():
    return new_folder(sys.modules[__name__])


def new_folder(owner):
    """A temporary folder that goes when its owner does, or Python."""
    folder = tempfile.mkdtemp(prefix="cgru_judge_")
    weakref.finalize(owner, shutil.rmtree, folder, ignore_errors=True)
    return folder


def _run(words):
    try:
        return subprocess.run(
            words, capture_output=True, text=True, errors="replace", check=False, timeout=_SECONDS,
            stdin=subprocess.DEVNULL, env={**os.environ, "LC_ALL": "C"},
        )  # fmt: skip
    except OSError as error:
        raise cannot_run(words[0], error) from error
    except subprocess.TimeoutExpired as error:
        raise BuildError(f"{words[0]} was not done after {_SECONDS} s", words) from error


def cannot_run(program, error):
    """The BuildError of a program that the system does not start.

    Parameters
    ----------
    program : str
    error : OSError
    """
    reason = f"{program} cannot be run: {error.strerror or error}"
    if isinstance(error, PermissionError):
        reason += (
            f"; where the folder of temporary files ({tempfile.gettempdir()}) is mounted noexec, set TMPDIR to one in "
            "which programs may run"
        )
    return BuildError(reason)


def _do(words, complaint, target):
    """Run the compiler, which must write this file."""
    done = _run(words)
    if done.returncode:
        raise BuildError(f"{complaint}: {_first_error(done.stderr)}", words)
    if not os.path.isfile(target):
        raise BuildError(
            f"{complaint}: {words[0]} says that all is well, but wrote no file; name a C or C++ compiler with --cc, "
            "and leave out flags that end its work early", words,
        )  # fmt: skip


def _first_error(text):
    """The line that says why, or the last one."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    # the linker's before the compiler's, which then says only that the linker failed
    linker = ("undefined reference", "multiple definition", "Undefined symbol", "duplicate symbol", "cannot find")
    for mark in (*linker, "error:", "error"):
        for line in lines:
            if mark in line:
                return line[:400]
    return lines[-1][:400] if lines else "the compiler says nothing"
