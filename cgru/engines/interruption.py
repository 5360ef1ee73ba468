"""Stopping computations that run in other threads: engines ask `check` about twenty times a second (_interrupt.pxd)."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Stopped(BaseException):
    """Raised inside a computation that is no longer wanted; whoever called `Stop.set` catches it."""


class Stop:
    """A flag that stops the computations which run `under` it, in any thread.

    Made inside a computation under another flag, it is set when that one is.
    """

    def __init__(self) -> None:
        self._set = False
        self._outer = getattr(_here, "stop", None)

    def set(self) -> None:
        """Stop them."""
        self._set = True

    def is_set(self) -> bool:
        """Whether they are to stop."""
        return self._set or (self._outer is not None and self._outer.is_set())

    @contextlib.contextmanager
    def under(self) -> Iterator[None]:
        """Inside a ``with``, computations of this thread raise `Stopped` soon after the flag is set."""
        before = getattr(_here, "stop", None)
        _here.stop = self
        try:
            yield
        finally:
            _here.stop = before


_here = threading.local()


def check() -> None:
    """Raise `Stopped` if this thread runs under a flag that is set."""
    stop = getattr(_here, "stop", None)
    if stop is not None and stop.is_set():
        raise Stopped
