"""A command in this process: what it prints, and the one line with which it refuses."""

import os
import re

from cgru.__main__ import main


def printed(capsys, *arguments, err=""):
    """What a command prints, and on stderr only what is expected."""
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == 0
    out, found = capsys.readouterr()
    assert re.fullmatch(err, found.strip()), found
    return out


def refused(capsys, *arguments):
    """The one line of a command that changes nothing in the folder."""
    capsys.readouterr()
    before = {name: os.path.getsize(name) for name in os.listdir()}
    assert main([str(argument) for argument in arguments]) == 2
    out, err = capsys.readouterr()
    assert not out and err.startswith("cgru: error: ") and err.count("\n") == 1
    assert {name: os.path.getsize(name) for name in os.listdir()} == before
    return err
