"""``cgru info`` and ``cgru convert``: every format that a file may have, and what is said about it."""

import os

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import cgru
from cgru.__main__ import main
from support.commands import refused

X = np.random.default_rng(3).normal(size=(6, 2, 3)).astype(np.float32)


pytestmark = pytest.mark.usefixtures("folder")


def printed(capsys, *arguments):
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == 0
    return capsys.readouterr().out


def test_info_counts_and_names_the_conventions(capsys):
    gru = cgru.GRU(3, 5, num_layers=2, bidirectional=True, activations=(("hard_sigmoid", 0.25, 0.5), "tanh"), clip=4)
    gru.save("m.safetensors")
    text = printed(capsys, "info", "m.safetensors")
    numbers = sum(array.size for array in gru.state_dict().values())
    products = 2 * (15 * 3 + 15 * 5) + 2 * (15 * 10 + 15 * 5)
    for line in (
        f"{numbers:,} numbers of float32, {4 * numbers:,} bytes",
        f"{products:,} multiply-adds for each batch row",
        "input 3, hidden 5, 2 layers, both directions",
        "cgru format 2",
        "after the recurrent product (PyTorch",
        "hard_sigmoid(0.25, 0.5) for r and z, tanh for n",
        "clamped to +-4",
        "x is (T, N, I) or (T, I)",
    ):
        assert line in text


def test_info_of_other_conventions_and_kinds(capsys):
    cgru.GRU(3, 5, reset_after=False, batch_first=True, reverse=True).save("m.safetensors")
    text = printed(capsys, "info", "m.safetensors")
    assert "before the recurrent product (Keras reset_after=False, ONNX linear_before_reset=0" in text
    assert "from the end to the start" in text
    assert "(the other way round in the equations of 2014, Haiku, Paddle)" in text
    cgru.LSTM(3, 5).save("lstm.safetensors")
    assert "LSTM(3, 5" in printed(capsys, "info", "lstm.safetensors")


@pytest.mark.configurations(streams=True)
def test_info_is_the_file_and_the_summary(model, capsys):
    """What a model says of itself, line for line, below the line of the file."""
    model.save("m.safetensors")
    text = printed(capsys, "info", "m.safetensors")
    head, *lines = text.splitlines()
    assert head == f"file          m.safetensors, cgru format 2, {os.path.getsize('m.safetensors'):,} bytes"
    loaded = cgru.load("m.safetensors")
    about = loaded.summary().splitlines()
    without_systems = [line.partition(" (")[0] for line in lines]
    assert without_systems == [line.partition(" (")[0] for line in about]
    assert repr(loaded) in text


def test_convert_from_state_dicts(capsys):
    gru = cgru.GRU(3, 5, num_layers=2, rng=1)
    state = {f"{name}{key}": value for name in ("a.", "b.") for key, value in gru.state_dict().items()}
    np.savez("state.npz", **state)
    assert "'a.', 'b.'" in refused(capsys, "convert", "state.npz", "o.safetensors")
    printed(capsys, "convert", "state.npz", "o.safetensors", "--prefix", "b.", "--reset", "before")
    other = cgru.load("o.safetensors")
    assert not other.reset_after
    assert_array_equal(other(X)[0], cgru.GRU.from_state_dict(gru.state_dict(), reset_after=False)(X)[0])


def test_convert_from_pytorch(capsys, torch):
    module = torch.nn.GRU(3, 5, bidirectional=True)
    torch.save({"model": {f"rnn.{name}": value for name, value in module.state_dict().items()}}, "m.pt")
    printed(capsys, "convert", "m.pt", "o.safetensors")
    assert_allclose(cgru.load("o.safetensors")(X)[0], module(torch.from_numpy(X))[0].detach(), rtol=0, atol=2e-6)
    printed(capsys, "convert", "m.pt", "o64.safetensors", "--dtype", "float64")
    assert cgru.load("o64.safetensors").dtype == np.float64


def test_convert_to_onnx_and_back(capsys):
    pytest.importorskip("onnx")
    gru = cgru.GRU(3, 5, rng=1, reset_after=False, activations=("hard_sigmoid", "tanh"))
    gru.save("m.safetensors")
    assert "wrote m.onnx" in printed(capsys, "convert", "m.safetensors", "m.onnx", "--lengths")
    assert "ONNX" in printed(capsys, "info", "m.onnx")
    printed(capsys, "convert", "m.onnx", "back.safetensors")
    assert_array_equal(cgru.load("back.safetensors")(X)[0], gru(X)[0])


def test_a_converter_s_warning_is_one_line(capsys):
    onnx = pytest.importorskip("onnx")
    cgru.GRU(3, 5, rng=1, reset_after=False).to_onnx("m.onnx")
    model = onnx.load("m.onnx")
    model.producer_name = "pytorch"
    onnx.save(model, "m.onnx")
    assert main(["info", "m.onnx"]) == 0
    err = capsys.readouterr().err
    assert err.startswith("cgru: warning: this model was written by PyTorch") and err.count("\n") == 1
    assert main(["convert", "m.onnx", "o.safetensors", "--reset", "after"]) == 0
    assert not capsys.readouterr().err
    assert cgru.load("o.safetensors").reset_after


@pytest.mark.parametrize("suffix", [".txt", "", ".pt"])
def test_bad_outputs(capsys, suffix):
    cgru.GRU(3, 5).save("m.safetensors")
    error = refused(capsys, "convert", "m.safetensors", "o" + suffix)
    assert "expected a name that ends with .safetensors, .onnx, .json, .c" in error


def test_bad_models(capsys):
    assert "No such file or directory: 'm.xyz'" in refused(capsys, "info", "m.xyz")
    with open("m.xyz", "wb") as file:
        file.write(b"noise")
    assert "its name ends with none of .safetensors, .npz" in refused(capsys, "info", "m.xyz")
    assert "nowhere.safetensors" in refused(capsys, "info", "nowhere.safetensors")
    os.mkdir("m.safetensors")
    assert "not a regular file" in refused(capsys, "info", "m.safetensors")
    np.savez("m.npz", a=np.zeros(3))
    assert "no weight_ih_l0" in refused(capsys, "info", "m.npz")
    assert "required" in refused(capsys, "info")
    assert "invalid choice" in refused(capsys, "inform")


def test_a_file_s_names_do_not_command_the_terminal(capsys):
    state = cgru.GRU(3, 4, rng=0).state_dict()
    np.savez("m.npz", **state, **{"\x1b[31mred": np.zeros(3)})
    assert main(["info", "m.npz"]) == 0
    out, err = capsys.readouterr()
    assert "\\x1b[31mred" in out and "\\x1b[31mred" in err and "\x1b" not in out + err
    np.savez("none.npz", **{"\x1b[31mred": np.zeros(3)})
    assert "\\x1b[31mred" in refused(capsys, "info", "none.npz")
