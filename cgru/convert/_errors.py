"""What converters say about a source: what is missing, that there are several, and which file it was."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

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
    """

    def __init__(self, what: str, names: Iterable[Any], option: str, *, where: str = "", how: str = "") -> None:
        self.what, self.names, self.option = what, list(names), option
        listed = ", ".join(repr(name) for name in self.names)
        super().__init__(f"{where}there are several {what}: {listed}; choose one with {how or option + '='}")

    def retold(self, path: str | None, how: str = "") -> SeveralNetworks:
        """The same of the file `path`, with another way `how` to choose one."""
        return SeveralNetworks(self.what, self.names, self.option, where=f"{path}: " if path else "", how=how)


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


@contextlib.contextmanager
def naming(source: Any) -> Iterator[None]:
    """Make whatever the content of a file runs into a ValueError that names the file.

    The caller's own types were right. Where `source` is no path, errors stay as they are.
    """
    try:
        yield
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError) as error:
        if not isinstance(source, str | os.PathLike):
            raise
        path = os.fspath(source)
        if isinstance(error, ValueError) and path in str(error):
            raise
        raise error.retold(path) if isinstance(error, SeveralNetworks) else ValueError(f"{path}: {error}") from error


def missing(package: str, extra: str, error: BaseException | None = None) -> ImportError:
    """The ImportError of a converter's optional dependency, with the command that installs it."""
    reason = f" ({error})" if error else ""
    return ImportError(f'{package} is needed for this and is not installed: pip install "{extra}"{reason}')
