"""The commands on networks: info, convert, run, check, bench, quantize; and trace, which takes none."""

import json
import os

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import cgru
from cgru.__main__ import main
from support.commands import printed, refused
from support.peers import peer

T, N, H, INPUTS, OUTPUTS = 23, 5, 7, 3, 2
BRIEF = ["--seconds", "0.001"]
pytestmark = pytest.mark.usefixtures("folder")


def deep(**options):
    """Two recurrent layers of different kinds between Linears."""
    layout = {"batch_first": options.get("batch_first", False)}
    return cgru.Sequential([
        cgru.Linear(INPUTS, 4, activation="relu", rng=1), cgru.LSTM(4, 5, rng=2, **layout),
        cgru.GRU(5, H, 2, rng=3, **layout), cgru.Linear(H, OUTPUTS, activation="softmax", rng=4),
    ], **options)  # fmt: skip


def amplifier(**options):
    """A GRU and a Linear with a skip connection, on one feature."""
    return cgru.Sequential([cgru.GRU(1, H, rng=1), cgru.Linear(H, 1, rng=2)], skip=True, **options)


def both_ways(last):
    layers = [cgru.LSTM(INPUTS, 5, rng=1, bidirectional=True), cgru.Linear(10, OUTPUTS, rng=2)]
    return cgru.Sequential(layers, last=last)


def saved(net):
    net.save("m.safetensors")
    return net


def x_of(rng, net, batched=True):
    """An input in a file, and as the network takes it."""
    shape = ((N, T) if net.batch_first else (T, N)) if batched else (T,)
    x = rng.normal(size=(*shape, net.input_size)).astype(np.float32)
    np.save("x.npy", x)
    return x


# ------------------------------------------------------------------------------------------------------- run


@pytest.mark.parametrize("make", [
    deep, lambda: deep(last=True), lambda: deep(batch_first=True), lambda: deep(last=True, batch_first=True),
    lambda: both_ways(True), lambda: both_ways("h_n"), lambda: both_ways(False),
], ids=["deep", "last", "batch first", "last, batch first", "both ways, last", "both ways, h_n", "both ways"])
@pytest.mark.parametrize("piece", [1, 1 << 11, 16 << 20])
@pytest.mark.parametrize("how", ["one row", "rows", "lengths"])
def test_run_is_the_network_itself(rng, make, piece, how):
    """In pieces of time and of rows, with lengths, and the states of all layers."""
    net = saved(make())
    x = x_of(rng, net, how != "one row")
    lengths = np.array([4, T, 0, 9, 1]) if how == "lengths" else None
    more = []
    if lengths is not None:
        np.save("n.npy", lengths)
        more = ["--lengths", "n.npy"]
    y, hx = net(x, lengths=lengths)
    assert main(["run", "m.safetensors", "x.npy", "-o", "y.npz", *more], piece=piece) == 0
    found = dict(np.load("y.npz"))
    assert_array_equal(found.pop("y"), y)
    assert y.shape[-1] == OUTPUTS and np.abs(y).max() > 0.1
    if len(hx) == 1:
        expected = {"h_n": hx[0][0], "c_n": hx[0][1]}
    else:
        expected = {"1.h_n": hx[0][0], "1.c_n": hx[0][1], "2.h_n": hx[1]}
    assert list(found) == list(expected)
    for name, plane in expected.items():
        assert_array_equal(found[name], plane)


def test_run_goes_on_from_the_states_that_it_wrote(rng):
    net = saved(deep())
    x = x_of(rng, net)
    np.save("a.npy", x[:9])
    np.save("b.npy", x[9:])
    assert main(["run", "m.safetensors", "a.npy", "-o", "a.npz"]) == 0
    assert main(["run", "m.safetensors", "b.npy", "-o", "b.npy.npz", "--h0", "a.npz"]) == 0
    assert_array_equal(np.load("b.npy.npz")["y"], net(x)[0][9:])
    states = rng.normal(size=(2, 1, N, 5)).astype(np.float32)
    np.savez("some.npz", **{"1.c_0": states[1]})        # the others are zeros
    assert main(["run", "m.safetensors", "x.npy", "-o", "y.npy", "--h0", "some.npz"]) == 0
    zeros = np.zeros_like(states[0])
    assert_array_equal(np.load("y.npy"), net(x, ((zeros, states[1]), None))[0])


def test_the_state_of_one_recurrent_layer_is_a_single_model_s(rng):
    net = saved(cgru.Sequential([cgru.LSTM(INPUTS, 5, rng=1), cgru.Linear(5, OUTPUTS, rng=2)]))
    x = x_of(rng, net)
    h, c = rng.normal(size=(2, 1, N, 5)).astype(np.float32)
    np.save("h.npy", h)
    np.save("c.npy", c)
    assert main(["run", "m.safetensors", "x.npy", "-o", "y.npy", "--h0", "h.npy", "--c0", "c.npy"], piece=1) == 0
    assert_array_equal(np.load("y.npy"), net(x, ((h, c),))[0])


def test_states_that_do_not_fit(rng, capsys):
    net = saved(deep())
    x_of(rng, net)
    run = ["run", "m.safetensors", "x.npy", "-o", "y.npy"]
    np.save("h.npy", np.zeros((1, N, 5)))
    np.savez("other.npz", h_0=np.zeros((1, N, 5)))
    np.savez("short.npz", **{"2.h_0": np.zeros((1, N, H))})
    assert "with 2 recurrent layers it is an .npz file of 1.h_0, 1.c_0, 2.h_0" in refused(capsys, *run, "--h0", "h.npy")
    assert "expected some of 1.h_0, 1.c_0, 2.h_0" in refused(capsys, *run, "--h0", "other.npz")
    assert "2.h_0 has shape (1, 5, 7), expected (2, 5, 7)" in refused(capsys, *run, "--h0", "short.npz")
    assert "--c0 is for one recurrent layer" in refused(capsys, *run, "--c0", "h.npy")
    saved(cgru.Sequential([cgru.Linear(INPUTS, 4, rng=1), cgru.Linear(4, OUTPUTS, rng=1)]))
    assert "this network keeps no state" in refused(capsys, *run, "--h0", "h.npy")
    assert "this network keeps no state" in refused(capsys, *run, "--c0", "h.npy")


def test_a_network_without_a_state(rng):
    net = saved(cgru.Sequential([cgru.Linear(INPUTS, 4, rng=1), cgru.Linear(4, OUTPUTS, rng=1)]))
    x = x_of(rng, net)
    assert main(["run", "m.safetensors", "x.npy", "-o", "y.npz"], piece=1) == 0
    found = np.load("y.npz")
    assert list(found) == ["y"]
    assert_array_equal(found["y"], net(x)[0])


def test_a_linear_s_file(rng, capsys):
    linear = saved(cgru.Linear(INPUTS, OUTPUTS, rng=1))
    x = rng.normal(size=(T, N, INPUTS)).astype(np.float32)
    np.save("x.npy", x)
    printed(capsys, "run", "m.safetensors", "x.npy", "-o", "y.npy")
    assert_array_equal(np.load("y.npy"), linear(x))
    assert "Linear 3 -> 2" in printed(capsys, "info", "m.safetensors")


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".csv"])
def test_the_last_step_of_a_sequence_is_one_row(rng, suffix):
    net = saved(deep(last=True))
    x = x_of(rng, net, batched=False)
    assert main(["run", "m.safetensors", "x.npy", "-o", f"y{suffix}"]) == 0
    y = np.loadtxt("y.csv", delimiter=",") if suffix == ".csv" else np.load(f"y{suffix}")
    assert_allclose(y["y"] if suffix == ".npz" else np.ravel(y), net(x)[0], rtol=1e-6)


# ------------------------------------------------------------------------------- a flat array, one feature


@pytest.mark.parametrize("make", [amplifier, lambda: cgru.GRU(1, H, rng=1)], ids=["network", "gru"])
def test_a_flat_array_is_one_feature(rng, capsys, make):
    net = saved(make())
    x = rng.normal(size=T).astype(np.float32)
    np.save("x.npy", x)
    np.savez("x.npz", x)
    y, _ = net(x[:, None])
    for name in ("x.npy", "x.npz"):
        note = rf"cgru: note: {name} is flat, and is read as \(23, 1\): one feature"
        printed(capsys, "run", "m.safetensors", name, "-o", "y.npy", err=note)
        assert_array_equal(np.load("y.npy"), y)
    assert main(["run", "m.safetensors", "x.npy", "-o", "y.npy"], piece=1) == 0
    assert_array_equal(np.load("y.npy"), y)
    printed(capsys, "check", "m.safetensors", "x.npy", "y.npy", err=".*flat.*")
    out = printed(capsys, "quantize", "m.safetensors", "o.safetensors", "--weights", "bfloat16", "--data", "x.npy",
                  *BRIEF, err=".*flat.*")  # fmt: skip
    assert "on x.npy (23, 1)" in out


def test_a_flat_y_is_one_feature_too(rng, capsys):
    net = saved(amplifier())
    x = rng.normal(size=T).astype(np.float32)
    np.save("x.npy", x)
    np.save("y.npy", net(x[:, None])[0][:, 0])
    assert main(["check", "m.safetensors", "x.npy", "y.npy"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("The model matches") and err.count("is flat") == 2


def test_a_flat_array_of_another_model_is_refused(rng, capsys):
    saved(deep())
    np.save("x.npy", np.zeros(T))
    assert "x.npy has shape (23,), this model expects (T, I)" in refused(
        capsys, "run", "m.safetensors", "x.npy", "-o", "y.npy"
    )


# ------------------------------------------------------------------------------------------------ info, convert


def test_info_draws_the_chain(capsys):
    net = saved(amplifier())
    text = printed(capsys, "info", "m.safetensors")
    head, *lines = text.splitlines()
    assert head == f"file          m.safetensors, cgru format 4, {os.path.getsize('m.safetensors'):,} bytes"
    assert lines == net.summary().splitlines()
    products = 3 * H * (1 + H)
    assert f"{net.layers[0].num_parameters:,} parameters, {products:,} multiply-adds" in text
    assert f"{products + H:,} multiply-adds for each" in text
    assert "x[..., :1] added" in text
    assert "\nchain         x 1 -> GRU 7 -> Linear 1 -> + x[..., :1] -> y\n" in text
    saved(both_ways("h_n"))
    assert "x 3 -> LSTM 10 -> final state -> Linear 2 -> y" in printed(capsys, "info", "m.safetensors")
    saved(deep(last=True))
    chain = "x 3 -> Linear 4 relu -> LSTM 5 -> GRU 7 -> last step -> Linear 2 softmax -> y"
    assert chain in printed(capsys, "info", "m.safetensors")


STATE = {"gru.": lambda: cgru.GRU(INPUTS, H, rng=1), "head.": lambda: cgru.Linear(H, OUTPUTS, rng=2)}


def state_dict(path="m.npz"):
    models = {prefix: make() for prefix, make in STATE.items()}
    np.savez(path, **{prefix + name: a for prefix, model in models.items() for name, a in model.state_dict().items()})
    return list(models.values())


def test_a_state_dict_in_an_order(rng, capsys):
    """Without it the single layer, and a warning that names the option."""
    gru, head = state_dict()
    x = rng.normal(size=(T, N, INPUTS)).astype(np.float32)
    np.save("x.npy", x)
    warning = r"cgru: warning: only the GRU is read, .* left out are head\.weight, head\.bias; .* --layers gru,head, .*"
    text = printed(capsys, "info", "m.npz", err=warning)
    assert repr(gru) in text and "left out      head.weight, head.bias" in text
    printed(capsys, "run", "m.npz", "x.npy", "-o", "y.npy", "--layers", "gru,head", "--skip")
    assert_array_equal(np.load("y.npy"), cgru.Sequential([gru, head], skip=True)(x)[0])
    printed(capsys, "convert", "m.npz", "o.safetensors", "--layers", "gru,relu,last,head,softmax")
    net = cgru.load("o.safetensors")
    assert net.last is True and not net.skip and net.layers[-1].activation == "softmax"
    assert_allclose(
        net(x)[0], cgru.Linear.from_state_dict(head.state_dict(), activation="softmax")(np.maximum(gru(x)[0][-1], 0)),
        rtol=0, atol=1e-6,
    )  # fmt: skip
    assert "'hed' in layers" in refused(capsys, "info", "m.npz", "--layers", "gru,hed")
    assert "drop one" in refused(capsys, "info", "m.npz", "--layers", "gru,head", "--name", "gru")
    saved(amplifier())
    assert "--layers a,b is for a state dict of PyTorch; this is a file of cgru" in refused(
        capsys, "info", "m.safetensors", "--layers", "a,b"
    )


def test_info_says_what_else_a_file_holds(capsys):
    """Also where a layer was asked for by its name, or where there are several networks."""
    state_dict()
    text = printed(capsys, "info", "m.npz", "--name", "gru.")
    assert "left out      head.weight, head.bias: the file holds them too, and they are not read" in text
    stored = dict(np.load("m.npz"))
    stored |= {f"other.{name}": a for name, a in cgru.LSTM(2, 4, rng=3).state_dict().items()}
    np.savez("m.npz", **stored)
    text = printed(capsys, "info", "m.npz")
    assert "\nholds         2 recurrent networks\n" in text
    assert text.endswith("\nleft out      head.weight, head.bias: in none of these\n")


@pytest.mark.parametrize("make", [amplifier, deep, lambda: deep(last=True, batch_first=True)])
def test_convert_to_its_own_file(capsys, make):
    net = saved(make())
    out = printed(capsys, "convert", "m.safetensors", "o.safetensors")
    assert f"read m.safetensors (cgru format 4): {net!r}\n" in out
    assert cgru.load("o.safetensors") == net
    printed(capsys, "convert", "m.safetensors", "o.safetensors", "--dtype", "float64")
    assert cgru.load("o.safetensors").dtype == np.float64


def test_convert_to_onnx_and_back(rng, capsys):
    peer("onnx")
    net = saved(deep())
    printed(capsys, "convert", "m.safetensors", "m.onnx")
    printed(capsys, "convert", "m.onnx", "back.safetensors")
    x = x_of(rng, net)
    assert_allclose(cgru.load("back.safetensors")(x)[0], net(x)[0], rtol=0, atol=1e-6)


@pytest.mark.parametrize("make", [amplifier, lambda: cgru.GRU(1, H, rng=1)], ids=["network", "gru"])
def test_convert_to_rtneural_and_back(capsys, make):
    net = saved(make())
    printed(capsys, "convert", "m.safetensors", "m.json")
    with open("m.json", encoding="utf-8") as file:
        types = [layer["type"] for layer in json.load(file)["layers"]]
    assert types == (["gru"] if type(net) is cgru.GRU else ["gru", "dense"])
    printed(capsys, "convert", "m.json", "back.safetensors")
    assert cgru.load("back.safetensors") == net
    assert "--lengths is an input of an ONNX model" in refused(
        capsys, "convert", "m.safetensors", "o.json", "--lengths"
    )
    saved(deep(last=True))
    assert "last=True cannot be written" in refused(capsys, "convert", "m.safetensors", "o.json")


# --------------------------------------------------------------------------------------------------------- check


def recorded(rng, right, wrong, **call):
    """The files of a check: what `right` computes of x, and the model `wrong`."""
    x = x_of(rng, right)
    np.save("y.npy", right(x, **call)[0])
    saved(wrong)
    return x


def with_layers(net, **changes):
    """The same network, its recurrent layers with other options."""
    chain = net.chain
    layers = [
        layer.replace(**{k: v for k, v in changes.items() if k in layer.config.cell.options})
        if layer.config.recurrent else layer for layer in chain.layers
    ]  # fmt: skip
    return cgru.Sequential.from_chain(chain.with_layers(layers))


def with_reset_before(model):
    if hasattr(model, "chain"):
        return with_layers(model, reset_after=False)
    return type(model).from_weights(model.weights.replace(reset_after=False))


@pytest.mark.parametrize("last", [False, True])
def test_check_tries_the_changes_on_all_recurrent_layers(rng, capsys, last):
    right = deep(last=last)
    x = recorded(rng, right, right)
    assert "matches: a largest error of 0," in printed(capsys, "check", "m.safetensors", "x.npy", "y.npy")
    saved(with_layers(right, reset_after=False))
    with pytest.raises(SystemExit) as stop:
        main(["check", "m.safetensors", "x.npy", "y.npy", "--save", "fixed.safetensors"])
    assert stop.value.code == 1
    out = capsys.readouterr().out
    assert "It would match with the reset gate after the recurrent product" in out
    assert ("begins in the last step at row 0" in out) == last and ("begins at step" in out) != last
    assert_array_equal(cgru.load("fixed.safetensors")(x)[0], right(x)[0])


def test_check_finds_the_skip_and_which_last_step(rng, capsys):
    right = cgru.Sequential([cgru.GRU(INPUTS, H, rng=1), cgru.Linear(H, OUTPUTS, rng=2)], skip=True)
    x = recorded(rng, right, cgru.Sequential(right.layers))
    assert cgru.check(cgru.load("m.safetensors"), x, right(x)[0]).changes == ("x added to y, skip=True",)
    report = cgru.check(both_ways(True), x, both_ways("h_n")(x)[0])
    assert report.changes == ("the final state, last='h_n'",) and report.model == both_ways("h_n")


def test_check_of_a_network_with_lengths_and_states(rng, capsys):
    net = saved(deep(batch_first=True))
    x = x_of(rng, net)
    lengths, h = np.array([4, T, 0, 9, 1]), rng.normal(size=(2, N, H)).astype(np.float32)
    np.save("n.npy", lengths)
    np.savez("h.npz", **{"2.h_0": h})
    y = net(x, (None, h), lengths=lengths)[0]
    y[0, 4:] = np.nan       # past its length
    np.save("y.npy", y)
    printed(capsys, "check", "m.safetensors", "x.npy", "y.npy", "--lengths", "n.npy", "--h0", "h.npz")
    assert cgru.check(net.replace(batch_first=False), x, y, (None, h), lengths=lengths).changes == (
        "x read as (N, T, I), batch_first=True",
    )
    with pytest.raises(ValueError, match=r"y_expected has shape .*y at every step"):
        cgru.check(net, x, y[..., :1], lengths=lengths)
    with pytest.raises(ValueError, match=r"expected \(5, 2\): y at the last step"):
        cgru.check(deep(last=True, batch_first=True), x, y)
    with pytest.raises(ValueError, match=r"NaN or infinity.* first at row 3, unit 1"):
        wrong = net(x)[0][:, -1].copy()
        wrong[3, 1] = np.nan
        cgru.check(deep(last=True, batch_first=True), x, wrong)
    with pytest.raises(TypeError, match="RNN or Sequential; got Linear"):
        cgru.check(net.layers[0], x, y)


def single(**options):
    return cgru.GRU(INPUTS, H, rng=1, **options)


@pytest.mark.parametrize("make", [deep, single], ids=["network", "gru"])
def test_check_finds_the_layout_with_a_state(rng, capsys, make):
    """The state is of the right layout's rows."""
    right, h = make(batch_first=True), rng.normal(size=(2, N, H)).astype(np.float32)
    network = hasattr(right, "chain")
    x = x_of(rng, right)
    np.savez("h.npz", **({"2.h_0": h} if network else {"h_0": h[:1]}))
    np.save("y.npy", right(x, (None, h) if network else h[:1])[0])
    saved(right.replace(batch_first=False))
    with pytest.raises(SystemExit):
        main(["check", "m.safetensors", "x.npy", "y.npy", "--h0", "h.npz"])
    assert "would match with x read as (N, T, I)" in capsys.readouterr().out


@pytest.mark.parametrize("make", [deep, lambda: cgru.GRU(INPUTS, H, rng=1)], ids=["network", "gru"])
def test_check_of_quantised_weights_says_what_is_changed(rng, make):
    net = make()
    x = rng.normal(size=(T, N, INPUTS)).astype(np.float32)
    small = net.replace(engine="packed").quantize("bfloat16")
    other = with_reset_before(small.dequantize())
    report = cgru.check(small, x, other(x)[0])
    assert "The changes were tried on the float32 model of the rounded weights." in str(report)
    assert "reset gate before" in report.changes[0] and report.model.weight_dtype == "float32"
    report = cgru.check(net, x, with_reset_before(net)(x)[0])
    assert "reset gate before" in report.changes[0] and "were tried" not in str(report)


# ---------------------------------------------------------------------------------------------- bench, quantize


@pytest.mark.parametrize("make", [amplifier, deep, lambda: deep(last=True, batch_first=True), lambda: both_ways("h_n")])
@pytest.mark.parametrize("rows", [1, 4])
def test_bench(capsys, make, rows):
    net = saved(make())
    out = printed(capsys, "bench", "--model", "m.safetensors", "--batch-size", rows, "--steps", "3", *BRIEF)
    head, step, sequence = out.splitlines()
    assert head == f"{net!r}, batch size {rows}"
    one_way = net.last != "h_n"
    assert step.startswith("step: median" if one_way else "step: none, a bidirectional model needs")
    assert sequence.startswith("3 steps: median") and "GFLOP/s" in sequence
    if one_way:
        out = printed(capsys, "bench", "--model", "m.safetensors", "--latency", "--batch-size", rows, *BRIEF)
        assert f"{sum(v.nbytes for k, v in net.state_dict().items() if 'weight' in k):,} bytes of weights" in out


def test_bench_quantises(capsys):
    saved(deep())
    out = printed(capsys, "bench", "--model", "m.safetensors", "--weights", "int8", "--steps", "3", *BRIEF)
    assert "weight_dtype='int8'" in out
    for arguments in ([], ["--model", "m.safetensors"]):
        assert "--weights int8 rounds float32 weights, and these are float64: give --dtype float32" in refused(
            capsys, "bench", *arguments, "--weights", "int8", "--dtype", "float64", *BRIEF
        )


def test_quantize_some_layers(rng, capsys):
    net = saved(deep())
    x = x_of(rng, net)
    for given, expected in (
        ([], ["int8"] * 4), (["--layers", "1,2"], ["float32", "int8", "int8", "float32"]),
        (["--layers=-1"], ["float32"] * 3 + ["int8"]),
    ):  # fmt: skip
        out = printed(
            capsys, "quantize", "m.safetensors", "o.safetensors", "--weights", "int8", "--data", "x.npy", *given, *BRIEF
        )
        small = cgru.load("o.safetensors")
        assert list(small.weight_dtypes) == expected
        assert f"wrote o.safetensors: {small!r}" in out
        largest = np.abs(small(x)[0].astype(np.float64) - net(x)[0]).max()
        assert f"largest error {largest:.2e}" in out and 0 < largest < 0.1
    assert "layers must be from -4 to 3" in refused(
        capsys, "quantize", "m.safetensors", "p.safetensors", "--weights", "int8", "--layers", "4", *BRIEF
    )


def test_quantize_orders_a_state_dict_too(capsys):
    head = state_dict()[1]
    quantize = ["quantize", "m.npz", "o.safetensors", "--weights", "int8", *BRIEF]
    printed(capsys, *quantize, "--layers", "gru,head", "--layers", "0")
    net = cgru.load("o.safetensors")
    assert net.weight_dtypes == ("int8", "float32")
    assert_array_equal(net.state_dict()["1.weight"], head.state_dict()["weight"])
    assert "given twice in the same way" in refused(capsys, *quantize, "--layers", "0", "--layers", "1")


# --------------------------------------------------------------------------------------------------------- trace


def test_trace_takes_one_recurrent_layer(rng, capsys):
    net = saved(cgru.Sequential([cgru.GRU(INPUTS, H, rng=1), cgru.Linear(H, OUTPUTS, rng=2)]))
    x = x_of(rng, net)
    warning = r"cgru: warning: only the GRU is read, .* left out are Linear \(layer 1\); .*'0'.*"
    printed(capsys, "trace", "m.safetensors", "x.npy", "-o", "t.npz", err=warning)
    assert_allclose(np.load("t.npz")["h"], net.layers[0](x)[0][:, 0], rtol=0, atol=1e-6)
    saved(deep())
    err = refused(capsys, "trace", "m.safetensors", "x.npy")
    assert "there are several recurrent layers: '1', '2'; choose one with --name" in err
    np.save("x.npy", rng.normal(size=(T, 5)).astype(np.float32))
    assert repr(deep().layers[2]) in printed(capsys, "trace", "m.safetensors", "x.npy", "--name", "2")
    assert "--layers" in refused(capsys, "trace", "m.safetensors", "x.npy", "--layers", "a,b")


def test_one_layer_of_a_file_of_cgru(capsys):
    net = saved(deep())
    text = printed(capsys, "info", "m.safetensors", "--name", "1")
    assert repr(net.layers[1]) in text and "left out      Linear (layer 0), GRU (layer 2), Linear (layer 3)" in text
    assert "--name 0: there is no such recurrent layer; there are: '1', '2'" in refused(
        capsys, "info", "m.safetensors", "--name", "0"
    )
