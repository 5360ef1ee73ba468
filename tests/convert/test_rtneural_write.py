"""Networks written as RTNeural's JSON: what stands in the file, and that it is the same network when it is read."""

import json
import os

import numpy as np
import pytest

import cgru
from support import reference
from support.models import random_state
from support.peers import assert_same, single

I, H = 3, 5     # noqa: E741


def linear(rng, before, features, activation=None, bias=True):
    return cgru.Linear(before, features, bias, activation=activation, rng=rng)


def written(net, folder):
    """(what stands in the file, the network that is read from it)."""
    path = folder / "model.json"
    net.to_rtneural(path)
    assert [one.name for one in folder.iterdir()] == ["model.json"]
    return json.loads(path.read_text()), cgru.Sequential.from_rtneural(path)


def same(rng, net, other):
    """Both compute the same with random numbers."""
    x = single(rng.normal(size=(11, 2, net.input_size)))
    assert_same(other(x)[0], net.replace(engine="packed")(x)[0])


def as_rtneural(kind, kernel, recurrent, bias, x):
    """y (T, N, H) of one gru or lstm from its arrays, step by step as RTNeural has it: z, r, c and i, f, c, o."""
    size, h = len(recurrent), np.zeros((x.shape[1], len(recurrent)))
    c, y = h, []
    for step in x.astype(float):
        if kind == "gru":
            a, b = step @ kernel + bias[0], h @ recurrent + bias[1]
            z, r = (reference.sigmoid((a + b)[:, n * size : (n + 1) * size]) for n in range(2))
            h = (1 - z) * np.tanh(a[:, 2 * size :] + r * b[:, 2 * size :]) + z * h
        else:
            i, f, g, o = np.split(step @ kernel + h @ recurrent + bias, 4, axis=1)
            c = reference.sigmoid(f) * c + reference.sigmoid(i) * np.tanh(g)
            h = reference.sigmoid(o) * np.tanh(c)
        y.append(h)
    return np.stack(y)


@pytest.mark.parametrize("kind", ["gru", "lstm"])
@pytest.mark.parametrize("bias", [True, False])
def test_recurrent_layers(rng, kind, bias, tmp_path):
    """Two layers become two; the arrays do in RTNeural's equations what the model does."""
    state = random_state(rng, I, H, num_layers=2, bias=bias, kind=kind)
    model = {"gru": cgru.GRU, "lstm": cgru.LSTM}[kind].from_state_dict(state, dtype="float32")
    net = cgru.Sequential([model, linear(rng, H, 1)])
    found, again = written(net, tmp_path)
    assert found["in_shape"] == [None, None, I] and set(found) == {"in_shape", "layers"}
    assert [(one["type"], one["shape"], one["activation"]) for one in found["layers"]] == [
        (kind, [None, None, H], "tanh"), (kind, [None, None, H], "tanh"), ("dense", [None, None, 1], ""),
    ]  # fmt: skip
    x = single(rng.normal(size=(9, 2, I)))
    y = x
    for layer in found["layers"][:2]:
        kernel, recurrent, biases = map(np.array, layer["weights"])
        assert biases.shape == ((2, 3 * H) if kind == "gru" else (4 * H,)) and biases.any() == bias
        y = as_rtneural(kind, kernel, recurrent, biases, y)
    assert_same(model(x)[0], y)
    same(rng, net, again)


@pytest.mark.parametrize("activation, name", [
    (None, ""), ("tanh", "tanh"), ("relu", "relu"), ("sigmoid", "sigmoid"), ("softmax", "softmax"), ("elu", "elu"),
])  # fmt: skip
@pytest.mark.parametrize("bias", [True, False])
def test_dense_layers(rng, activation, name, bias, tmp_path):
    model = linear(rng, I, 4, activation, bias)
    found, again = written(cgru.Sequential([model]), tmp_path)
    (layer,) = found["layers"]
    assert (layer["type"], layer["activation"], layer["shape"]) == ("dense", name, [None, None, 4])
    kernel, shift = map(single, layer["weights"])
    np.testing.assert_array_equal(kernel, model.state_dict()["weight"].T)       # every bit
    np.testing.assert_array_equal(shift, model.state_dict().get("bias", np.zeros(4)))
    same(rng, cgru.Sequential([model]), again)


def test_activations_in_other_words(rng, tmp_path):
    """A leaky ReLU is a PReLU with one slope; an affine map goes into the weights."""
    layers = [linear(rng, I, 4, ("leaky_relu", 0.25)), linear(rng, 4, 2, ("linear", 0.5, -1.5), bias=False)]
    net = cgru.Sequential(layers)
    found, again = written(net, tmp_path)
    assert [one["type"] for one in found["layers"]] == ["dense", "prelu", "dense"]
    assert found["layers"][1]["weights"] == [[[0.25] * 4]]
    same(rng, net, again)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_random_networks(rng, count, tmp_path):
    for _ in range(6):
        size, layers, before = int(rng.integers(2, 6)), [], None
        for _ in range(count):
            before, size = size, int(rng.integers(2, 8))
            kind = str(rng.choice(["GRU", "LSTM", "Linear"]))
            layers.append(
                linear(rng, before, size, str(rng.choice(["tanh", "elu", "softmax", "linear"]))) if kind == "Linear"
                else getattr(cgru, kind)(before, size, int(rng.integers(1, 3)), rng=rng)
            )  # fmt: skip
        layers.append(linear(rng, size, 1))
        net = cgru.Sequential(layers, skip=bool(rng.integers(2)))
        found, again = written(net, tmp_path)
        assert found.get("in_skip", 0) == net.skip == again.skip
        same(rng, net, again)


def test_float64_and_quantised(rng, tmp_path):
    layers = [cgru.GRU(I, H, rng=rng, dtype="float64"), cgru.Linear(H, 1, rng=rng, dtype="float64")]
    net = cgru.Sequential(layers)
    path = tmp_path / "model.json"
    net.to_rtneural(path)
    again = cgru.Sequential.from_rtneural(path, dtype="float64")
    x = rng.normal(size=(7, 2, I))
    np.testing.assert_allclose(again(x)[0], net(x)[0], rtol=0, atol=1e-14)
    small = net.astype("float32").quantize("int8")
    _, plain = written(small, tmp_path)
    same(rng, small.dequantize(), plain)


def test_a_stored_state_of_zeros(rng, tmp_path):
    state = random_state(rng, I, H) | {"h_0": np.zeros((1, H))}
    net = cgru.Sequential([cgru.GRU.from_state_dict(state, dtype="float32")])
    _, again = written(net, tmp_path)
    same(rng, net, again)


def refused(rng):
    """(the network, what is said)."""
    gru = {"rng": rng}
    after = linear(rng, H, 1)
    state = random_state(rng, I, H) | {"h_0": rng.normal(size=(1, H))}
    nan = {name: value.copy() for name, value in random_state(rng, I, H).items()}
    nan["weight_hh_l0"][1, 2] = np.nan
    with pytest.warns(RuntimeWarning, match="NaN"):
        broken = cgru.GRU.from_state_dict(nan, dtype="float32")
    return [
        ([cgru.RNN(I, H, rng=rng), after], {}, r"layer 0 \(RNN\) .*: RTNeural has no RNN; there are gru and lstm"),
        ([cgru.GRU(I, H, reset_after=False, **gru)], {}, r"layer 0 \(GRU\) .*: RTNeural has no reset_after=False"),
        ([linear(rng, I, 2), cgru.GRU(2, H, bidirectional=True, **gru)], {}, r"layer 1 \(GRU\) .* no bidirectional"),
        ([cgru.GRU(I, H, reverse=True, clip=0.5, **gru)], {}, r"no reverse, no clip=0\.5"),
        ([cgru.LSTM(I, H, activations=("sigmoid", "relu"), rng=rng)], {}, r"\(LSTM\) .* no activations=\('sigmoid', "),
        ([cgru.GRU.from_state_dict(state, dtype="float32")], {}, "no initial_state, in whose place it has zeros"),
        ([linear(rng, I, 2, "silu")], {}, r"layer 0 \(Linear\) .*: the activation 'silu' is not there; there are "),
        ([linear(rng, I, 2, ("elu", 0.5))], {}, "the activation 'elu' with alpha=0.5 is not there"),
        ([broken], {}, r"layer 0 \(GRU\) .*: it holds NaN or infinity"),
        ([cgru.GRU(I, H, **gru), after], {"last": True}, "last=True cannot be written: .* every step's y"),
        ([cgru.GRU(I, 2, **gru)], {"skip": True}, r"skip=True cannot be written for 2 outputs: .* x\[\.\.\., :2\]"),
    ]  # fmt: skip


def test_what_rtneural_has_not(rng, tmp_path):
    """It is refused in one line, and nothing is written."""
    path = tmp_path / "model.json"
    path.write_text("before")
    for layers, around, words in refused(rng):
        with pytest.raises(ValueError, match=words) as caught:
            cgru.Sequential(layers, **around).to_rtneural(path)
        assert "\n" not in str(caught.value)
    assert path.read_text() == "before" and os.listdir(tmp_path) == ["model.json"]
