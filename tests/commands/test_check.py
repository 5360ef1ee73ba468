"""``cgru check``: what is said, what is saved, and the exit status. The search itself is in study/test_check.py."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import cgru
from cgru.__main__ import main

pytestmark = pytest.mark.usefixtures("folder")
T, N, H, INPUTS = 12, 4, 6, 3


def problem(rng):
    """A saved model and its saved input."""
    gru = cgru.GRU(INPUTS, H, rng=1)
    gru.save("m.safetensors")
    x = rng.normal(size=(T, N, INPUTS)).astype(np.float32)
    np.save("x.npy", x)
    return gru, x


def test_check(rng, capsys):
    gru, x = problem(rng)
    np.save("y.npy", gru(x)[0])
    assert main(["check", "m.safetensors", "x.npy", "y.npy"]) == 0
    assert capsys.readouterr().out.startswith("The model matches")
    with pytest.raises(SystemExit) as stop:
        main(["check", "m.safetensors", "x.npy", "y.npy", "--reset", "before", "--save", "fixed.safetensors"])
    assert stop.value.code == 1
    assert "reset_after=True" in capsys.readouterr().out
    assert_array_equal(cgru.load("fixed.safetensors")(x)[0], gru(x)[0])
    assert main(["check", "m.safetensors", "y.npy", "y.npy"]) == 2
    assert "x has 6 features" in capsys.readouterr().err


def test_a_layout_that_the_file_is_silent_about(rng, capsys):
    """It is found by trying, but not where there are lengths, which are a row's."""
    gru, x = problem(rng)
    lengths = np.array([7, 12, 1, 10])
    np.save("x.npy", x.swapaxes(0, 1))
    np.save("y.npy", gru(x, lengths=lengths)[0].swapaxes(0, 1))
    np.save("lengths.npy", lengths)
    command = ["check", "m.safetensors", "x.npy", "y.npy", "--lengths", "lengths.npy"]
    assert main(command) == 2
    assert "--lengths lengths.npy: it has shape (4,), expected 12 integers" in capsys.readouterr().err
    assert main([*command, "--batch-first", "--save", "found.safetensors"]) == 0
    assert capsys.readouterr().out.startswith("The model matches")
    assert cgru.load("found.safetensors").batch_first
    gru.replace(batch_first=True).save("m.safetensors")
    assert main(command) == 0
    assert main([*command, "--no-batch-first"]) == 2
