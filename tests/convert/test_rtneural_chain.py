"""Whole networks from RTNeural's JSON: against the oracle, PyTorch, and what RTNeural itself computed."""

import json
from pathlib import Path

import numpy as np
import pytest

import cgru
from cgru.convert.chains import NotAChain
from cgru.convert.rtneural_chain import chain_from_rtneural
from support.peers import assert_same, single
from support.rtneural_models import batchnorm, dense, entry, network, prelu, random_network, recurrent

TOLERANCE = 1e-5
RECORDED = json.loads((Path(__file__).parent / "data" / "rtneural.json").read_text())


def read(source, **options):
    return cgru.Sequential.from_rtneural(source, **options)


def inputs(rng, features):
    return single(rng.normal(size=(11, 3, features)))


@pytest.mark.parametrize("name", RECORDED)
def test_what_rtneural_computed(name):
    case = RECORDED[name]
    x, y = single(case["x"]), np.array(case["y"])
    net = read(case["model"])
    assert len(x) == 40 and np.abs(np.diff(y, axis=0)).max() > 1e-3
    assert_same(net(x)[0], y, TOLERANCE)
    assert_same(net.stream().run(x), y, TOLERANCE)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_random_networks(rng, count, tmp_path):
    for _ in range(8):
        size = int(rng.integers(2, 5))
        model, run = random_network(rng, count, size)
        path = tmp_path / "model.json"
        path.write_text(json.dumps(model))
        x = inputs(rng, size)
        for source in (path, str(path), model):
            assert_same(read(source)(x)[0], run(x), TOLERANCE)
        assert read(path, dtype="float64").dtype == np.float64
        net = read(path, batch_first=True)
        assert net.batch_first
        assert_same(net(x.swapaxes(0, 1))[0].swapaxes(0, 1), run(x), TOLERANCE)


def test_activations_and_normalisers_join_their_neighbours(rng):
    model, run = network([3, batchnorm(rng, 3, True), dense(rng, 3, 5), batchnorm(rng, 5, False), prelu(5, 0.5)])
    net, x = read(model), inputs(rng, 3)
    assert len(net.layers) == 1 and net.layers[0].activation == ("leaky_relu", 0.5)
    assert_same(net(x)[0], run(x), TOLERANCE)


def test_a_prelu_with_one_slope(rng):
    """Keras shares it with shared_axes=[1, 2]; RTNeural then takes the one for all."""
    first = dense(rng, 2, 4)
    x = inputs(rng, 2)
    for slopes in ([[-0.5]], [[-0.5] * 4]):
        model, run = network([2, first, prelu(4, -0.5, written=slopes)])
        assert_same(read(model)(x)[0], run(x), TOLERANCE)
    model, _ = network([2, first, prelu(4, 0.0, written=[[0.1, 0.1, 0.2, 0.1]])])
    with pytest.raises(NotAChain, match=r"layer 1 \(prelu\): it has several slopes; .*numpy\.where"):
        read(model)


# ---- AIDA-X


@pytest.mark.parametrize("kind", ["gru", "lstm", "dense", "activation"])
@pytest.mark.parametrize("gains", [(0, 0), (-12.5, 0), (0, 6), (3, -7), (None, -95)])
@pytest.mark.parametrize("size", [1, 2])
def test_gains(rng, kind, gains, size):
    first = {"dense": lambda: dense(rng, size, 4, "tanh"),
             "activation": lambda: (entry("activation", size, activation="tanh"), np.tanh)}.get(
        kind, lambda: recurrent(rng, kind, size, 4))()  # fmt: skip
    model, run = network([size, first, dense(rng, 4 if kind != "activation" else size, 1)])
    model |= {"in_gain": gains[0], "out_gain": gains[1], "samplerate": 48000, "metadata": {"author": "a"}}
    x = inputs(rng, size)
    factors = [0.0 if gain == -95 else 10 ** ((gain or 0) / 20) for gain in gains]
    scaled = x.astype(float)
    scaled[..., 0] *= factors[0]
    net = read(model)
    assert_same(net(x)[0], factors[1] * run(scaled), TOLERANCE)
    if kind in ("gru", "lstm"):
        assert len(net.layers) == 2


def test_the_skip(rng):
    model, run = network([3, recurrent(rng, "lstm", 3, 5), dense(rng, 5, 1)])
    x = inputs(rng, 3)
    for skip, adds in ((1, 1), (0, 0), (None, 0), (1.0, 1)):
        net = read(model | {"in_skip": skip})
        assert net.skip == bool(adds)
        assert_same(net(x)[0], run(x) + adds * x[..., :1], TOLERANCE)
    assert_same(read(model, skip=True)(x)[0], run(x) + x[..., :1], TOLERANCE)
    assert not read(model | {"in_skip": 1}, skip=False).skip


def test_a_skip_with_gains(rng):
    """AIDA-X multiplies what it adds, too: where the two gains are not each other's inverse, that is no skip."""
    model, run = network([1, recurrent(rng, "gru", 1, 5), dense(rng, 5, 1)])
    x = inputs(rng, 1)
    up, down = 10 ** (9.5 / 20), 10 ** (-9.5 / 20)
    net = read(model | {"in_skip": 1, "in_gain": -9.5, "out_gain": 9.5})
    assert_same(net(x)[0], up * (run(down * x.astype(float)) + down * x), TOLERANCE)
    gained = model | {"in_skip": 1, "in_gain": -6, "out_gain": 9.5}
    with pytest.raises(NotAChain, match=r"by hand: y = 2\.98\d* \* net\(0\.501\d* \* x\)") as caught:
        read(gained)
    by_hand = str(caught.value).rpartition("by hand: y = ")[2]
    inner = read({name: value for name, value in gained.items() if "gain" not in name})
    y = eval(by_hand, {"x": x, "net": lambda x: inner(single(x))[0]})
    g = 10 ** (-6 / 20)
    assert_same(single(y), up * (run(g * x.astype(float)) + g * x), TOLERANCE)


def test_what_stands_around_a_network_is_checked(rng):
    model, _ = network([2, dense(rng, 2, 3)])
    for name, wrong in (("in_skip", 2), ("in_skip", True), ("in_gain", "3"), ("out_gain", float("nan"))):
        with pytest.raises(ValueError, match=f"{name} must be "):
            read(model | {name: wrong})
    with pytest.raises(NotAChain, match=r"the layers give 3; .* y = y \+ x\[\.\.\., :1\]"):
        read(model | {"in_skip": 1})
    act = {"layers": [entry("activation", 2, activation="tanh")], "in_gain": 3}
    with pytest.raises(ValueError, match="in_shape is not there"):
        read(act)


# ---- what is no chain, or damaged


def conv(kind, **others):
    return entry(kind, 4, [np.ones((3, 2, 4)), np.ones(4)], **others)


@pytest.mark.parametrize("kind, line", [
    ("conv1d", r"in NumPy it is p = numpy\.pad"), ("conv2d", r"in NumPy it is y\[t, f\] = sum"),
    ("batchnorm2d", r"in NumPy it is y = gamma"), ("unknown", "RTNeural passes it over"), (None, "there are: dense, "),
    ("rnn", "there is no such layer; there are: dense, "),
])  # fmt: skip
def test_layers_that_are_not_here(rng, kind, line, tmp_path):
    model, _ = network([2, dense(rng, 2, 2)])
    model["layers"].append(conv(kind))
    path = tmp_path / "model.json"
    path.write_text(json.dumps(model))
    with pytest.raises(NotAChain, match=rf"model\.json: layer 1 \({kind}\): .*{line}") as caught:
        read(path)
    assert "\n" not in str(caught.value)
    assert type(caught.value) is NotAChain


def test_the_line_for_conv1d(rng):
    """It is what Keras's causal convolution does, which is how RTNeural runs."""
    with pytest.raises(NotAChain) as caught:
        read({"layers": [conv("conv1d")]})
    line = str(caught.value).partition("in NumPy it is ")[2].removesuffix(", with one group")
    x, kernel, bias, dilation = rng.normal(size=(9, 2)), rng.normal(size=(3, 2, 4)), rng.normal(size=4), 2
    names = {"numpy": np, "x": x, "kernel": kernel, "bias": bias, "dilation": dilation, "K": 3}
    exec(line, names)
    expected = np.stack([
        bias + sum(x[t - (2 - k) * dilation] @ kernel[k] for k in range(3) if t >= (2 - k) * dilation) for t in range(9)
    ])  # fmt: skip
    np.testing.assert_allclose(names["y"], expected, atol=1e-12)


def damaged(rng):
    """(what is wrong, the layer's number or "", the message)."""
    model, _ = network([2, dense(rng, 2, 3, "tanh"), recurrent(rng, "gru", 3, 4), dense(rng, 4, 1)])

    def but(number, **changes):
        layers = [dict(layer) for layer in model["layers"]]
        layers[number] |= changes
        return model | {"layers": layers}

    kernel, bias = model["layers"][0]["weights"]
    many = {"in_shape": [None, int("9" * 18)], "layers": [entry("activation", int("9" * 18), activation="tanh")]}
    return [
        (but(0, weights=[kernel, bias[:-1]]), r"layer 0 \(dense\): bias has shape \(2,\), expected \(3\)"),
        (but(0, weights=[[[1.0, 2.0], [3.0]], bias]), r"layer 0 \(dense\): kernel cannot be read as an array"),
        (but(0, weights=[[["a"] * 3] * 2, bias]), r"layer 0 \(dense\): kernel has dtype"),
        (but(0, weights=[kernel[:1], bias]), r"layer 0 \(dense\): its weights take 1 features, and there are 2 before"),
        (but(0, weights=[]), r"layer 0 \(dense\): it has 0 weights, expected 1 or 2"),
        (but(0, weights=None), r"layer 0 \(dense\): it has no weights, expected 1 or 2"),
        (but(0, shape=[None, 7]), r"layer 0 \(dense\): its shape ends in 7, and its weights give 3 features"),
        (but(0, shape=[None, "3"]), r"layer 0 \(dense\): shape must end in the number of features"),
        (but(0, activation="swish"), r"layer 0 \(dense\): the activation 'swish' is none of RTNeural's"),
        (but(1, activation="relu"), r"layer 1 \(gru\): its activation is 'relu', at which RTNeural does not look"),
        (but(1, weights=[[[1.0]]]), r"layer 1 \(gru\): the gru layer has no weights"),
        (but(2, weights=[[[1.0]] * 5, [0.5]]), r"layer 2 \(dense\): its weights take 5 features, and there are 4"),
        (model | {"in_shape": []}, r"in_shape must end in the number of features; got \[\]"),
        (model | {"in_shape": [None, 5]}, r"layer 0 \(dense\): its weights take 2 features, and there are 5 before it"),
        (model | {"layers": []}, "the model has no layers"),
        (model | {"layers": {}}, "the model has no list of layers"),
        (model | {"layers": [entry("batchnorm", 2, [[1, 1], [1, 1], [1, 1]], epsilon=0.1)]}, "it has 3 weights"),
        (model | {"layers": [entry("batchnorm", 2, [[1, 1], [1, 1]])]}, "epsilon must be a number; got None"),
        (model | {"layers": [entry("batchnorm", 2, [[1, 1], [1, -1]], epsilon=1)]}, "epsilon must be above 0"),
        ({"weights": 3}, "the model has no list of layers"),
        *((many | changes, "declares 9{18} features without weights for them") for changes in ({}, {"in_gain": 3.0})),
    ]  # fmt: skip


def test_damaged_files(rng, tmp_path):
    path = tmp_path / "model.json"
    for model, words in damaged(rng):
        path.write_text(json.dumps(model))
        with pytest.raises(ValueError, match=rf"model\.json: .*{words}") as caught:
            chain_from_rtneural(path)
        assert "\n" not in str(caught.value)
    for text, words in (("{", "is not JSON"), ("[1]", "holds a list, expected a dict with layers"), ("\udcff", "JSON")):
        path.write_text(text, errors="surrogateescape")
        with pytest.raises(ValueError, match=rf"model\.json {words}|model\.json is not {words}"):
            chain_from_rtneural(path)
    with pytest.raises(TypeError, match="expected a path or a dict with layers; got list"):
        chain_from_rtneural([])
    for options, words in (({"dtype": "int8"}, "dtype must be"), ({"skip": 1}, "skip must be True or False; got 1")):
        with pytest.raises(TypeError, match=words):
            chain_from_rtneural(path, **options)
    with pytest.raises(OSError, match=r"missing\.json"):
        chain_from_rtneural(tmp_path / "missing.json")
