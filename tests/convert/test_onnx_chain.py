"""Whole ONNX graphs that are chains: against ONNX Runtime; and recorded models of Keras."""

from pathlib import Path

import numpy as np
import pytest

import cgru
from cgru.convert.chains import NotAChain
from cgru.convert.onnx_chain import chain_from_onnx
from support.onnx_networks import FORMS, Net, run
from support.peers import assert_same, peer, single

TOLERANCE = 1e-5
DATA = Path(__file__).parent / "data"


@pytest.fixture
def net(rng):
    return Net(peer("onnx"), rng)


def compare(model, x, *, tolerance=TOLERANCE, **inputs):
    """The network of a model, whose y is ONNX Runtime's."""
    ours = cgru.Sequential.from_onnx(model)
    expected = run(model, x=x, **inputs)[0]
    assert_same(ours(x)[0], expected, tolerance)
    return ours


def kinds(network):
    """The kinds of its layers."""
    return [layer.config.kind for layer in network.chain.layers]


# ---- random networks

ACTIVATIONS = ["Relu", "Tanh", "Sigmoid", "Elu", "LeakyRelu", "HardSigmoid", "Softplus", "Softsign", "Softmax"]


@pytest.mark.parametrize("layers", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("batch_first", [False, True], ids=["time first", "batch first"])
@pytest.mark.parametrize("seed", range(4))
def test_random_networks(layers, batch_first, seed):
    rng = np.random.default_rng([14, layers, batch_first, seed])
    net = Net(peer("onnx"), rng)
    first, T, N = (int(size) for size in rng.choice(np.arange(3, 9), 3, replace=False))
    h, features, seen, y = "x", first, [], None
    for number in range(layers):
        kind = ["gru", "lstm", "rnn", "dense"][rng.integers(4)]
        kind = "gru" if not number else kind      # so that the layout can be told
        out = int(rng.integers(2, 8))
        if kind == "dense":
            h = net.dense(h, (features, out), FORMS[rng.integers(len(FORMS))])
            if rng.integers(2):
                h = net.node(ACTIVATIONS[rng.integers(len(ACTIVATIONS))], h)
        else:
            direction = ["forward", "reverse", "bidirectional"][rng.integers(3)]
            y = net.recurrent(net.swapped(h) if batch_first else h, kind, (features, out), direction=direction)[0]
            out *= 1 + (direction == "bidirectional")
            h = net.joined(y, out)
            h = net.swapped(h) if batch_first else h
        features = out
        seen.append(kind)
    model = net.model({"x": [None, None, first]}, {"y": h})
    x = single(rng.normal(size=(N, T, first) if batch_first else (T, N, first)))
    ours = compare(model, x)
    assert ours.batch_first == batch_first and not ours.last and not ours.skip
    found = [layer.config for layer in ours.chain.layers]
    flat = [one.kind for one in found for _ in range(one.num_layers if one.recurrent else 1)]
    assert [kind for kind in flat if kind != "linear"] == [kind for kind in seen if kind != "dense"]
    assert flat.count("linear") >= seen.count("dense")


@pytest.mark.parametrize("form", FORMS)
def test_products(net, rng, form):
    y = net.dense("x", (3, 5), form)
    ours = compare(net.model({"x": [None, None, 3]}, {"y": y}), single(rng.normal(size=(4, 2, 3))))
    assert kinds(ours) == ["linear"] and ours.layers[0].bias == (form != "no bias")


# ---- activations: nodes, and what exporters spell in several


def gelu_erf(net, x):
    inner = net.node("Erf", net.node("Div", x, net.constant(np.float32(np.sqrt(2)))))
    product = net.node("Mul", x, net.node("Add", inner, net.constant(np.float32(1))))
    return net.node("Mul", product, net.constant(np.float32(0.5)))


def gelu_tanh(net, x):
    cube = net.node("Mul", net.constant(np.float32(0.044715)), net.node("Pow", x, net.constant(np.float32(3))))
    inner = net.node("Mul", net.node("Add", x, cube), net.constant(np.float32(np.sqrt(2 / np.pi))))
    half = net.node("Mul", net.constant(np.float32(0.5)), x)
    return net.node("Mul", half, net.node("Add", net.constant(np.float32(1)), net.node("Tanh", inner)))


def silu(net, x):
    return net.node("Mul", net.node("Sigmoid", x), x)


def silu_by_exp(net, x):
    one = net.constant(np.float32(1))
    return net.node("Div", x, net.node("Add", net.node("Exp", net.node("Neg", x)), one))


def hard_sigmoid(net, x):
    inner = net.node("Add", net.node("Mul", x, net.constant(np.float32(0.25))), net.constant(np.float32(0.375)))
    return net.node("Clip", inner, net.constant(np.float32(0)), net.constant(np.float32(1)))


def leaky(net, x):
    return net.node("Max", x, net.node("Mul", x, net.constant(np.float32(0.15))))


SPELT = {
    gelu_erf: ("gelu", 0, 0), gelu_tanh: ("gelu_tanh", 0, 0), silu: ("silu", 0, 0), silu_by_exp: ("silu", 0, 0),
    hard_sigmoid: ("hard_sigmoid", 0.25, 0.375), leaky: ("leaky_relu", 0.15, 0),
}  # fmt: skip


@pytest.mark.parametrize("spell", SPELT, ids=lambda spell: spell.__name__)
@pytest.mark.parametrize("places", [1, 2], ids=["once", "twice"])
def test_activations_in_several_nodes(net, rng, spell, places):
    y = "x"
    for place in range(places):
        y = spell(net, net.dense(y, (3 + 2 * place, 5 + 2 * place), "plain"))
    model = net.model({"x": [None, None, 3]}, {"y": y})
    ours = compare(model, single(3 * rng.normal(size=(6, 2, 3))))
    assert kinds(ours) == ["linear"] * places
    for layer in ours.layers:
        found = layer.config.activations[0][0]
        assert found.name == SPELT[spell][0]
        assert np.allclose(found[1:], SPELT[spell][1:], atol=1e-6)


NODES = [
    ("Relu", {}), ("Tanh", {}), ("Sigmoid", {}), ("Softplus", {}), ("Softsign", {}), ("Softmax", {}),
    ("Softmax", {"axis": 2}), ("Elu", {}), ("Elu", {"alpha": 0.4}), ("LeakyRelu", {}), ("LeakyRelu", {"alpha": 0.2}),
    ("HardSigmoid", {}), ("HardSigmoid", {"alpha": 0.3, "beta": 0.4}), ("Selu", {}), ("Celu", {"alpha": 0.7}),
    ("Gelu", {}), ("Gelu", {"approximate": "tanh"}),
]  # fmt: skip


@pytest.mark.parametrize("op, attributes", NODES, ids=str)
@pytest.mark.parametrize("before", ["dense", "gru", "nothing"])
def test_activation_nodes(net, rng, op, attributes, before):
    y = "x" if before == "nothing" else net.dense("x", (3, 5), "plain") if before == "dense" else None
    y = net.joined(net.recurrent("x", "gru", (3, 5))[0], 5) if y is None else y
    model = net.model({"x": [None, None, 3]}, {"y": net.node(op, y, **attributes)}, opset=20)
    compare(model, single(2 * rng.normal(size=(6, 2, 3))))


def test_a_slope_for_all_features(net, rng):
    y = net.node("PRelu", net.dense("x", (3, 5), "plain"), net.constant(np.full(5, 0.3, np.float32)))
    assert kinds(compare(net.model({"x": [None, None, 3]}, {"y": y}), single(rng.normal(size=(6, 2, 3))))) == ["linear"]
    y = net.node("PRelu", "x", net.number(3))
    with pytest.raises(NotAChain, match=r"PRelu node 'prelu_\d+' has another slope for each feature.*np\.where"):
        chain_from_onnx(net.model({"x": [None, None, 3]}, {"y": y}))


# ---- normalisers


def scaled(net, x, features):
    minus = net.node("Sub", x, net.number(features))
    return net.node("Div", minus, net.number(features, low=0.5, high=2.0))


def scaled_back(net, x, features):
    times = net.node("Mul", net.number(1, 1, features, low=0.5, high=2.0), x)
    return net.node("Sub", net.constant(np.float32(1.5)), times)


def batch_norm(net, x, features):
    numbers = [net.number(features, low=low, high=2.0) for low in (0.5, -1, -1, 0.5)]
    turned = net.node("BatchNormalization", net.node("Transpose", x, perm=[0, 2, 1]), *numbers, epsilon=1e-3)
    return net.node("Transpose", turned, perm=[0, 2, 1])


def arithmetic_on_constants(net, x, features):
    root = net.node("Sqrt", net.node("Add", net.number(features, low=0.5, high=2.0), net.constant(np.float32(0.01))))
    return net.node("Mul", x, net.node("Div", net.number(features), root))


@pytest.mark.parametrize("normalise", [scaled, scaled_back, batch_norm, arithmetic_on_constants])
@pytest.mark.parametrize("place", ["in front", "between", "behind"])
def test_normalisers(net, rng, normalise, place):
    h = normalise(net, "x", 3) if place == "in front" else "x"
    h = net.joined(net.recurrent(h, "gru", (3, 5))[0], 5)
    h = normalise(net, h, 5) if place == "between" else h
    h = net.dense(h, (5, 2), "plain")
    h = normalise(net, h, 2) if place == "behind" else h
    ours = compare(net.model({"x": [None, None, 3]}, {"y": h}), single(rng.normal(size=(6, 4, 3))))
    assert kinds(ours) == (["linear"] if place == "in front" else []) + ["gru", "linear"]


@pytest.mark.parametrize("sizes", [[None, None, None], [None, None, 3]], ids=["unknown width", "known width"])
def test_numbers_for_all_features(net, rng, sizes):
    h = net.node("Dropout", net.node("Mul", "x", net.constant(np.float32(0.25))))
    h = net.joined(net.recurrent(net.node("Tanh", h), "gru", (3, 5))[0], 5)
    ours = compare(net.model({"x": sizes}, {"y": h}), single(rng.normal(size=(6, 4, 3))))
    assert ours.input_size == 3


# ---- one step, final states, directions


def gathered(net, y, axis):
    return net.node("Gather", y, net.constant(np.int64(-1)), axis=axis)


def sliced(net, y, axis):
    piece = net.node("Slice", y, net.ints(-1), net.ints(2**63 - 1), net.ints(axis), net.ints(1))
    return net.node("Squeeze", piece, net.ints(axis))


@pytest.mark.parametrize("select", [gathered, sliced])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_the_last_step(net, rng, select, batch_first, direction):
    D = 1 + (direction == "bidirectional")
    h = net.swapped("x") if batch_first else "x"
    y = net.joined(net.recurrent(h, "lstm", (3, 5), direction=direction)[0], 5 * D)
    y = select(net, net.swapped(y) if batch_first else y, int(batch_first))
    y = net.node("Gemm", y, net.number(5 * D, 2), net.number(2))
    ours = compare(net.model({"x": [None, None, 3]}, {"y": y}), single(rng.normal(size=(6, 4, 3))))
    assert ours.last is True and ours.batch_first == batch_first


def side_by_side(net, h_n, D, H):
    parts = [net.node("Gather", h_n, net.constant(np.int64(d - D)), axis=0) for d in range(D)]
    return parts[0] if D == 1 else net.node("Concat", *parts, axis=-1)


def turned(net, h_n, D, H):
    return net.node("Reshape", net.node("Transpose", h_n, perm=[1, 0, 2]), net.ints(-1, D * H))


@pytest.mark.parametrize("select", [side_by_side, turned])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_the_final_state(net, rng, select, direction, kind):
    D = 1 + (direction == "bidirectional")
    y = net.joined(net.recurrent("x", "rnn", (3, 4))[0], 4)
    y = select(net, net.recurrent(y, kind, (4, 5), direction=direction)[1], D, 5)
    y = silu(net, net.node("Gemm", y, net.number(5 * D, 2), net.number(2)))
    ours = compare(net.model({"x": [None, None, 3]}, {"y": y}), single(rng.normal(size=(6, 4, 3))))
    assert ours.last == ("h_n" if direction != "forward" else True)


@pytest.mark.parametrize("merge", ["sum", "mul", "ave"])
@pytest.mark.parametrize("last", [False, True])
def test_merged_directions(net, rng, merge, last):
    Y, Y_h = net.recurrent("x", "gru", (3, 5), direction="bidirectional")
    source, axis = (Y_h, 0) if last else (Y, 1)
    halves = net.node("Split", source, axis=axis, outputs=2)
    halves = [net.node("Squeeze", half, net.ints(axis)) for half in halves]
    y = net.node("Mul" if merge == "mul" else "Add", *halves)
    y = net.node("Mul", y, net.constant(np.float32(0.5))) if merge == "ave" else y
    y = net.node("MatMul", y, net.number(5, 2))
    ours = compare(net.model({"x": [None, None, 3]}, {"y": y}), single(rng.normal(size=(6, 4, 3))))
    assert ours.layers[0].merge_mode == merge and ours.last == ("h_n" if last else False)


# ---- the skip connection


@pytest.mark.parametrize("features", [1, 2, 3])
@pytest.mark.parametrize("batch_first", [False, True])
def test_skip(net, rng, features, batch_first):
    h = net.swapped("x") if batch_first else "x"
    y = net.joined(net.recurrent(h, "gru", (3, 5))[0], 5)
    y = net.dense(net.swapped(y) if batch_first else y, (5, features), "plain")
    x = "x" if features == 3 else net.node("Slice", "x", net.ints(0), net.ints(features), net.ints(2))
    ours = compare(net.model({"x": [None, None, 3]}, {"y": net.node("Add", x, y)}), single(rng.normal(size=(6, 4, 3))))
    assert ours.skip and ours.output_size == features


# ---- lengths, states, layers of one model


def test_lengths_are_an_input(net, rng):
    onnx = peer("onnx")
    y = net.dense(net.joined(net.recurrent("x", "gru", (3, 5), lengths="lengths")[0], 5), (5, 2), "plain")
    model = net.model({"x": [None, None, 3]}, {"y": y})
    model.graph.input.append(onnx.helper.make_tensor_value_info("lengths", onnx.TensorProto.INT32, [None]))
    x, lengths = single(rng.normal(size=(6, 4, 3))), np.array([6, 2, 5, 1], np.int32)
    (expected,) = run(model, x=x, lengths=lengths)
    y, _ = cgru.Sequential.from_onnx(model)(x, lengths=lengths)
    for row, length in enumerate(lengths):
        assert_same(y[:length, row], expected[:length, row], TOLERANCE)


def test_a_stored_state_and_layers_of_one_model(net, rng):
    start = net.number(1, 1, 5)
    h = "x"
    for _ in range(2):
        batch = net.node("Slice", net.node("Shape", "x"), net.ints(1), net.ints(2))
        state = net.node("Expand", start, net.node("Concat", net.ints(1), batch, net.ints(1), axis=0))
        h = net.node("Squeeze", net.recurrent(h, "gru", (3 if h == "x" else 5, 5), states=[state])[0], net.ints(1))
    ours = compare(net.model({"x": [None, None, 3]}, {"y": h}), single(rng.normal(size=(6, 4, 3))))
    assert [layer.num_layers for layer in ours.layers] == [2] and ours.layers[0].config.initial_state


# ---- files that cgru wrote, recorded ones


@pytest.mark.parametrize("options", [
    {}, {"num_layers": 2, "bidirectional": True}, {"batch_first": True}, {"reverse": True, "num_layers": 2},
    {"bidirectional": True, "merge_mode": "ave", "batch_first": True}, {"bidirectional": True, "merge_mode": "mul"},
    {"go_backwards": True},
], ids=str)  # fmt: skip
def test_what_a_single_model_writes(rng, tmp_path, options):
    peer("onnx")
    model = cgru.GRU(3, 5, rng=0, **options)
    model.to_onnx(tmp_path / "model.onnx", lengths=not options)
    chain = chain_from_onnx(tmp_path / "model.onnx")
    assert len(chain.layers) == 1 and chain.layers[0].config == model.config
    x = single(rng.normal(size=(6, 4, 3)))
    assert_same(cgru.GRU.from_weights(chain.layers[0])(x)[0], model(x)[0], 0)


def written(batch_first):
    """Networks with everything that a file may say, with what `Sequential` takes beside the layers."""
    options = {"batch_first": batch_first, "rng": 1}
    return [
        ([cgru.Linear(3, 4, activation="gelu", rng=0), cgru.GRU(4, 5, 2, **options), cgru.Linear(5, 2, rng=2)], {}),
        ([cgru.GRU(3, 5, **options), cgru.Linear(5, 2, rng=2)], {"skip": True}),
        (
            [cgru.Linear.normalizer([1, 2, 3], [0.5, 1, 2]), cgru.LSTM(3, 5, 2, bidirectional=True, **options),
             cgru.Linear(10, 2, activation="softmax", rng=2)], {"last": True},
        ),
        (
            [cgru.GRU(3, 5, bidirectional=True, merge_mode="ave", **options),
             cgru.Linear(5, 2, activation="silu", rng=2)], {"last": "h_n"},
        ),
        (
            [cgru.GRU(3, 5, bidirectional=True, **options), cgru.Linear(10, 2, activation="gelu_tanh", rng=2)],
            {"last": "h_n"},
        ),
        (
            [cgru.RNN(3, 5, **options), cgru.GRU(5, 4, reset_after=False, **options), cgru.LSTM(4, 6, **options),
             cgru.Linear(6, 3, activation=("elu", 0.5), rng=2), cgru.Linear(3, 1, activation="sigmoid", rng=3)], {},
        ),
        ([cgru.LSTM(3, 5, reverse=True, **options), cgru.Linear(5, 2, rng=2)], {"last": True}),
    ]  # fmt: skip


@pytest.mark.parametrize("number", range(7))
@pytest.mark.parametrize("batch_first", [False, True], ids=["time first", "batch first"])
@pytest.mark.parametrize("choice", [{}, {"h_0": False}, {"lengths": True}], ids=str)
def test_what_a_network_writes(rng, tmp_path, number, batch_first, choice):
    peer("onnx")
    layers, options = written(batch_first)[number]
    ours = cgru.Sequential(layers, batch_first=batch_first, **options)
    ours.to_onnx(tmp_path / "model.onnx", **choice)
    again = cgru.Sequential.from_onnx(tmp_path / "model.onnx")
    assert (again.last, again.skip, again.batch_first) == (ours.last, ours.skip, batch_first)
    x = single(rng.normal(size=(4, 6, 3)))
    lengths = [3, 4, 1, 2, 4, 2][: 4 if batch_first else 6] if choice.get("lengths") else None
    (y, final), (expected, states) = (one(x, lengths=lengths) for one in (again, ours))
    assert_same(y, expected, 1e-6)
    assert [np.shape(state) for state in final] == [np.shape(state) for state in states]


KERAS = {
    "gru": (["linear", "gru", "gru", "linear"], True), "bilstm": (["linear", "lstm", "linear", "linear"], False),
    "bigru_last": (["gru", "linear", "linear"], "h_n"),
}  # fmt: skip


@pytest.mark.parametrize("name", KERAS)
def test_recorded_models_of_keras(name):
    """What tf2onnx makes of Keras 2, recorded with Keras's own outputs; data/make_tf2onnx.py wrote them."""
    peer("onnx")
    with np.load(DATA / "tf2onnx.npz") as file:
        x, y = file[f"{name}.x"], file[f"{name}.y"]
    ours = cgru.Sequential.from_onnx(DATA / f"tf2onnx_{name}.onnx")
    assert (kinds(ours), ours.last) == KERAS[name] and ours.batch_first
    assert_same(ours(x)[0], y, TOLERANCE)


def test_a_recorded_loop_is_refused():
    peer("onnx")
    with pytest.raises(NotAChain, match=r"tf2onnx_rnn\.onnx: Loop node .*while_loop'.*read the \.keras file"):
        chain_from_onnx(DATA / "tf2onnx_rnn.onnx")


def test_dtypes(net, rng):
    y = net.dense(net.joined(net.recurrent("x", "gru", (3, 5))[0], 5), (5, 2), "plain")
    model = net.model({"x": [None, None, 3]}, {"y": y})
    assert chain_from_onnx(model).dtype == np.float32
    assert chain_from_onnx(model, dtype=np.float64).dtype == np.float64
    with pytest.raises((TypeError, ValueError), match="dtype"):
        chain_from_onnx(model, dtype=np.int32)
    with pytest.raises(TypeError, match="expected the path of an ONNX model"):
        chain_from_onnx(3)


def test_pytorch_s_missing_flag_is_warned_of(net):
    y = net.joined(net.recurrent("x", "gru", (3, 5), linear_before_reset=0)[0], 5)
    model = net.model({"x": [None, None, 3]}, {"y": y}, producer="pytorch")
    with pytest.warns(UserWarning, match="linear_before_reset=True"):
        assert not chain_from_onnx(model).layers[0].config.reset_after
    assert chain_from_onnx(model, linear_before_reset=True).layers[0].config.reset_after
