"""The commands on LSTM and RNN files: run, trace, info, convert, check."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import cgru
from cgru.__main__ import main
from support.models import pack, planes
from support.peers import peer

T, N, H, INPUTS = 23, 5, 7, 3
pytestmark = pytest.mark.usefixtures("folder")
kinds = pytest.mark.parametrize("network", [cgru.LSTM, cgru.RNN], ids=lambda network: network.__name__)


def problem(rng, network, **options):
    """A saved model, x, and an initial state, in files with their options."""
    model = network(INPUTS, H, rng=1, **options)
    model.save("m.safetensors")
    x = rng.normal(size=((N, T) if model.batch_first else (T, N)) + (INPUTS,)).astype(np.float32)
    np.save("x.npy", x)
    cells = model.num_layers * (1 + model.bidirectional)
    hx = pack([rng.normal(size=(cells, N, H)).astype(np.float32) for _ in model.config.cell.states])
    given = []
    for plane, array in zip(model.config.cell.states, planes(hx), strict=True):
        np.save(f"{plane}0.npy", array)
        given += [f"--{plane}0", f"{plane}0.npy"]
    return model, x, hx, given


def refused(capsys, *arguments):
    capsys.readouterr()
    assert main(list(arguments)) == 2
    out, err = capsys.readouterr()
    assert not out and err.startswith("cgru: error: ") and err.count("\n") == 1
    return err


OPTIONS = [
    {}, {"num_layers": 2, "batch_first": True}, {"bidirectional": True, "batch_first": True}, {"reverse": True},
    {"clip": 0.5, "batch_first": True},
]  # fmt: skip


@kinds
@pytest.mark.parametrize("options", OPTIONS, ids=repr)
@pytest.mark.parametrize("piece", [1, 1 << 10, 16 << 20])
@pytest.mark.parametrize("with_hx", [False, True])
def test_run_carries_the_state_through_pieces(rng, network, options, piece, with_hx):
    model, x, hx, given = problem(rng, network, **options)
    assert main(["run", "m.safetensors", "x.npy", "-o", "y.npz", *(given if with_hx else [])], piece=piece) == 0
    found = dict(np.load("y.npz"))
    y, final = model(x, hx if with_hx else None)
    names = [f"{plane}_n" for plane in model.config.cell.states]
    assert list(found) == ["y", *names]
    assert_array_equal(found["y"], y)
    for name, plane in zip(names, planes(final), strict=True):
        assert_array_equal(found[name], plane)


def test_one_plane_of_an_lstm_s_state(rng):
    model, x, (_, c_0), _ = problem(rng, cgru.LSTM)
    assert main(["run", "m.safetensors", "x.npy", "-o", "y.npy", "--c0", "c0.npy"], piece=1 << 10) == 0
    assert_array_equal(np.load("y.npy"), model(x, (None, c_0))[0])


def test_states_that_do_not_fit(rng, capsys):
    problem(rng, cgru.LSTM)
    np.save("short.npy", np.zeros((1, N, H + 1)))
    for command in (["run", "-o", "y.npy"], ["trace"]):
        err = refused(capsys, command[0], "m.safetensors", "x.npy", *command[1:], "--c0", "short.npy")
        assert "--c0 short.npy has shape (1, 5, 8), expected (1, 5, 7)" in err
    for network in (cgru.GRU, cgru.RNN):
        problem(rng, network)
        for command in (["run", "x.npy", "-o", "y.npy"], ["trace", "x.npy"], ["check", "x.npy", "x.npy"]):
            err = refused(capsys, command[0], "m.safetensors", *command[1:], "--c0", "h0.npy")
            assert f"--c0 is for an LSTM; the state of a {network.__name__} is h alone" in err
    problem(rng, cgru.LSTM)
    assert "is the same file as --c0" in refused(
        capsys, "run", "m.safetensors", "x.npy", "--c0", "c0.npy", "-o", "c0.npy"
    )


@kinds
@pytest.mark.parametrize("options", [{"num_layers": 2, "bidirectional": True}, {"batch_first": True}], ids=repr)
def test_trace(rng, network, options, capsys):
    model, x, hx, given = problem(rng, network, **options)
    _, _, gates = model.trace(x, hx)
    y, _ = model(x, hx)
    D = 1 + model.bidirectional
    letters = model.config.cell.traced + ("" if network is cgru.RNN else "h")
    for layer in range(model.num_layers):
        for backward in range(D):
            more = ["--cell-layer", str(layer), *["--backward"][:backward]]
            more += ["--row", "2", "--start", "2", "--steps", "7"]
            assert main(["trace", "m.safetensors", "x.npy", "-o", "t.npz", *given, *more]) == 0
            found = np.load("t.npz")
            assert "".join(found) == letters
            for letter, gate in zip(model.config.cell.traced, gates, strict=True):
                gate = gate[layer * D + backward]
                gate = gate[2] if model.batch_first else gate[:, 2]
                assert_allclose(found[letter], gate[2:9], rtol=0, atol=1e-6)
            if layer == model.num_layers - 1:
                last = (y[2] if model.batch_first else y[:, 2])[2:9, backward * H :][:, :H]
                assert_allclose(found["h"], last, rtol=0, atol=1e-6)
    out = capsys.readouterr().out
    assert ("above 0.95" in out) == (network is cgru.LSTM)
    assert [line[0] for line in out.splitlines()[-len(letters) - 1 : -1]] == list(letters)


@kinds
def test_trace_draws(rng, network):
    pytest.importorskip("matplotlib")
    problem(rng, network)
    assert main(["trace", "m.safetensors", "x.npy", "--plot", "t.png"]) == 0
    with open("t.png", "rb") as file:
        assert file.read(4) == b"\x89PNG"


def test_options_of_a_gru(rng, capsys):
    problem(rng, cgru.LSTM)
    err = refused(capsys, "trace", "m.safetensors", "x.npy", "--z-is", "new")
    assert "--z-is new is for a GRU; m.safetensors holds LSTM weights" in err
    assert "reset" in refused(capsys, "info", "m.safetensors", "--reset", "before")


@kinds
def test_info(rng, network, capsys):
    more = {"nonlinearity": ("elu", 0.5)} if network is cgru.RNN else {"activations": ("hard_sigmoid", "relu")}
    model, *_ = problem(rng, network, clip=3, reverse=True, **more)
    assert main(["info", "m.safetensors"]) == 0
    text = capsys.readouterr().out
    assert repr(model) in text and "clamped to +-3" in text and "from the end to the start" in text
    assert ("stacked i, f, g, o (PyTorch" in text) == (network is cgru.LSTM)
    assert ("elu(0.5, 0)" if network is cgru.RNN else "hard_sigmoid for i, f and o, relu for g, relu for c") in text


@kinds
def test_convert(rng, network, capsys):
    peer("onnx")
    model, x, hx, _ = problem(rng, network, num_layers=2, bidirectional=True, clip=2)
    assert main(["convert", "m.safetensors", "m.onnx"]) == 0
    assert main(["convert", "m.onnx", "again.safetensors"]) == 0
    again = cgru.load("again.safetensors")
    assert type(again) is network
    assert_array_equal(again(x, hx)[0], model(x, hx)[0])


@kinds
def test_check(rng, network, capsys):
    model, x, hx, given = problem(rng, network)
    np.save("y.npy", model(x, hx)[0])
    assert main(["check", "m.safetensors", "x.npy", "y.npy", *given]) == 0
    with pytest.raises(SystemExit):
        main(["check", "m.safetensors", "x.npy", "y.npy"])
    model.replace(batch_first=False).save("m.safetensors")
    np.save("y.npy", model(x[::-1], hx)[0][::-1])
    with pytest.raises(SystemExit):
        main(["check", "m.safetensors", "x.npy", "y.npy", *given, "--save", "fixed.safetensors"])
    assert "read backwards, reverse=True" in capsys.readouterr().out
    assert cgru.load("fixed.safetensors").reverse
