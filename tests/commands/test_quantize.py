"""``cgru quantize``, and the other commands on what it writes."""

import os
import re

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import cgru
from cgru.__main__ import main
from cgru.commands import _latency
from support.commands import printed, refused
from support.models import planes
from support.peers import peer

T, N, H, INPUTS = 9, 4, 7, 3
TYPES = ("bfloat16", "int8")
BRIEF = ["--seconds", "0.001"]
pytestmark = pytest.mark.usefixtures("folder")
types = pytest.mark.parametrize("weights", TYPES)


def quantize(capsys, *arguments):
    """What ``cgru quantize m.safetensors o.safetensors`` prints."""
    return printed(capsys, "quantize", "m.safetensors", "o.safetensors", *BRIEF, *arguments)


def saved(network="GRU", **options):
    """A float32 model that was saved as m.safetensors."""
    model = getattr(cgru, network)(INPUTS, H, rng=1, engine="packed", **options)
    model.save("m.safetensors")
    return model


@types
@pytest.mark.parametrize("network", ["GRU", "LSTM", "RNN"])
@pytest.mark.parametrize("options", [
    {}, {"num_layers": 2, "batch_first": True}, {"bidirectional": True, "batch_first": True},
    {"reverse": True},
], ids=str)  # fmt: skip
def test_it_writes_what_quantize_gives(capsys, network, options, weights):
    model = saved(network, **options)
    text = quantize(capsys, "--weights", weights)
    small = cgru.load("o.safetensors")
    assert small == model.quantize(weights) and small.batch_first == model.batch_first
    before, after = os.path.getsize("m.safetensors"), os.path.getsize("o.safetensors")
    assert f"read m.safetensors (cgru format 2): {model!r}\nwrote o.safetensors: {small!r}\n" in text
    assert f"{before:,} bytes before, {after:,} after: {after / before:.2f} of it" in text
    assert f"{model.nbytes:,} bytes before, {small.nbytes:,} after" in text
    name = "100 steps" if set(options) & {"bidirectional", "reverse"} else "a step"
    assert re.search(rf"\n{name} +[\d.]+ [a-z]+ before, [\d.]+ [a-z]+ after: [\d.]+ times as fast", text)
    assert sorted(os.listdir()) == ["m.safetensors", "o.safetensors"]


def test_layers(capsys):
    model = saved(num_layers=3)
    for given, expected in (
        (["--layers", "0,2"], ("int8", "float32", "int8")),
        (["--layers=-1,1"], ("float32", "int8", "int8")),
        (["--layers", "1"], ("float32", "int8", "float32")),
    ):
        quantize(capsys, "--weights", "int8", *given)
        assert cgru.load("o.safetensors").weight_dtypes == expected
    quantize(capsys, "--weights", "int8", "--layers", "0")
    os.replace("o.safetensors", "m.safetensors")
    quantize(capsys, "--weights", "bfloat16", "--layers", "1")
    assert cgru.load("o.safetensors") == model.quantize("int8", layers=[0]).quantize("bfloat16", layers=[1])


@types
@pytest.mark.parametrize("suffix", [".npy", ".npz", ".csv"])
@pytest.mark.parametrize("batch_first", [False, True])
def test_data_say_how_far_off_it_is(capsys, rng, weights, suffix, batch_first):
    model = saved(num_layers=2, batch_first=batch_first)
    shape = (T, INPUTS) if suffix == ".csv" else (N, T, INPUTS) if batch_first else (T, N, INPUTS)
    x = (3 * rng.normal(size=shape)).astype(np.float32)
    if suffix == ".csv":
        np.savetxt("x.csv", x, "%.9g", ",")
    else:
        (np.save if suffix == ".npy" else np.savez)("x" + suffix, x)
    text = quantize(capsys, "--weights", weights, "--data", "x" + suffix)
    y, off = model(x)[0], model.quantize(weights)(x)[0].astype(np.float64) - model(x)[0]
    assert 0 < np.abs(off).max() < 0.1
    assert f"largest error {np.abs(off).max():.2e}, RMS {np.sqrt(np.mean(off**2)):.2e}" in text
    assert f"of values up to {np.abs(y).max():.3g}, on x{suffix} {shape}" in text


def test_without_data_there_is_no_error(capsys):
    saved()
    assert "error" not in quantize(capsys, "--weights", "int8")


def test_any_file_that_info_reads(capsys):
    torch = peer("torch")
    torch.save(torch.nn.LSTM(INPUTS, H, 2).state_dict(), "m.pt")
    text = printed(capsys, "quantize", "m.pt", "o.safetensors", "--weights", "int8", *BRIEF)
    assert text.startswith("read m.pt (PyTorch): LSTM(3, 7")
    assert cgru.load("o.safetensors") == cgru.load("m.pt").replace(engine="packed").quantize("int8")
    gru = cgru.GRU(INPUTS, H, rng=1, engine="packed")
    np.savez("two.npz", **{f"{name}.{key}": value for name in "ab" for key, value in gru.state_dict().items()})
    assert "'a.', 'b.'" in refused(capsys, "quantize", "two.npz", "p.safetensors", "--weights", "int8")
    printed(capsys, "quantize", "two.npz", "p.safetensors", "--weights", "int8", "--name", "b.", *BRIEF)
    assert cgru.load("p.safetensors") == gru.quantize("int8")


def test_float64_is_rounded_to_float32_first_where_that_is_asked_for(capsys):
    model = cgru.GRU(INPUTS, H, rng=1, dtype="float64")
    model.save("m.safetensors")
    error = refused(capsys, "quantize", "m.safetensors", "o.safetensors", "--weights", "int8")
    assert "m.safetensors" in error and "float64" in error and "--dtype float32" in error
    quantize(capsys, "--weights", "int8", "--dtype", "float32")
    assert cgru.load("o.safetensors") == model.astype("float32", engine="packed").quantize("int8")


@types
def test_what_it_refuses(capsys, weights):
    model = saved()
    np.save("x.npy", np.ones((T, N, INPUTS), np.float32))
    command = ["quantize", "m.safetensors", "o.safetensors", "--weights", weights]
    assert "--weights" in refused(capsys, "quantize", "m.safetensors", "o.safetensors")
    assert "invalid choice: 'int4'" in refused(capsys, *command[:-1], "int4")
    assert "ends with .safetensors" in refused(capsys, "quantize", "m.safetensors", "o.onnx", "--weights", weights)
    assert "is the same file as" in refused(capsys, "quantize", "m.safetensors", "m.safetensors", "--weights", weights)
    os.symlink("m.safetensors", "link.safetensors")
    assert "is the same file as" in refused(
        capsys, "quantize", "m.safetensors", "link.safetensors", "--weights", weights
    )
    assert "No such file" in refused(capsys, "quantize", "n.safetensors", "o.safetensors", "--weights", weights)
    assert "no folder none" in refused(capsys, "quantize", "m.safetensors", "none/o.safetensors", "--weights", weights)
    for given in ("1", "-2", "0,5"):
        assert "layers must be from -1 to 0" in refused(capsys, *command, f"--layers={given}")
    for given in ("", "0,,1"):
        assert "list of layers" in refused(capsys, *command, f"--layers={given}")
    for given in ("a", "0.5", "0;1"):       # names, which order a state dict
        assert f"--layers {given} is for a state dict" in refused(capsys, *command, f"--layers={given}")
    model.quantize(weights).save("m.safetensors")
    assert f"layer 0 is {weights} already" in refused(capsys, *command)


def test_data_that_do_not_fit(capsys):
    saved()
    command = ["quantize", "m.safetensors", "o.safetensors", "--weights", "int8", "--data"]
    assert "No such file" in refused(capsys, *command, "x.npy")
    assert "expected a .npy, .npz or .csv file" in refused(capsys, *command, "m.safetensors")
    for shape in ((T, N, INPUTS + 1), (INPUTS,), (2, T, N, INPUTS), (0, N, INPUTS), (T, 0, INPUTS)):
        np.save("x.npy", np.ones(shape, np.float32))
        error = refused(capsys, *command, "x.npy")
        assert f"--data x.npy has shape {shape}" in error and "I=3" in error
    for value in (np.nan, np.inf, 1e300):
        x = np.ones((T, N, INPUTS))
        x[2, 1, 0] = value
        np.save("x.npy", x)
        assert "x.npy holds" in refused(capsys, *command, "x.npy")
    np.save("x.npy", np.array(["a"]))
    assert "x.npy" in refused(capsys, *command, "x.npy")
    np.savez("x.npz", a=np.ones((T, INPUTS)), b=np.ones((T, N, INPUTS)))
    assert "x.npz holds 2 arrays: a, b; choose one with --key" in refused(capsys, *command, "x.npz")
    assert "no array 'c'" in refused(capsys, *command, "x.npz", "--key", "c")
    assert f"on x.npz {T, N, INPUTS}" in printed(capsys, *command, "x.npz", "--key", "b", *BRIEF)
    assert "add --data" in refused(capsys, *command[:-1], "--key", "b")


@pytest.mark.filterwarnings("ignore:NaN or infinity")
def test_weights_that_are_not_finite(capsys):
    state = cgru.GRU(INPUTS, H, rng=1).state_dict()
    state["weight_hh_l0"][3, 2] = np.inf
    cgru.GRU.from_state_dict(state).save("m.safetensors")
    assert main(["quantize", "m.safetensors", "o.safetensors", "--weights", "int8"]) == 2
    out, err = capsys.readouterr()
    assert not out and "cgru: error: weight_hh_l0 holds NaN or infinity" in err
    assert os.listdir() == ["m.safetensors"]


# ----------------------------------------------------------------- the other commands on a quantised file


def quantised(network="GRU", weights="int8", **options):
    """A quantised model that was saved as q.safetensors."""
    model = getattr(cgru, network)(INPUTS, H, rng=1, engine="packed", **options).quantize(weights)
    model.save("q.safetensors")
    return model


@types
def test_info_says_the_type(capsys, weights):
    model = quantised(weights=weights, num_layers=2)
    text = printed(capsys, "info", "q.safetensors")
    assert f"q.safetensors, cgru format 3, {os.path.getsize('q.safetensors'):,} bytes" in text
    assert f"{model.num_parameters:,} numbers of {weights}" in text and f"{model.nbytes:,} bytes" in text
    assert f"weight_dtype={weights!r}" in text
    assert f"engine        packed, {model.isa}" in text


def test_info_says_the_type_of_each_layer(capsys):
    model = saved(num_layers=3).quantize("int8", layers=[0]).quantize("bfloat16", layers=[2])
    model.save("q.safetensors")
    text = printed(capsys, "info", "q.safetensors")
    assert "int8 in layer 0, float32 in layer 1, bfloat16 in layer 2" in text and "weight_dtype='mixed'" in text


@pytest.mark.parametrize("options, words", [
    ({}, "of int8 and, in biases, float32, "),
    ({"bias": False}, "of int8, "),
    ({"initial_state": np.ones((1, H))}, "of int8 and, in biases and the initial state, float32, "),
], ids=["biases", "none", "state"])  # fmt: skip
def test_info_says_what_else_there_is(capsys, options, words):
    quantised(**options)
    assert words in printed(capsys, "info", "q.safetensors")


@types
@pytest.mark.parametrize("network", ["GRU", "LSTM", "RNN"])
@pytest.mark.parametrize("piece", [1, 16 << 20])
def test_run(rng, weights, network, piece):
    model = quantised(network, weights, num_layers=2)
    x = rng.normal(size=(T, N, INPUTS)).astype(np.float32)
    np.save("x.npy", x)
    assert main(["run", "q.safetensors", "x.npy", "-o", "y.npz"], piece=piece) == 0
    found, (y, final) = dict(np.load("y.npz")), model(x)
    assert_array_equal(found["y"], y)
    assert_array_equal(found["h_n"], planes(final)[0])


@types
@pytest.mark.parametrize("network", ["GRU", "LSTM", "RNN"])
def test_trace(capsys, rng, weights, network):
    model = quantised(network, weights)
    x = rng.normal(size=(T, N, INPUTS)).astype(np.float32)
    np.save("x.npy", x)
    assert repr(model) in printed(capsys, "trace", "q.safetensors", "x.npy", "--row", "2", "-o", "t.npz")
    assert_array_equal(np.load("t.npz")["h"], model(x)[0][:, 2])


@types
def test_check(capsys, rng, weights):
    model = quantised(weights=weights)
    x = rng.normal(size=(T, N, INPUTS)).astype(np.float32)
    np.save("x.npy", x)
    np.save("y.npy", model(x)[0])
    printed(capsys, "check", "q.safetensors", "x.npy", "y.npy")


@types
def test_bench(capsys, weights):
    model = quantised(weights=weights, num_layers=2)
    text = printed(capsys, "bench", "--model", "q.safetensors", "--seconds", "0.01", "--steps", "3")
    assert text.startswith(f"{model!r}, batch size 1\nstep: median ") and f"weight_dtype={weights!r}" in text
    text = printed(capsys, "bench", "--model", "q.safetensors", "--seconds", "0.01", "--latency")
    matrices = sum(value.nbytes for name, value in model.weights.stored.items() if name.startswith("weight"))
    assert f"{matrices:,} bytes of weights" in text


def test_the_limit_counts_the_bytes_of_each_layer():
    model = cgru.GRU(INPUTS, H, 3, rng=1, engine="packed")
    mixed = model.quantize("int8", layers=[0]).quantize("bfloat16", layers=[1])
    sizes = [21 * (INPUTS + H) + 2 * 4 * 21, 2 * 21 * 2 * H, 4 * 21 * 2 * H]
    assert _latency.limit(mixed, 2).nbytes == sum(sizes)
    assert _latency.limit(mixed, 2).flops == _latency.limit(model, 2).flops == 2 * 2 * 21 * (INPUTS + 5 * H)


@types
def test_convert_to_safetensors_keeps_the_form(capsys, weights):
    model = quantised(weights=weights)
    printed(capsys, "convert", "q.safetensors", "o.safetensors", "--dtype", "float32")
    assert cgru.load("o.safetensors") == model
    error = refused(capsys, "convert", "q.safetensors", "p.safetensors", "--dtype", "float64")
    assert "float32" in error and "dequantize" in error
    assert "blas" in refused(capsys, "convert", "q.safetensors", "p.safetensors", "--engine", "blas")


@types
def test_convert_to_onnx_writes_the_float32_numbers(capsys, weights):
    peer("onnx")
    model = quantised(weights=weights, num_layers=2)
    assert main(["convert", "q.safetensors", "m.onnx"]) == 0
    out, err = capsys.readouterr()
    assert "wrote m.onnx" in out
    if weights == "int8":
        assert err.startswith("cgru: note: m.onnx ") and "activations" in err and err.count("\n") == 1
    else:
        assert not err
    assert cgru.load("m.onnx").state_dict().keys() == model.state_dict().keys()
    for name, value in cgru.load("m.onnx").state_dict().items():
        assert_array_equal(value, model.state_dict()[name])


@types
def test_a_damaged_file_is_one_line(capsys, weights):
    quantised(weights=weights)
    os.truncate("q.safetensors", os.path.getsize("q.safetensors") - 3)
    for command in (["info"], ["bench", "--model"], ["convert"], ["quantize"]):
        rest = {"convert": ["o.safetensors"], "quantize": ["o.safetensors", "--weights", "int8"]}.get(command[0], [])
        assert "q.safetensors is not a complete safetensors file" in refused(capsys, *command, "q.safetensors", *rest)
