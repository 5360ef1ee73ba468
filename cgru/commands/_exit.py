"""How a command ends: what the user can mend is one line and exit status 2, found before the work where it can be."""

import argparse
import contextlib
import importlib
import os
import signal
import sys
import threading

from cgru.engines import NoEngine, NoScipy
from cgru.files import refuse_input
from cgru.threads import thread_count

USER_ERROR, INTERRUPTED, CLOSED_PIPE = 2, 130, 141  # the last two: 128 + SIGINT, 128 + SIGPIPE


class MissingExtra(ImportError):
    """A package is needed that cgru does not depend on; the message says what to install."""


def guarded(function, program="cgru"):
    """Call ``function()`` and return the exit status of a command line.

    A wrong argument, an unusable file, a missing package or another machine (ValueError, TypeError, OSError,
    MissingExtra, NoScipy, NoEngine) is one line on stderr and 2, and so is too little memory. Silent are Ctrl-C, 130,
    and a reader that closed the pipe (``| head``), 141. SIGTERM and SIGHUP end it as Ctrl-C does, with 143 and 129, so
    that no half file is left.
    """
    try:
        with _orderly_end():
            function()
            sys.stdout.flush()
        return 0
    except BrokenPipeError:
        _discard_output()
        return CLOSED_PIPE
    except KeyboardInterrupt:
        return INTERRUPTED
    except _Ended as end:
        return end.status
    except MemoryError as error:
        message = f"not enough memory{': ' if str(error) else ''}{error}"
    except (ValueError, TypeError, OSError, MissingExtra, NoScipy, NoEngine) as error:
        message = str(error)
    print(f"{program}: error: {shown(' '.join(message.split()))}", file=sys.stderr)
    return USER_ERROR


def shown(text):
    """A text for a terminal: characters of a file's names that it would obey, or cannot encode, are spelt out."""
    return "".join(one if one.isprintable() or one == "\n" else ascii(one)[1:-1] for one in text)


class _Ended(BaseException):
    """The process was asked to end."""

    def __init__(self, number):
        self.status = 128 + number


@contextlib.contextmanager
def _orderly_end():
    """Raise `_Ended` where SIGTERM or SIGHUP would end the process on the spot."""

    def end(number, frame):
        raise _Ended(number)

    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():
        numbers = []      # only the main thread may say what a signal does
    numbers = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]
    for number in numbers:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def _discard_output():
    """Let the interpreter's own flush at exit go nowhere, where it would fail again with a traceback."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)


# ---- arguments


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, like all others, and whose options are written in full."""

    def __init__(self, **options):
        super().__init__(**{"allow_abbrev": False, **options})

    def error(self, message):
        """Raise what `guarded` reports."""
        raise ValueError(f"{message} (see {self.prog} --help)")


def positive(text):
    """Argument type: an integer of at least 1."""
    value = int(text)
    if value < 1:
        raise ValueError(text)
    return value


def positive_seconds(text):
    """Argument type: a time in seconds."""
    value = float(text)
    if not 0 < value < 3600:
        raise ValueError(text)
    return value


# what argparse calls them in its messages
positive.__name__, positive_seconds.__name__ = "positive integer", "time"


def threads(text):
    """Argument type: how many threads; -1 is all cores."""
    return thread_count(int(text))


threads.__name__ = "number of threads"


# ---- what is asked before the work


#: Attributes of a command's arguments that name files which it reads -> what the user calls them.
_INPUTS = {
    "model": "the model", "input": "INPUT", "expected": "EXPECTED", "h0": "--h0", "c0": "--c0", "lengths": "--lengths",
    "data": "--data",
}  # fmt: skip


def writable(path, suffixes, option, args):
    """Refuse an output of a command before any work is done.

    Raises
    ------
    ValueError, OSError
        Its suffix is none of these, it is a folder, its folder is not there, or it is one of the command's inputs.
    """
    if os.path.splitext(path)[1].lower() not in suffixes:
        raise ValueError(f"{option} {path}: expected a name that ends with {', '.join(suffixes)}")
    if os.path.isdir(path):
        raise IsADirectoryError(f"{option} {path}: this is a folder, expected a file name")
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"{option} {path}: there is no folder {folder}; make it first")
    inputs = {shown: getattr(args, name, None) for name, shown in _INPUTS.items()}
    refuse_input(option, path, {shown: given for shown, given in inputs.items() if isinstance(given, str)})


def need(module, purpose, install):
    """Import an optional package.

    Parameters
    ----------
    module : str
        Its import name.
    purpose : str
        What asks for it, the subject of the error's sentence.
    install : str
        What to give to ``pip install``.

    Raises
    ------
    MissingExtra
        It is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise
        raise MissingExtra(f'{purpose} needs {error.name}: pip install "{install}"') from None
