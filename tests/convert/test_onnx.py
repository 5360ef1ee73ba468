"""From ONNX: against ONNX Runtime, onnx's reference evaluator and PyTorch's exporter."""

import numpy as np
import pytest

import cgru
from support.models import random_sizes, random_state
from support.onnx_models import as_y, single_node
from support.peers import assert_same, peer, single

DIRECTIONS = ["forward", "reverse", "bidirectional"]


@pytest.fixture(scope="module")
def onnx():
    return peer("onnx")


@pytest.fixture(scope="module")
def ort():
    return peer("onnxruntime")


def run(ort, model, **inputs):
    """Y and Y_h of ONNX Runtime."""
    data = model if isinstance(model, str) else model.SerializeToString()
    session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
    return session.run(None, inputs)


def case(rng, direction="forward", bias=True):
    """Sizes, parameters, X and an initial state."""
    T, N, input_size, H = random_sizes(rng)
    state = random_state(rng, input_size, H, bidirectional=direction == "bidirectional", bias=bias)
    D = 1 + (direction == "bidirectional")
    return state, single(rng.normal(size=(T, N, input_size))), single(rng.normal(size=(D, N, H)))


@pytest.mark.parametrize("after", [0, 1], ids=["before", "after"])
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no_bias"])
@pytest.mark.parametrize("with_h_0", [False, True], ids=["zeros", "h_0"])
@pytest.mark.parametrize("with_lengths", [False, True], ids=["full", "lengths"])
def test_same_as_onnx_runtime(onnx, ort, rng, after, direction, bias, with_h_0, with_lengths):
    state, x, h_0 = case(rng, direction, bias)
    T, N, _ = x.shape
    lengths = rng.integers(1, T, N).astype(np.int32)      # unsorted, with a zero and the whole length
    lengths[rng.permutation(N)[:2]] = 0, T
    model = single_node(
        onnx, state, direction=direction, linear_before_reset=after, h_0=with_h_0, lengths=with_lengths
    )
    inputs = {"X": x} | ({"h_0": h_0} if with_h_0 else {}) | ({"lengths": lengths} if with_lengths else {})
    Y, Y_h = run(ort, model, **inputs)
    ours = cgru.from_onnx(model)
    y, h_n = ours(x, h_0 if with_h_0 else None, lengths=lengths if with_lengths else None)
    assert ours.bias == bias and ours.reset_after == bool(after) and not ours.batch_first
    assert_same(y, as_y(Y))
    if with_lengths:      # ONNX Runtime says 0 for an empty row, cgru its initial state
        start = h_0 if with_h_0 else np.zeros_like(h_0)
        assert_same(h_n[:, lengths == 0], start[:, lengths == 0], 0)
        h_n, Y_h = h_n[:, lengths > 0], Y_h[:, lengths > 0]
    assert_same(h_n, Y_h)


@pytest.mark.parametrize("after", [0, 1], ids=["before", "after"])
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("clip", [0.3, 2.0])
def test_clip(onnx, ort, rng, after, direction, clip):
    state, x, _ = case(rng, direction)
    model = single_node(onnx, state, direction=direction, linear_before_reset=after, clip=clip)
    Y, Y_h = run(ort, model, X=2 * x)
    y, h_n = cgru.from_onnx(model)(2 * x)
    assert_same(y, as_y(Y))
    assert_same(h_n, Y_h)


GATES = [
    ("Sigmoid",), ("HardSigmoid",), ("HardSigmoid", 0.3, 0.4), ("Tanh",), ("Softsign",), ("ScaledTanh", 0.7, 0.6),
    ("sigmoid",), ("LeakyRelu", 0.2), ("Affine", 0.1, 0.5), ("Affine",),
]  # fmt: skip
CANDIDATES = [
    ("Tanh",), ("Relu",), ("LeakyRelu",), ("LeakyRelu", 0.3), ("Elu",), ("Elu", 0.4), ("Softsign",), ("Softplus",),
    ("HardSigmoid",), ("Affine", 0.4, 0.2), ("ScaledTanh", 1.7, 0.6), ("ScaledTanh",), ("Sigmoid",), ("tanh",),
]  # fmt: skip
WITH_BETA = ("HardSigmoid", "Affine", "ScaledTanh")


def activation_attributes(functions):
    """Names; alphas and betas of those that take them, in order. Functions without numbers must come last."""
    found = {
        "activations": [function[0] for function in functions],
        "activation_alpha": [function[1] for function in functions if len(function) > 1],
        "activation_beta": [function[2] for function in functions if len(function) > 2],
    }
    return {name: values for name, values in found.items() if values}


def takes(function):
    return function[0] in (*WITH_BETA, "LeakyRelu", "Elu")


# numbers are consumed in order: without numbers for f there can be none for g
PAIRS = [(f, g) for f in GATES for g in CANDIDATES if len(f) > 1 or not takes(f) or len(g) == 1]


@pytest.mark.parametrize("after", [0, 1], ids=["before", "after"])
@pytest.mark.parametrize("f, g", PAIRS, ids=str)
def test_activations(onnx, ort, rng, after, f, g):
    state, x, _ = case(rng)
    model = single_node(onnx, state, linear_before_reset=after, **activation_attributes([f, g]))
    Y, _ = run(ort, model, X=x)
    y, _ = cgru.from_onnx(model)(x)
    assert_same(y, as_y(Y), 2e-6 * max(1, abs(Y).max()))


def test_each_direction_has_its_own_activations(onnx, ort, rng):
    state, x, _ = case(rng, "bidirectional")
    functions = [("HardSigmoid", 0.3, 0.4), ("LeakyRelu", 0.2), ("ScaledTanh", 0.8, 0.5), ("Elu", 0.6)]
    model = single_node(onnx, state, direction="bidirectional", **activation_attributes(functions))
    assert_same(cgru.from_onnx(model)(x)[0], as_y(run(ort, model, X=x)[0]))


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("after", [0, 1], ids=["before", "after"])
def test_layout_1_is_the_transposed_layout_0(onnx, ort, rng, direction, after):
    state, x, h_0 = case(rng, direction)
    time_first = single_node(onnx, state, direction=direction, linear_before_reset=after, h_0=True)
    batch_first = single_node(onnx, state, direction=direction, linear_before_reset=after, h_0=True, layout=1)
    Y, Y_h = run(ort, time_first, X=x, h_0=h_0)
    ours = cgru.from_onnx(batch_first)
    assert ours.batch_first
    y, h_n = ours(x.swapaxes(0, 1), h_0)
    assert_same(y, as_y(Y).swapaxes(0, 1))
    assert_same(h_n, Y_h)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("layout", [0, 1])
@pytest.mark.parametrize("after", [0, 1], ids=["before", "after"])
def test_same_as_the_reference_evaluator(onnx, rng, direction, layout, after):
    evaluator = peer("onnx.reference").ReferenceEvaluator
    state, x, h_0 = case(rng, direction)
    model = single_node(onnx, state, direction=direction, linear_before_reset=after, layout=layout, h_0=True)
    x = x.swapaxes(0, 1) if layout else x
    Y, Y_h = evaluator(model).run(None, {"X": x, "h_0": h_0.swapaxes(0, 1) if layout else h_0})
    y, h_n = cgru.from_onnx(model)(x, h_0)
    assert_same(y, as_y(single(Y), layout))
    assert_same(h_n, Y_h.swapaxes(0, 1) if layout else Y_h)


@pytest.mark.parametrize("constants", ["initializer", "nodes"])
def test_a_constant_initial_state_is_stored(onnx, ort, rng, constants):
    state, x, h_0 = case(rng, "bidirectional")
    same = np.repeat(h_0[:, :1], x.shape[1], axis=1)
    model = single_node(onnx, state, direction="bidirectional", initial_h=same, constants=constants)
    ours = cgru.from_onnx(model)
    Y, Y_h = run(ort, model, X=x)
    y, h_n = ours(x)
    assert_same(y, as_y(Y))
    assert_same(h_n, Y_h)
    with pytest.raises(ValueError, match="differs from batch row to batch row"):
        cgru.from_onnx(single_node(onnx, state, direction="bidirectional", initial_h=h_0))
    zero = cgru.from_onnx(single_node(onnx, state, direction="bidirectional", initial_h=0 * h_0))
    assert "h_0" not in zero.state_dict()


@pytest.mark.parametrize("opset", [7, 13, 14, 22])
@pytest.mark.parametrize("constants", ["initializer", "nodes"])
def test_opsets_and_places_of_weights(onnx, rng, opset, constants):
    state, x, _ = case(rng)
    model = single_node(onnx, state, linear_before_reset=1, opset=opset, constants=constants)
    assert_same(cgru.from_onnx(model)(x)[0], cgru.GRU.from_state_dict(state, dtype="float32")(x)[0], 0)
    with pytest.raises(ValueError, match="opset 3, expected 7"):
        cgru.from_onnx(single_node(onnx, state, opset=3))


def test_external_data(onnx, rng, tmp_path):
    state, x, _ = case(rng)
    path = tmp_path / "model.onnx"
    proto = single_node(onnx, state, linear_before_reset=1)
    onnx.save_model(proto, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert (tmp_path / "weights.bin").exists()
    expected = cgru.GRU.from_state_dict(state, dtype="float32")(x)[0]
    assert_same(cgru.from_onnx(path)(x)[0], expected, 0)
    with pytest.raises(ValueError, match="pass the model's path"):
        cgru.from_onnx(onnx.load(path, load_external_data=False))
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "link.bin").symlink_to(tmp_path / "weights.bin")
    for location in ("../weights.bin", str(tmp_path / "weights.bin"), "link.bin", "/etc/passwd", "", "nothing", "."):
        model = onnx.load(path, load_external_data=False)
        for tensor in model.graph.initializer:
            for entry in tensor.external_data:
                entry.value = location if entry.key == "location" else entry.value
        (tmp_path / "inner" / "model.onnx").write_bytes(model.SerializeToString())
        with pytest.raises(ValueError, match="no file in the model's folder"):
            cgru.from_onnx(tmp_path / "inner" / "model.onnx")


# ---- several nodes, and PyTorch's exporter


def exported(torch, module, example, path, **options):
    """An ONNX file from PyTorch's TorchScript exporter, time and batch free."""
    free = {0: "a", 1: "b"}
    torch.onnx.export(
        module, (example,), path, dynamo=False, input_names=["x"], output_names=["y", "h_n"],
        dynamic_axes={"x": free, "y": free}, **options,
    )  # fmt: skip


@pytest.mark.filterwarnings("ignore")      # the exporter's
@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "bidirectional"])
@pytest.mark.parametrize("num_layers", [1, 3])
@pytest.mark.parametrize("folded", [True, False], ids=["folded", "unfolded"])
def test_what_pytorch_exports(torch, onnx, rng, tmp_path, bidirectional, num_layers, folded):
    theirs = torch.nn.GRU(4, 6, num_layers, bidirectional=bidirectional).eval()
    exported(torch, theirs, torch.zeros(3, 2, 4), tmp_path / "model.onnx", do_constant_folding=folded)
    x = single(rng.normal(size=(7, 5, 4)))
    ours = cgru.from_onnx(tmp_path / "model.onnx")
    assert (ours.num_layers, ours.bidirectional) == (num_layers, bidirectional)
    for got, expected in zip(ours(x), theirs(torch.from_numpy(x)), strict=True):
        assert_same(got, expected.detach())


@pytest.mark.filterwarnings("ignore")      # the exporter's
def test_a_learned_state_that_the_graph_expands_to_the_batch(torch, onnx, rng, tmp_path):
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.gru = torch.nn.GRU(4, 6, 2)
            self.start = torch.nn.Parameter(torch.randn(2, 1, 6))

        def forward(self, x):
            return self.gru(x, self.start.expand(-1, x.shape[1], -1).contiguous())

    theirs = Net().eval()
    exported(torch, theirs, torch.zeros(3, 2, 4), tmp_path / "model.onnx")
    x = single(rng.normal(size=(7, 5, 4)))
    for got, expected in zip(cgru.from_onnx(tmp_path / "model.onnx")(x), theirs(torch.from_numpy(x)), strict=True):
        assert_same(got, expected.detach())


def test_pytorch_s_missing_flag_is_warned_of_and_can_be_overridden(onnx, rng):
    state, x, _ = case(rng)
    model = single_node(onnx, state, producer="pytorch")      # as some exporters write it: no flag
    right, wrong = (cgru.GRU.from_state_dict(state, dtype="float32", reset_after=a)(x)[0] for a in (True, False))
    with pytest.warns(UserWarning, match="linear_before_reset=True"):
        assert_same(cgru.from_onnx(model)(x)[0], wrong, 0)
    assert_same(cgru.from_onnx(model, linear_before_reset=True)(x)[0], right, 0)
    assert_same(cgru.from_onnx(model, linear_before_reset=False)(x)[0], wrong, 0)      # and no warning
    assert abs(right - wrong).max() > 0.01


def test_nodes_that_are_not_layers_must_be_chosen(onnx, rng):
    one, two = random_state(rng, 3, 5), random_state(rng, 3, 4)
    a, b = single_node(onnx, one, name="a"), single_node(onnx, two, name="b")
    model = onnx.compose.merge_graphs(
        onnx.compose.add_prefix_graph(a.graph, "one/", rename_nodes=False),
        onnx.compose.add_prefix_graph(b.graph, "two/", rename_nodes=False),
        [],
    )
    model = onnx.helper.make_model(model, opset_imports=[onnx.helper.make_opsetid("", 14)])
    assert cgru.from_onnx(model, "a").hidden_size == 5
    assert cgru.from_onnx(model, "b").hidden_size == 4
    for asked in (None, ["a", "b"]):
        with pytest.raises(ValueError, match=r"'a', 'b'; choose one with node="):
            cgru.from_onnx(model, asked)
    with pytest.raises(ValueError, match=r"node='c'.*'a', 'b'"):
        cgru.from_onnx(model, "c")


# ---- to ONNX

WRITTEN = [
    {},
    {"num_layers": 2, "bidirectional": True, "bias": False},
    {"batch_first": True, "reset_after": False, "num_layers": 2},
    {"bidirectional": True, "merge_mode": "sum", "batch_first": True},
    {"bidirectional": True, "merge_mode": "mul"},
    {"bidirectional": True, "merge_mode": "ave", "reset_after": False},
    {"reverse": True, "num_layers": 2},
    {"go_backwards": True, "batch_first": True},
    {"clip": 0.4, "activations": ("hard_sigmoid", ("leaky_relu", 0.2))},
    {"bidirectional": True, "activations": ((("scaled_tanh", 0.7, 0.8), "elu"), ("softsign", ("linear", 0.5, 0.1)))},
    {"bidirectional": True, "num_layers": 2, "initial_state": True},
    {"batch_first": True, "initial_state": True, "activations": ("sigmoid", "softplus")},
]


@pytest.mark.parametrize("options", WRITTEN, ids=str)
@pytest.mark.parametrize("with_h_0", [False, True], ids=["no_h_0", "h_0"])
@pytest.mark.parametrize("with_lengths", [False, True], ids=["full", "lengths"])
def test_written_models_run_in_onnx_runtime(onnx, ort, rng, tmp_path, options, with_h_0, with_lengths):
    from cgru.config import Config
    from cgru.weights import Weights

    T, N, input_size, H = random_sizes(rng)
    config = Config(input_size=input_size, hidden_size=H, **options)
    tensors = {name: single(rng.uniform(-1, 1, shape) / np.sqrt(H)) for name, shape in config.shapes().items()}
    gru = cgru.GRU.from_weights(Weights(config, tensors))
    path = tmp_path / "model.onnx"
    gru.to_onnx(path, h_0=with_h_0, lengths=with_lengths)
    x = single(rng.normal(size=(N, T, input_size) if config.batch_first else (T, N, input_size)))
    h_0 = single(rng.normal(size=(config.num_layers * config.num_directions, N, H))) if with_h_0 else None
    lengths = rng.integers(1, T + 1, N).astype(np.int32) if with_lengths else None
    inputs = {"x": x} | ({"h_0": h_0} if with_h_0 else {}) | ({"lengths": lengths} if with_lengths else {})
    expected = run(ort, str(path), **inputs)
    for got, wanted in zip(gru(x, h_0, lengths=lengths), expected, strict=True):
        assert_same(got, wanted)
    if config.merge_mode == "concat" and not config.go_backwards:      # what one node or chain can say
        again = cgru.from_onnx(path)
        y, h_n = again(x.swapaxes(0, 1) if config.batch_first else x, h_0, lengths=lengths)
        assert_same(y.swapaxes(0, 1) if config.batch_first else y, expected[0])
        assert_same(h_n, expected[1])


def test_what_onnx_has_no_name_for(onnx, tmp_path):
    with pytest.raises(ValueError, match="ONNX's recurrent nodes have no activation gelu, silu; theirs are sigmoid"):
        cgru.GRU(3, 5, activations=("silu", "gelu")).to_onnx(tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


def test_without_onnx(onnx, rng, monkeypatch, tmp_path):
    import sys

    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r'pip install "cgru\[onnx\]"'):
        cgru.GRU(3, 5).to_onnx(tmp_path / "model.onnx")
    with pytest.raises(ImportError, match=r'pip install "cgru\[onnx\]"'):
        cgru.from_onnx(tmp_path / "model.onnx")
