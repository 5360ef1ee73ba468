"""LSTM and RNN nodes of ONNX, against ONNX Runtime, onnx's reference evaluator and PyTorch's exporter."""

import numpy as np
import pytest

import cgru
from support.models import pack, planes, random_sizes, random_state
from support.onnx_models import as_y, single_node
from support.peers import assert_same, peer, single

DIRECTIONS = ["forward", "reverse", "bidirectional"]
KINDS = ["lstm", "rnn"]
pytestmark = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def onnx():
    return peer("onnx")


@pytest.fixture(scope="module")
def ort():
    return peer("onnxruntime")


def run(ort, model, **inputs):
    """Y and the final states of ONNX Runtime."""
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    Y, *final = session.run(None, inputs)
    return Y, final


def case(rng, kind, direction="forward", bias=True):
    """Parameters, X and an initial state."""
    T, N, input_size, H = random_sizes(rng)
    D = 1 + (direction == "bidirectional")
    state = random_state(rng, input_size, H, bidirectional=D == 2, bias=bias, kind=kind)
    hx = pack([single(rng.normal(size=(D, N, H))) for _ in range(2 if kind == "lstm" else 1)])
    return state, single(rng.normal(size=(T, N, input_size))), hx


def states(hx):
    """An initial state as a graph's inputs."""
    return dict(zip(("h_0", "c_0"), planes(hx), strict=False))


def asked(hx):
    """`single_node`'s arguments for these inputs."""
    return dict.fromkeys(states(hx), True)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no_bias"])
@pytest.mark.parametrize("with_state", [False, True], ids=["zeros", "hx"])
@pytest.mark.parametrize("with_lengths", [False, True], ids=["full", "lengths"])
def test_same_as_onnx_runtime(onnx, ort, rng, kind, direction, bias, with_state, with_lengths):
    state, x, hx = case(rng, kind, direction, bias)
    T, N, _ = x.shape
    lengths = rng.integers(1, T, N).astype(np.int32)
    lengths[rng.integers(N)] = T
    options = asked(hx) if with_state else {}
    model = single_node(onnx, state, kind=kind, direction=direction, lengths=with_lengths, **options)
    inputs = {"X": x} | (states(hx) if with_state else {}) | ({"lengths": lengths} if with_lengths else {})
    Y, final = run(ort, model, **inputs)
    ours = cgru.from_onnx(model)
    assert type(ours) is getattr(cgru, kind.upper()) and ours.bias == bias and not ours.batch_first
    y, end = ours(x, hx if with_state else None, lengths=lengths if with_lengths else None)
    assert_same(y, as_y(Y))
    for got, wanted in zip(planes(end), final, strict=True):
        assert_same(got, wanted)


def test_an_empty_row_keeps_its_state(onnx, rng, kind):
    state, x, hx = case(rng, kind)
    _, end = cgru.from_onnx(single_node(onnx, state, kind=kind))(x, hx, lengths=[0] * x.shape[1])
    for got, wanted in zip(planes(end), planes(hx), strict=True):
        assert_same(got, wanted, 0)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("clip", [0.2, 0.6, 2.0])
def test_clip(onnx, ort, rng, kind, direction, clip):
    """It clamps the gates' sums; an LSTM's cell state, also on its way out, stays as it is."""
    state, x, hx = case(rng, kind, direction)
    model = single_node(onnx, state, kind=kind, direction=direction, clip=clip, **asked(hx))
    Y, final = run(ort, model, X=2 * x, **states(hx))
    y, end = cgru.from_onnx(model)(2 * x, hx)
    assert_same(y, as_y(Y))
    for got, wanted in zip(planes(end), final, strict=True):
        assert_same(got, wanted)


FUNCTIONS = [
    ("Sigmoid",), ("HardSigmoid",), ("HardSigmoid", 0.3, 0.4), ("Tanh",), ("Softsign",), ("ScaledTanh", 0.7, 0.6),
    ("Relu",), ("LeakyRelu",), ("LeakyRelu", 0.2), ("Elu", 0.4), ("Softplus",), ("Affine", 0.4, 0.2),
]  # fmt: skip
PLAIN = {"lstm": [("Sigmoid",), ("Tanh",), ("Tanh",)], "rnn": [("Tanh",)]}


def attributes(functions):
    """Names; alphas and betas of those that take them, in order."""
    found = {
        "activations": [function[0] for function in functions],
        "activation_alpha": [function[1] for function in functions if len(function) > 1],
        "activation_beta": [function[2] for function in functions if len(function) > 2],
    }
    return {name: values for name, values in found.items() if values}


@pytest.mark.parametrize("function", FUNCTIONS, ids=str)
def test_activations(onnx, ort, rng, kind, function):
    """Each one in each place."""
    state, x, hx = case(rng, kind)
    for place in range(len(PLAIN[kind])):
        functions = list(PLAIN[kind])
        functions[place] = function
        model = single_node(onnx, state, kind=kind, **attributes(functions), **asked(hx))
        Y, _ = run(ort, model, X=x, **states(hx))
        assert_same(cgru.from_onnx(model)(x, hx)[0], as_y(Y), 2e-6 * max(1, abs(Y).max()))


def test_each_direction_has_its_own_activations(onnx, ort, rng, kind):
    """Alphas and betas are consumed in order, by the functions that take them."""
    state, x, _ = case(rng, kind, "bidirectional")
    functions = {
        "lstm": [
            ("HardSigmoid", 0.3, 0.4), ("LeakyRelu", 0.2), ("ScaledTanh", 0.8, 0.5),
            ("Sigmoid",), ("Elu", 0.6), ("Affine", 0.4, 0.1),
        ],
        "rnn": [("ScaledTanh", 0.8, 0.5), ("Elu", 0.6)],
    }[kind]  # fmt: skip
    model = single_node(onnx, state, kind=kind, direction="bidirectional", **attributes(functions))
    assert_same(cgru.from_onnx(model)(x)[0], as_y(run(ort, model, X=x)[0]))


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("clip", [None, 0.6])
def test_layout_1_is_the_transposed_layout_0(onnx, ort, rng, kind, direction, clip):
    state, x, hx = case(rng, kind, direction)
    options = {"kind": kind, "direction": direction} | asked(hx) | ({} if clip is None else {"clip": clip})
    Y, final = run(ort, single_node(onnx, state, **options), X=x, **states(hx))
    ours = cgru.from_onnx(single_node(onnx, state, layout=1, **options))
    assert ours.batch_first
    y, end = ours(x.swapaxes(0, 1), hx)
    assert_same(y, as_y(Y).swapaxes(0, 1))
    for got, wanted in zip(planes(end), final, strict=True):
        assert_same(got, wanted)


def test_same_as_the_reference_evaluator(onnx, rng, kind):
    evaluator = peer("onnx.reference").ReferenceEvaluator
    state, x, hx = case(rng, kind)
    model = single_node(onnx, state, kind=kind, **asked(hx))
    Y, Y_h, *_ = evaluator(model).run(None, {"X": x} | states(hx))
    y, end = cgru.from_onnx(model)(x, hx)
    assert_same(y, as_y(single(Y)))
    assert_same(planes(end)[0], single(Y_h))


def test_a_constant_initial_state_is_stored(onnx, ort, rng, kind):
    state, x, hx = case(rng, kind, "bidirectional")
    options = {"kind": kind, "direction": "bidirectional"}
    names = ["initial_h", "initial_c"][: len(planes(hx))]
    same = [np.repeat(plane[:, :1], x.shape[1], axis=1) for plane in planes(hx)]
    for given in [dict(zip(names, same, strict=True)), {names[-1]: same[-1]}]:
        model = single_node(onnx, state, **options, **given)
        Y, final = run(ort, model, X=x)
        ours = cgru.from_onnx(model)
        y, end = ours(x)
        assert_same(y, as_y(Y))
        for got, wanted in zip(planes(end), final, strict=True):
            assert_same(got, wanted)
    for name, plane in zip(names, planes(hx), strict=True):
        with pytest.raises(ValueError, match=f"{name} of {kind.upper()} 'gru' .* differs from batch row to batch row"):
            cgru.from_onnx(single_node(onnx, state, **options, **{name: plane}))
    zero = cgru.from_onnx(single_node(onnx, state, **options, **{name: 0 * plane for name in names for plane in same}))
    assert not zero.config.initial_state


@pytest.mark.filterwarnings("ignore")      # the exporter's
@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "bidirectional"])
@pytest.mark.parametrize("num_layers", [1, 3])
def test_what_pytorch_exports(torch, onnx, rng, tmp_path, kind, bidirectional, num_layers):
    options = {"nonlinearity": "relu"} if kind == "rnn" else {}
    theirs = getattr(torch.nn, kind.upper())(4, 6, num_layers, bidirectional=bidirectional, **options).eval()
    free = {0: "a", 1: "b"}
    torch.onnx.export(
        theirs, (torch.zeros(3, 2, 4),), tmp_path / "model.onnx", dynamo=False, input_names=["x"],
        output_names=["y", "h_n", "c_n"][: 3 if kind == "lstm" else 2], dynamic_axes={"x": free, "y": free},
    )  # fmt: skip
    x = single(rng.normal(size=(7, 5, 4)))
    ours = cgru.from_onnx(tmp_path / "model.onnx")
    assert (ours.num_layers, ours.bidirectional) == (num_layers, bidirectional)
    y, end = ours(x)
    expected, final = theirs(torch.from_numpy(x))
    assert_same(y, expected.detach())
    for got, wanted in zip(planes(end), final if kind == "lstm" else (final,), strict=True):
        assert_same(got, wanted.detach())


def test_what_is_refused(onnx, rng, kind):
    state, _, _ = case(rng, kind)
    name = kind.upper()
    with pytest.raises(ValueError, match=f"{name} has no option linear_before_reset; got True"):
        cgru.from_onnx(single_node(onnx, state, kind=kind), linear_before_reset=True)
    with pytest.raises(ValueError, match=f"{name} 'gru' has activations Sigmoid, .*expected (three|one) for each of 1"):
        cgru.from_onnx(single_node(onnx, state, kind=kind, activations=["Sigmoid", "Tanh"]))
    with pytest.raises(ValueError, match="opset 3, expected 7"):
        cgru.from_onnx(single_node(onnx, state, kind=kind, opset=3))
    if kind == "lstm":
        H = state["weight_hh_l0"].shape[1]
        with pytest.raises(ValueError, match="LSTM 'gru' has input_forget=1"):
            cgru.from_onnx(single_node(onnx, state, kind=kind, input_forget=1))
        with pytest.raises(ValueError, match=r"LSTM 'gru' has peepholes \(its input P, 'P'\)"):
            cgru.from_onnx(single_node(onnx, state, kind=kind, P=rng.normal(size=(1, 3 * H))))
        without = cgru.from_onnx(single_node(onnx, state, kind=kind, P=np.zeros((1, 3 * H))))
        assert without == cgru.from_onnx(single_node(onnx, state, kind=kind, input_forget=0))


def test_a_gru_beside_it_is_not_preferred(onnx, rng, kind):
    """Both are listed, and nothing is read."""
    gru = single_node(onnx, random_state(rng, 3, 5), name="a", linear_before_reset=1)
    other = single_node(onnx, random_state(rng, 3, 4, kind=kind), name="b", kind=kind)
    model = onnx.helper.make_model(
        onnx.compose.merge_graphs(
            onnx.compose.add_prefix_graph(gru.graph, "one/", rename_nodes=False),
            onnx.compose.add_prefix_graph(other.graph, "two/", rename_nodes=False), [],
        ),
        opset_imports=[onnx.helper.make_opsetid("", 14)],
    )  # fmt: skip
    for wanted in (None, ["a", "b"]):
        with pytest.raises(ValueError, match=r"several recurrent nodes that are not .*'a', 'b'; choose one with node="):
            cgru.from_onnx(model, wanted)
    assert type(cgru.from_onnx(model, "a")) is cgru.GRU
    assert type(cgru.from_onnx(model, "b")) is getattr(cgru, kind.upper())


def test_one_feeding_another_kind_is_no_layer(onnx, rng, kind):
    model = single_node(onnx, random_state(rng, 3, 5), name="a", linear_before_reset=1)
    after = single_node(onnx, random_state(rng, 5, 4, kind=kind), name="b", kind=kind)
    graph = onnx.compose.add_prefix_graph(after.graph, "two/", rename_nodes=False)
    model.graph.node.append(onnx.helper.make_node("Squeeze", ["Y"], ["two/X"], axes=[1]))
    model.graph.node.extend(graph.node)
    model.graph.initializer.extend(graph.initializer)
    with pytest.raises(ValueError, match=r"'a', 'b'; choose one with node="):
        cgru.from_onnx(model)
