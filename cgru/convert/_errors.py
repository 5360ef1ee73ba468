"""What converters say about a source: what is missing, that there are several, and which file it was."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from itertools import islice
from typing import Any, TypeVar

from cgru.cells import CELLS, Cell
from cgru.checks import warn

Name = TypeVar("Name")


class SeveralNetworks(ValueError):
    """A source holds several networks, and none was asked for.

    Attributes
    ----------
    what : str
        What there are several of, in the plural.
    names : list
        Their names, as the converter takes them.
    option : str
        The parameter that takes one.
    why : str
        What is said of the file: why they are no chain, where that was asked.
    """

    def __init__(self, what: str, names: Iterable[Any], option: str, *, where: str = "", how: str = "") -> None:
        self.what, self.names, self.option, self.why = what, list(names), option, ""
        listed = ", ".join(repr(name) for name in self.names)
        super().__init__(f"{where}there are several {what}: {listed}; choose one with {how or option + '='}")

    def retold(self, path: str | None, how: str = "") -> SeveralNetworks:
        """The same of the file `path`, with another way `how` to choose one."""
        where = f"{path or 'it'}{self.why}: " if path or self.why else ""
        again = SeveralNetworks(self.what, self.names, self.option, where=where, how=how)
        again.why = self.why
        return again


class NotAChain(ValueError):
    """A source is whole, but no chain of layers that this package has; the message names the layer or node."""


def chosen(found: Mapping[Name, Any], asked: Name | None, what: str, option: str) -> Name:
    """The key `asked` of the dict `found`; without one, its only key.

    Raises
    ------
    ValueError
        There is none, no such one, or several and none was asked for (`SeveralNetworks`); the message lists them.
    """
    if asked is not None:
        if asked not in found:
            names = ", ".join(repr(name) for name in found) or "none"
            raise ValueError(f"{option}={asked!r}: there is no such {what}; there are: {names}")
        return asked
    if not found:
        raise ValueError(f"there is no {what} in it")
    if len(found) > 1:
        raise SeveralNetworks(f"{what}s", found, option)
    return next(iter(found))


def networks_in_words(cells: Iterable[Cell], noun: str = "") -> str:
    """What a source holds one of or several of: GRU, or recurrent network where there are others; a `noun` may follow.

    Where it holds none, what there might be.
    """
    found = list(cells)
    if not found:
        *names, last = (cell.name for cell in CELLS.values())
        return f"{', '.join(names)} or {last} {noun}".rstrip()
    if all(cell is CELLS["gru"] for cell in found):
        return f"{found[0].name} {noun}".rstrip()
    return f"recurrent {noun or 'network'}"


def check_one_name(asked: Any, option: str, kinds: type | tuple[type, ...] = str) -> None:
    """Refuse what is no name of one network; None asks for none.

    Raises
    ------
    WrongArgument
        A TypeError: several names, or something else.
    """
    if asked is None or (isinstance(asked, kinds) and not isinstance(asked, bool)):
        return
    several = ": several cannot be read at once; read one after the other" if isinstance(asked, list | tuple) else ""
    what = "the name of one network" if kinds is str else "the number of one layer"
    raise WrongArgument(f"{option} must be {what}; got {asked!r}{several}")


_MOST_LEFT_OUT = 4      # named in one warning


@dataclasses.dataclass
class Reading:
    """One layer is read out of a source that may hold a network: what is said of the rest, and what that is.

    Attributes
    ----------
    whole : callable or None
        Of the layer's name and of what is left out: why that is left out, or how it is read. It stands in the warning
        in place of the method that reads whole networks.
    left : list of str
        What was left out, also where the layer was asked for by its name.
    """

    whole: Callable[[Any, list[str]], str] | None = None
    left: list[str] = dataclasses.field(default_factory=list)


_READING: ContextVar[Reading | None] = ContextVar("reading", default=None)


@contextlib.contextmanager
def reading(whole: Callable[[Any, list[str]], str] | None = None) -> Iterator[Reading]:
    """Around a converter: its `Reading`; one around this learns what was left out too."""
    found, around = Reading(whole), _READING.get()
    token = _READING.set(found)
    try:
        yield found
    finally:
        _READING.reset(token)
        if around is not None:
            around.left = found.left


def warn_left_out(left: Iterable[str], name: Any, asked: Any, what: str = "GRU", *, door: str = "") -> None:
    """Warn that a source holds more than the network that was read, unless it was asked for by its name.

    Parameters
    ----------
    left : iterable of str
        What else the outputs depend on: tensors, layers or nodes, also those without parameters, such as a softmax.
    name : str or int
        Of the network, as the converter takes it.
    asked : str, int or None
        What the user asked for.
    what : str
        What was read.
    door : str, optional
        The method of `cgru.Sequential` that reads whole networks from such a source, such as "from_keras".
    """
    names, now = list(dict.fromkeys(left)), _READING.get()
    if now is not None:
        now.left = names
    if asked is not None or not names:
        return
    some = ", ".join(islice(names, _MOST_LEFT_OUT))
    more = f" and {len(names) - _MOST_LEFT_OUT} more" if len(names) > _MOST_LEFT_OUT else ""
    whole = f"cgru.Sequential.{door} reads the whole network, where it is a chain; " if door else ""
    if now is not None and now.whole is not None:
        whole = f"{now.whole(name, names)}; "
    warn(
        f"only the {what} is read, and what else the model computes is missing from its outputs: left out are {some}"
        f"{more}; {whole}asked for by its name, {name!r}, it is read without this warning",
        UserWarning,
    )


class WrongArgument(TypeError):
    """An argument that is wrong whatever the source is: `naming` makes a plain TypeError of it and blames no file."""


@contextlib.contextmanager
def naming(source: Any) -> Iterator[None]:
    """Make whatever the content of a file runs into a ValueError that names the file.

    The caller's own types were right. Where `source` is no path, errors stay as they are.
    """
    try:
        yield
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError) as error:
        if isinstance(error, WrongArgument):
            raise TypeError(str(error)) from None
        if not isinstance(source, str | os.PathLike):
            raise
        path = os.fspath(source)
        if isinstance(error, ValueError) and path in str(error):
            raise
        if isinstance(error, SeveralNetworks):
            raise error.retold(path) from error
        kind = NotAChain if isinstance(error, NotAChain) else ValueError
        raise kind(f"{path}: {error}") from error


def missing(package: str, extra: str, error: BaseException | None = None) -> ImportError:
    """The ImportError of a converter's optional dependency, with the command that installs it."""
    reason = f" ({error})" if error else ""
    return ImportError(f'{package} is needed for this and is not installed: pip install "{extra}"{reason}')
