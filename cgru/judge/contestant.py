"""What is judged: a source or a library behind cgru_judge.h, and the programs that are built of it."""

from __future__ import annotations

import abc
import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from cgru.cells import CELLS, GRU
from cgru.judge import build as building
from cgru.judge import child
from cgru.judge.build import BuildError

_SECONDS = 20.0             # to say its name


@dataclass(frozen=True)
class Shape:
    """What a contestant is built for, where its sizes are fixed when it is compiled."""

    cell: str
    I: int                  # noqa: E741
    H: int
    rows: int = 1
    reset_after: bool = True


#: Of those whose sizes are not fixed, it is the same for all.
ANY = Shape(GRU.kind, 3, 5)


class Contestant(abc.ABC):
    """Someone's layer, as a source or a library.

    Attributes
    ----------
    name : str
        What it calls itself, or the stem of its file.
    label : str
        How it was built: compiler, its flags and folders of headers, or "as it is".
    fixed : bool
        Whether it is compiled anew for every shape.
    """

    fixed = False

    def __init__(self, path):
        self.path = Path(path).resolve()
        self._facts = None
        self._folder = building.new_folder(self)
        self._built: dict[tuple, str | BuildError] = {}

    @staticmethod
    def of(path, *, flags=None, include=(), cc=None) -> Contestant:
        """The contestant in a file.

        Parameters
        ----------
        path : str or Path
            mine.c, mine.cc, mine.cpp, mine.cxx, or a library mine.so, mine.dylib.
        flags : sequence of str, optional
            The compiler's, in place of `build.FLAGS`.
        include : sequence of str
            Folders of headers.
        cc : str, optional
            The compiler.

        Raises
        ------
        BuildError
            There is no compiler, or this is no POSIX system.
        ValueError
            The name ends with none of these.
        """
        if os.name != "posix":
            raise BuildError("contestants run on Linux and macOS: they need POSIX processes. On Windows: use WSL")
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"there is no file {path}")
        if path.suffix in building.LIBRARY:
            return _Library(path, building.compiler("C", cc))
        if path.suffix not in building.C + building.CXX:
            known = ", ".join(building.C + building.CXX + building.LIBRARY)
            raise ValueError(f"{path}: expected a name that ends with {known}")
        command = building.compiler("C" if path.suffix in building.C else "C++", cc)
        flags = building.default_flags(command) if flags is None else tuple(flags)
        return _Source(path, command, flags, tuple(os.path.abspath(folder) for folder in include))

    @property
    def name(self) -> str:
        facts = self._facts
        if facts is None and not self.fixed:
            facts = self.facts()
        return (facts and facts.name) or self.path.stem

    @property
    def has_run(self) -> bool:
        """Whether it offers `cgru_judge_run`; of a fixed one, known once it has run."""
        return self.facts().has_run

    @property
    @abc.abstractmethod
    def label(self) -> str: ...

    @property
    @abc.abstractmethod
    def sanitizes(self) -> bool:
        """Whether it can be built with sanitizers."""

    @abc.abstractmethod
    def build(self, shape, sanitize=False) -> str:
        """Path of the program for this shape, built once.

        Raises
        ------
        BuildError
            It cannot be built.
        """

    library: str | None = None

    def facts(self, facts=None):
        """What the host says of it: given after a run, or else asked for now."""
        if facts is not None:
            self._facts = facts
        elif self._facts is None:
            found, _ = child.solve(self.build(ANY), [], timeout=_SECONDS, library=self.library)
            if found.trouble:
                raise BuildError(f"{self.path.name} {found.trouble}")
            self._facts = found
        return self._facts

    def _once(self, key, source, command, **options):
        if key not in self._built:
            target = Path(self._folder, f"host{len(self._built)}")
            try:
                building.build(target, source, command, **options)
                self._built[key] = str(target)
            except BuildError as error:
                self._built[key] = error
        built = self._built[key]
        if isinstance(built, BuildError):
            raise built
        return built


class _Source(Contestant):
    def __init__(self, path, command, flags, include):
        super().__init__(path)
        self._command, self._flags, self._include = command, flags, include
        text = self.path.read_text("utf-8", "replace")
        self.fixed = re.search(r"\bCGRU_JUDGE_FIXED\b", text) is not None

    @property
    def label(self):
        sizes = ", for each shape" if self.fixed else ""
        words = [*self._command[1:], *self._flags, *(f"-I{folder}" for folder in self._include)]
        return f"{building.version(self._command)} {shlex.join(words)}".rstrip() + sizes

    @property
    def sanitizes(self):
        return building.sanitizes(self._command)

    def build(self, shape, sanitize=False):
        sizes = (CELLS[shape.cell].code, shape.I, shape.H) if self.fixed else ()
        names = ("CELL", "INPUT_SIZE", "HIDDEN_SIZE")
        defines = [f"-DCGRU_JUDGE_{name}={size}" for name, size in zip(names, sizes, strict=False)]
        options = {"flags": self._flags, "include": self._include, "defines": defines, "sanitize": sanitize}
        return self._once((sizes, sanitize), self.path, self._command, **options)


class _Library(Contestant):
    label = "as it is"
    sanitizes = False

    def __init__(self, path, command):
        super().__init__(path)
        self.library, self._command = str(self.path), command

    def build(self, shape, sanitize=False):
        return self._once((), None, self._command)
