"""Files that hold several networks: listed by ``cgru info``, and chosen with this command line's option."""

import numpy as np
import pytest

import cgru
from cgru.__main__ import main

pytestmark = pytest.mark.usefixtures("folder")


@pytest.fixture
def models(rng):
    """Two models in one file, by prefix."""
    pair = {"encoder.": cgru.GRU(3, 4, rng=1), "decoder.": cgru.GRU(5, 6, 2, rng=2)}
    np.savez("two.npz", **{prefix + name: a for prefix, gru in pair.items() for name, a in gru.state_dict().items()})
    return pair


def test_info_lists_them(models, capsys):
    assert main(["info", "two.npz"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("file          two.npz, PyTorch state dict, ") and "\nholds         2 GRUs\n" in out
    for prefix, gru in models.items():
        assert f"\n--name {prefix}\nmodel         {gru!r}\n" in out


def test_info_of_one_of_them(models, capsys):
    assert main(["info", "two.npz", "--name", "decoder."]) == 0
    out = capsys.readouterr().out
    assert repr(models["decoder."]) in out and repr(models["encoder."]) not in out
    assert "\nleft out      encoder.weight_ih_l0, encoder.weight_hh_l0, encoder.bias_ih_l0, encoder.bias_hh_l0: " in out


@pytest.mark.parametrize("command", ["run {} x.npy -o y.npy", "convert {} m.safetensors", "bench --model {}"])
def test_messages_have_the_option_of_the_command_line(models, command, capsys):
    np.save("x.npy", np.zeros((2, 3), np.float32))
    assert main(command.format("two.npz").split()) == 2
    err = capsys.readouterr().err
    assert "there are several GRUs: " in err and "choose one with --name" in err and "prefix=" not in err
    assert main([*command.format("two.npz").split(), "--name", "encodr"]) == 2
    err = capsys.readouterr().err
    assert "--name encodr: there is no such" in err and "prefix=" not in err


def test_info_says_a_warning_once(models, capsys):
    """Not once for each network."""
    stored = dict(np.load("two.npz"))
    for prefix in models:
        stored[f"{prefix}weight_hh_l0"][0, 0] = np.nan
    np.savez("two.npz", **stored)
    assert main(["info", "two.npz"]) == 0
    out, err = capsys.readouterr()
    assert err == "cgru: warning: NaN or infinity in weight_hh_l0\n" and out.count("--name") == 2


@pytest.mark.parametrize("command", [
    "info m.npz", "convert m.npz m.safetensors", "run m.npz x.npy -o y.npy", "bench --model m.npz --seconds 0.001",
    "bench --model m.npz --seconds 0.001 --latency",
])  # fmt: skip
def test_what_is_left_out_is_one_line(command, capsys):
    """On every command alike."""
    head = {"head.weight": np.ones((2, 4), np.float32), "head.bias": np.ones(2, np.float32)}
    np.savez("m.npz", **{f"gru.{name}": array for name, array in cgru.GRU(3, 4, rng=1).state_dict().items()}, **head)
    np.save("x.npy", np.zeros((2, 3), np.float32))
    assert main(command.split()) == 0
    err = capsys.readouterr().err
    assert err.startswith("cgru: warning: only the GRU is read") and err.count("\n") == 1
    assert "left out are head.weight, head.bias" in err
