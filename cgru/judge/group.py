"""A process in a group of its own, of which nothing is left, whenever Ctrl-C comes."""

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable
from typing import Any

from cgru.judge.build import cannot_run

_ENDING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


@contextlib.contextmanager
def running(words, **options):
    """The Popen of a program, with all that it starts in a group of its own; that is killed when the block ends.

    Parameters
    ----------
    words : list of str
    **options
        Of Popen.

    Raises
    ------
    BuildError
        The system does not start it.
    """
    child = None
    try:
        try:
            with _later():
                child = subprocess.Popen(words, start_new_session=True, **options)
        except OSError as error:
            raise cannot_run(words[0], error) from error
        yield child
    finally:
        if child is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()


@contextlib.contextmanager
def _later():
    """What ends this process waits until the block has ended: a process that was just started has a name by then."""
    came: list[tuple[int, Any]] = []
    before: dict[int, Callable[[int, Any], Any]] = {}
    if threading.current_thread() is threading.main_thread():  # no other one is interrupted
        for number in _ENDING:
            handler = signal.getsignal(number)
            if callable(handler):
                before[number] = handler
    try:
        for number in before:
            signal.signal(number, lambda *given: came.append(given))
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number, frame in came:
            before[number](number, frame)
