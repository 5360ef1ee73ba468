"""How a command ends: what the user can mend is one line and exit status 2, found before the work where it can be."""

import argparse
import importlib
import os
import sys

USER_ERROR, INTERRUPTED, CLOSED_PIPE = 2, 130, 141  # the last two: 128 + SIGINT, 128 + SIGPIPE


class MissingExtra(ImportError):
    """A package is needed that cgru does not depend on; the message says what to install."""


def guarded(function, program="cgru"):
    """Call ``function()`` and return the exit status of a command line.

    A wrong argument, an unusable file or a missing extra (ValueError, TypeError, OSError, MissingExtra) is
    one line on stderr and 2. Silent are Ctrl-C, 130, and a reader that closed the pipe (``| head``), 141.
    """
    try:
        function()
        sys.stdout.flush()
        return 0
    except BrokenPipeError:
        _discard_output()
        return CLOSED_PIPE
    except KeyboardInterrupt:
        return INTERRUPTED
    except (ValueError, TypeError, OSError, MissingExtra) as error:
        print(f"{program}: error: {' '.join(str(error).split())}", file=sys.stderr)
        return USER_ERROR


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


# ---- what is asked before the work


def writable(path, suffixes, option):
    """`path`, once it is clear that a file of that name can be made: a known suffix, in a folder that is there."""
    if os.path.splitext(path)[1].lower() not in suffixes:
        raise ValueError(f"{option} {path}: expected a name that ends with {', '.join(suffixes)}")
    if os.path.isdir(path):
        raise IsADirectoryError(f"{option} {path}: this is a folder, expected a file name")
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"{option} {path}: there is no folder {folder}; make it first")
    return path


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
