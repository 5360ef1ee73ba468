"""Networks as PyTorch's two exporters write them."""

import importlib.util

import numpy as np
import pytest

import cgru
from cgru.convert.chains import NotAChain
from cgru.convert.onnx_chain import chain_from_onnx
from support.peers import assert_same, peer

pytestmark = pytest.mark.filterwarnings("ignore")      # the exporters'

TOLERANCE = 1e-5
T, N, I, H, O = 7, 6, 3, 5, 2  # noqa: E741


def network(torch, kind, **options):
    """Linear, GELU, a recurrent network, Dropout, SiLU, Linear; `last`, `skip` and the recurrent network's options."""
    last, skip = options.pop("last", None), options.pop("skip", False)

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first = torch.nn.Linear(I, 4)
            self.rnn = getattr(torch.nn, kind)(4, H, **options)
            self.drop = torch.nn.Dropout(0.1)
            self.out = torch.nn.Linear(H * (1 + self.rnn.bidirectional), O)

        def forward(self, x):
            y, state = self.rnn(torch.nn.functional.gelu(self.first(x)))
            if last == "step":
                y = y[:, -1] if self.rnn.batch_first else y[-1]
            elif last == "state":
                h_n = state[0] if isinstance(state, tuple) else state
                y = torch.cat((h_n[-2], h_n[-1]), -1) if self.rnn.bidirectional else h_n[-1]
            y = self.out(torch.nn.functional.silu(self.drop(y)))
            return y + x[..., :O] if skip else y

    torch.manual_seed(14)
    return Net().eval()


def compare(theirs, path, x, **expected):
    """The file's network gives what the module does."""
    import torch

    ours = cgru.Sequential.from_onnx(path)
    for name, value in expected.items():
        assert getattr(ours, name) == value, name
    with torch.no_grad():
        assert_same(ours(x.numpy())[0], theirs(x), TOLERANCE)
    return ours


@pytest.mark.parametrize("kind", ["GRU", "LSTM", "RNN"])
@pytest.mark.parametrize("num_layers", [1, 3])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "bidirectional"])
@pytest.mark.parametrize("options", [
    {}, {"batch_first": True, "skip": True}, {"batch_first": True, "last": "step"}, {"last": "state"},
    {"batch_first": True, "last": "state"},
], ids=str)  # fmt: skip
def test_torchscript(torch, tmp_path, kind, num_layers, bidirectional, options):
    peer("onnx")
    theirs = network(torch, kind, num_layers=num_layers, bidirectional=bidirectional, **options)
    path = tmp_path / "model.onnx"
    torch.onnx.export(
        theirs, (torch.zeros(4, 9, I),), path, dynamo=False, input_names=["x"], output_names=["y"],
        dynamic_axes={"x": {0: "a", 1: "b"}},
    )  # fmt: skip
    last = {None: False, "step": True, "state": "h_n" if bidirectional else True}[options.get("last")]
    ours = compare(
        theirs, path, torch.randn(T, N, I), last=last, skip=options.get("skip", False),
        batch_first=options.get("batch_first", False),
    )  # fmt: skip
    assert ours.layers[1].num_layers == num_layers


@pytest.mark.parametrize("spell", ["opset 17", "not folded", "fixed sizes"])
def test_other_spellings(torch, tmp_path, spell):
    """GELU by Erf where the opset has no node for it; sizes of the example, also those that are 1."""
    peer("onnx")
    theirs = network(torch, "GRU", num_layers=2, batch_first=True)
    options = {"opset 17": {"opset_version": 17}, "not folded": {"do_constant_folding": False}}.get(spell, {})
    for sizes in ((N, T), (1, T), (N, 1)) if spell == "fixed sizes" else ((N, T),):
        x = torch.randn(*sizes, I)
        torch.onnx.export(theirs, (x,), tmp_path / "model.onnx", dynamo=False, **options)
        compare(theirs, tmp_path / "model.onnx", x, batch_first=True, last=False)


@pytest.mark.parametrize("name", [
    "ReLU", "Tanh", "Sigmoid", "ELU", "LeakyReLU", "SELU", "CELU", "Softplus", "Softsign", "SiLU", "GELU",
    "Hardsigmoid",
])  # fmt: skip
def test_activations_of_an_mlp(torch, tmp_path, name):
    peer("onnx")
    theirs = torch.nn.Sequential(torch.nn.Linear(I, 4), getattr(torch.nn, name)(), torch.nn.Linear(4, O))
    torch.onnx.export(theirs, (torch.zeros(N, I),), tmp_path / "model.onnx", dynamo=False)
    compare(theirs, tmp_path / "model.onnx", 3 * torch.randn(N, I))


def test_batch_norm_and_the_tanh_form(torch, tmp_path):
    peer("onnx")
    norm = torch.nn.BatchNorm1d(4, eps=1e-3)
    theirs = torch.nn.Sequential(torch.nn.Linear(I, 4), norm, torch.nn.GELU(approximate="tanh"), torch.nn.Softmax(-1))
    for parameter in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
        parameter.data.uniform_(0.5, 2)
    torch.onnx.export(theirs.eval(), (torch.zeros(N, I),), tmp_path / "model.onnx", dynamo=False, opset_version=17)
    ours = compare(theirs, tmp_path / "model.onnx", torch.randn(N, I))
    assert len(ours.layers) == 2      # a product, and the softmax behind an activation


# ---- the other exporter

dynamo = pytest.mark.skipif(importlib.util.find_spec("onnxscript") is None, reason="dynamo=True needs onnxscript")


@dynamo
@pytest.mark.parametrize("kind, options", [
    ("GRU", {"num_layers": 2, "batch_first": True, "last": "step"}), ("LSTM", {"num_layers": 2, "skip": True}),
    ("GRU", {"bidirectional": True, "last": "state"}),
], ids=str)  # fmt: skip
def test_torch_export(torch, tmp_path, kind, options):
    peer("onnx")
    theirs = network(torch, kind, **options)
    batch = 0 if options.get("batch_first") else 1
    torch.onnx.export(
        theirs, (torch.zeros(N, T, I) if batch == 0 else torch.zeros(T, N, I),), tmp_path / "model.onnx", dynamo=True,
        dynamic_shapes=({batch: torch.export.Dim.DYNAMIC},), external_data=False, verbose=False,
    )  # fmt: skip
    x = torch.randn(4, T, I) if batch == 0 else torch.randn(T, 4, I)
    ours = compare(theirs, tmp_path / "model.onnx", x, batch_first=batch == 0, skip=options.get("skip", False))
    assert ours.layers[1].num_layers == options.get("num_layers", 1)


@dynamo
def test_torch_export_writes_an_rnn_step_by_step(torch, tmp_path):
    """Which is no recurrent node, and no chain."""
    peer("onnx")
    theirs = network(torch, "RNN")
    torch.onnx.export(
        theirs, (torch.zeros(T, N, I),), tmp_path / "model.onnx", dynamo=True, external_data=False, verbose=False
    )  # fmt: skip
    with pytest.raises(NotAChain, match=r"model\.onnx: .* node '.*'"):
        chain_from_onnx(tmp_path / "model.onnx")


def test_the_same_bits_as_the_layers_one_by_one(torch, tmp_path):
    """A network that was read is one like any other."""
    peer("onnx")
    theirs = network(torch, "GRU", num_layers=2)
    torch.onnx.export(
        theirs, (torch.zeros(4, 9, I),), tmp_path / "model.onnx", dynamo=False, dynamic_axes={"x": {0: "a", 1: "b"}},
        input_names=["x"],
    )  # fmt: skip
    ours = cgru.Sequential.from_onnx(tmp_path / "model.onnx")
    x = np.random.default_rng(3).normal(size=(T, N, I)).astype(np.float32)
    y = x
    for layer in ours.layers:
        y = layer(y)[0] if layer.config.recurrent else layer(y)
    assert np.array_equal(ours(x)[0], y)
