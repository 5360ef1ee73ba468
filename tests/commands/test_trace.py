"""``cgru trace``: gates as arrays and as a picture."""

import os

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import cgru
from cgru.__main__ import main

T, N, H, INPUTS = 12, 4, 6, 3


pytestmark = pytest.mark.usefixtures("folder")


def problem(rng, **options):
    gru = cgru.GRU(INPUTS, H, rng=1, **options)
    gru.save("m.safetensors")
    x = rng.normal(size=((N, T) if gru.batch_first else (T, N)) + (INPUTS,)).astype(np.float32)
    np.save("x.npy", x)
    return gru, x


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("z_is", ["keep", "new"])
def test_arrays(rng, capsys, batch_first, z_is):
    gru, x = problem(rng, num_layers=2, bidirectional=True, batch_first=batch_first)
    h_0 = rng.normal(size=(4, N, H)).astype(np.float32)
    np.save("h.npy", h_0)
    y, _, gates = gru.trace(x, h_0, z_is=z_is)
    y = y.swapaxes(0, 1) if batch_first else y
    arguments = ["trace", "m.safetensors", "x.npy", "--h0", "h.npy", "--row", "2", "--z-is", z_is, "-o", "t.npz"]
    for layer in (0, 1):
        for backward in (False, True):
            more = ["--cell-layer", str(layer), *(["--backward"] if backward else []), "--start", "2", "--steps", "7"]
            assert main(arguments + more) == 0
            found = np.load("t.npz")
            k = 2 * layer + backward
            for name in "rzn":
                gate = getattr(gates, name)[k, 2] if batch_first else getattr(gates, name)[k, :, 2]
                assert_allclose(found[name], gate[2:9], rtol=0, atol=1e-6)
            if layer == 1:
                assert_allclose(found["h"], y[2:9, 2, backward * H :][:, :H], rtol=0, atol=1e-6)
    assert "layer 1, backwards, steps 2 to 8 of 12, 6 units" in capsys.readouterr().out


def test_only_what_is_needed_is_run(rng, capsys):
    gru, x = problem(rng)
    x[5:] = np.nan
    np.save("x.npy", x)
    assert main(["trace", "m.safetensors", "x.npy", "--steps", "5", "-o", "t.npz"]) == 0
    assert_array_equal(np.load("t.npz")["r"], gru.trace(x[:5, 0])[2].r[0])
    assert "nan" not in capsys.readouterr().out


@pytest.mark.parametrize("suffix, magic", [(".png", b"\x89PNG"), (".pdf", b"%PDF"), (".svg", b"<?xml")])
def test_picture(rng, suffix, magic):
    pytest.importorskip("matplotlib")
    problem(rng, activations=(("linear", 0.5, 0.5), "relu"))
    assert main(["trace", "m.safetensors", "x.npy", "--plot", "t" + suffix]) == 0
    with open("t" + suffix, "rb") as file:
        assert file.read(len(magic)) == magic


def test_picture_of_nan(rng):
    pytest.importorskip("matplotlib")
    _, x = problem(rng)
    np.save("x.npy", x * np.nan)
    assert main(["trace", "m.safetensors", "x.npy", "--plot", "t.png"]) == 0


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--plot", "t.gif"], "expected a name that ends with .png, .pdf, .svg"),
        (["--plot", "nowhere/t.png"], "there is no folder nowhere"),
        (["-o", "t.npy"], "expected a name that ends with .npz"),
        (["--row", "4"], "x.npy has rows 0 to 3"),
        (["--row", "-1"], "x.npy has rows 0 to 3"),
        (["--cell-layer", "1"], "this model has layers 0 to 0"),
        (["--backward"], "for a bidirectional model"),
        (["--start", "12"], "the sequence has only 12 steps"),
        (["--start", "-1"], "expected 0 or more"),
        (["--steps", "0"], "1 or more"),
        (["--steps", "x"], "invalid int value"),
    ],
    ids=repr,
)
def test_errors(rng, capsys, arguments, words):
    problem(rng)
    before = sorted(os.listdir())
    assert main(["trace", "m.safetensors", "x.npy", *arguments]) == 2
    out, err = capsys.readouterr()
    assert not out and words in err and err.count("\n") == 1
    assert sorted(os.listdir()) == before
