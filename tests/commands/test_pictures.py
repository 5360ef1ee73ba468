"""What the commands' pictures share: written whole or not at all, refused before any work."""

import argparse
import io
import os
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import cgru
from cgru import files
from cgru.__main__ import main
from cgru.commands import _pictures

pytest.importorskip("matplotlib")
pytestmark = pytest.mark.usefixtures("folder")

COMMANDS = {
    "demo": ["demo", "--plot", "p.png"],
    "trace": ["trace", "m.safetensors", "x.npy", "--plot", "p.png"],
    "compare": ["compare", "--input-size", "2", "--hidden-size", "3", "--lags", "4", "--plot", "p.png"],
}


@pytest.fixture
def saved(rng):
    """A model and its input, in the current folder; and an old picture."""
    cgru.GRU(3, 6, rng=1).save("m.safetensors")
    np.save("x.npy", rng.normal(size=(12, 4, 3)).astype(np.float32))
    with open("p.png", "wb") as file:
        file.write(b"the old picture")


def run(name):
    """The exit status of one command; what compare measures is kept short."""
    return main(COMMANDS[name], **({"seconds": 0.002} if name == "compare" else {}))


def old_picture():
    with open("p.png", "rb") as file:
        return file.read()


@pytest.mark.parametrize("name", COMMANDS)
def test_a_picture_replaces_the_old_one(saved, name, capsys):
    assert run(name) == 0
    assert old_picture().startswith(b"\x89PNG") and capsys.readouterr().err == ""
    assert sorted(os.listdir()) == ["m.safetensors", "p.png", "x.npy"]


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("stage", ["drawing", "opening", "writing", "naming"])
def test_the_old_picture_survives_a_failing_save(saved, name, stage, monkeypatch, capsys):
    """Wherever it fails, and nothing else is left behind."""
    from matplotlib.figure import Figure

    def no_space(*_, **__):
        raise OSError(28, "No space left on device")

    class Full:
        """A file on a full disk."""

        def __init__(self, file):
            self.file = file

        def __enter__(self):
            self.file.__enter__()
            return self

        def __exit__(self, *error):
            return self.file.__exit__(*error)

        def write(self, data):
            self.file.write(bytes(data)[:100])
            no_space()

    opened = io.BufferedWriter
    with monkeypatch.context() as patch:
        if stage == "drawing":
            patch.setattr(Figure, "savefig", no_space)
        elif stage == "opening":
            patch.setattr(os, "open", no_space)
        elif stage == "writing":
            patch.setattr(files, "io", SimpleNamespace(BufferedWriter=lambda *given: Full(opened(*given))))
        else:
            patch.setattr(os, "replace", no_space)
        assert run(name) == 2
    assert "No space left on device" in capsys.readouterr().err
    assert old_picture() == b"the old picture"
    assert sorted(os.listdir()) == ["m.safetensors", "p.png", "x.npy"]


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("plot, words", [
    ("p.bmp", "expected a name that ends with .png, .pdf, .svg"),
    ("p", "expected a name that ends with .png, .pdf, .svg"),
    ("nowhere/p.png", "there is no folder nowhere"),
    ("folder.png", "this is a folder"),
])  # fmt: skip
def test_a_bad_name_is_refused_before_any_work(saved, name, plot, words, capsys):
    os.mkdir("folder.png")
    assert main([*COMMANDS[name][:-1], plot]) == 2
    out, err = capsys.readouterr()
    assert not out and err.startswith("cgru: error: ") and err.count("\n") == 1 and words in err


def test_check_wants_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r'--plot needs matplotlib: pip install "cgru\[plot\]"'):
        _pictures.check(argparse.Namespace(plot="p.png"))
