"""cgru.torch.replace and restore inside models, and the ways between cgru's models and modules."""

import numpy as np
import pytest

import cgru
from support.peers import peer

peer("torch")

import torch as pytorch  # noqa: E402

from support.torch_pairs import KINDS, assert_same, inputs, outcome, pair, tensors  # noqa: E402


class Model(pytorch.nn.Module):
    """Recurrent modules at several depths, one of them in two places."""

    def __init__(self):
        super().__init__()
        nn = pytorch.nn
        self.encoder = nn.ModuleDict({"gru": nn.GRU(3, 5, 2, dropout=0.3), "norm": nn.LayerNorm(5)})
        self.layers = nn.ModuleList([nn.LSTM(5, 4, bidirectional=True), nn.RNN(8, 6, nonlinearity="relu")])
        self.again = self.layers[1]
        self.head = nn.Linear(6, 2)

    def forward(self, x):
        """(T, N, 2) of (T, N, 3)."""
        x = self.encoder["norm"](self.encoder["gru"](x)[0])
        for layer in self.layers:
            x, _ = layer(x)
        return self.head(self.again(pytorch.cat([x, x[..., :2]], dim=-1))[0])


def trained(torch, model, optimizer, x):
    """Losses of some steps."""
    torch.manual_seed(2)
    losses = []
    for _ in range(5):
        optimizer.zero_grad()
        loss = (model(x) ** 2).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_every_module_is_swapped(torch, room):
    model = Model()
    before = dict(model.named_modules())
    parameters = dict(model.named_parameters())
    report = room.replace(model)
    assert report.swapped == ("encoder.gru", "layers.0", "layers.1") and report.left == {}
    assert str(report) == "swapped: encoder.gru, layers.0, layers.1"
    assert type(model.encoder["gru"]) is room.GRU and type(model.layers[0]) is room.LSTM
    assert type(model.again) is room.RNN and model.again is model.layers[1]
    assert all(before[name] is one for name, one in model.named_modules())
    assert all(parameters[name] is one for name, one in model.named_parameters())
    assert room.replace(model).swapped == ()
    assert str(room.restore(model)).startswith("swapped: encoder.gru") and type(model.again) is torch.nn.RNN


def test_training_goes_on(torch, room):
    """With the optimizer that was made before, and to the same losses; and again after restore."""
    torch.manual_seed(1)
    x = torch.randn(7, 4, 3)
    runs = []
    for ours in (True, False):
        torch.manual_seed(4)
        model = Model()
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
        losses = trained(torch, model, optimizer, x)
        if ours:
            room.replace(model)
        losses += trained(torch, model, optimizer, x)
        if ours:
            room.restore(model)
        runs.append(losses + trained(torch, model, optimizer, x))
    assert runs[0][-1] < 0.9 * runs[0][0]
    np.testing.assert_allclose(*runs, rtol=1e-4)


def test_hooks_and_flags_are_kept(torch, room):
    gru = torch.nn.GRU(3, 5, 2, dropout=0.5).eval()
    seen = []
    gru.register_forward_hook(lambda module, args, result: seen.append(type(module)))
    gru.register_buffer("mark", torch.ones(2))
    assert room.replace(gru).swapped == ("",) and str(room.Report(("",), {})) == "swapped: the module itself"
    assert not gru.training and "mark" in gru.state_dict()
    gru(torch.zeros(4, 2, 3))
    assert seen == [room.GRU]


@pytest.mark.filterwarnings("ignore")       # of what PyTorch is about to drop
def test_what_is_left_and_why(torch, room):
    nn = torch.nn

    class Mine(nn.GRU):
        pass

    special = nn.GRU(3, 5)
    special.forward = lambda x: x
    model = nn.ModuleDict({
        "projected": nn.LSTM(3, 5, proj_size=2),
        "elsewhere": nn.GRU(3, 5, device="meta"),
        "short": nn.RNN(3, 5, dtype=torch.bfloat16),
        "mine": Mine(3, 5),
        "special": special,
        "parametrised": nn.utils.parametrizations.weight_norm(nn.GRU(3, 5), "weight_hh_l0"),
        "script": torch.jit.script(nn.GRU(3, 5)),
        "quantised": torch.ao.nn.quantized.dynamic.GRU(3, 5),
        "cell": nn.GRUCell(3, 5),
        "plain": nn.GRU(3, 5),
    })
    report = room.replace(model)
    assert report.swapped == ("plain",)
    expected = {
        "projected": "proj_size=2", "elsewhere": "is on meta", "short": "bfloat16", "mine": "is a Mine, a subclass",
        "special": "a forward of its own", "parametrised": "replace it first", "script": "TorchScript",
        "quantised": "is quantised",
    }  # fmt: skip
    assert set(report.left) == set(expected)
    for name, words in expected.items():
        assert words in report.left[name]
        assert f"left: {name}, which {report.left[name]}" in str(report).split("\n")


def test_restore_leaves_what_torch_has_not(torch, room):
    class Mine(room.LSTM):
        pass

    model = torch.nn.ModuleDict({"old": room.GRU(3, 5, reset_after=False), "mine": Mine(3, 5), "plain": room.RNN(3, 5)})
    report = room.restore(model)
    assert report.swapped == ("plain",) and type(model["plain"]) is torch.nn.RNN
    assert "reset_after=False" in report.left["old"] and "subclass" in report.left["mine"]
    for swap in (room.replace, room.restore):
        with pytest.raises(TypeError, match=r"expected a torch\.nn\.Module; got int"):
            swap(3)


@pytest.mark.parametrize("kind", KINDS)
def test_swapped_modules_compute_what_they_did(torch, room, kind):
    _, theirs = pair(room, kind, num_layers=2, dropout=0.4, batch_first=True, dtype=torch.float64)
    x, hx = inputs(theirs)
    before = outcome(theirs, x, hx)
    room.replace(theirs)
    assert_same(outcome(theirs, x, hx), before)
    room.restore(theirs)
    assert_same(outcome(theirs, x, hx), before)


# ------------------------------------------------------------------------------------------- cgru's own models


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("network", [
    lambda **options: cgru.GRU(3, 5, 2, rng=0, **options),
    lambda **options: cgru.GRU(3, 5, reset_after=False, batch_first=True, rng=0, **options),
    lambda **options: cgru.LSTM(3, 5, bias=False, bidirectional=True, rng=0, **options),
    lambda **options: cgru.RNN(3, 5, nonlinearity="relu", rng=0, **options),
], ids=["GRU", "2014", "LSTM", "RNN"])  # fmt: skip
def test_from_cgru_and_back(torch, room, rng, network, dtype):
    model = network(dtype=dtype)
    module = room.from_cgru(model)
    assert type(module) is getattr(room, type(model).__name__) and module.training
    x = rng.normal(size=(7, 4, 3)).astype(dtype)
    y, final = module(torch.from_numpy(x))
    expected, state = model(x)
    np.testing.assert_allclose(y.detach().numpy(), expected, rtol=0, atol=2e-6)
    for one, other in zip(tensors(final), state if isinstance(state, tuple) else (state,), strict=True):
        np.testing.assert_allclose(one.detach().numpy(), other, rtol=0, atol=2e-6)
    assert cgru.from_torch(module) == model
    (y**2).sum().backward()
    assert all(one.grad.any() for one in module.parameters())


def test_from_torch_knows_where_the_reset_gate_acts(torch, room):
    inside = torch.nn.Sequential(torch.nn.Identity(), room.GRU(3, 5, reset_after=False))
    assert not cgru.from_torch(inside).reset_after and cgru.from_torch(room.GRU(3, 5)).reset_after
    net = cgru.Sequential.from_torch([inside[1], torch.nn.Linear(5, 2)])
    assert not net.layers[0].reset_after
    x = torch.randn(6, 2, 3)
    np.testing.assert_allclose(cgru.from_torch(inside)(x)[0], inside(x)[0].detach().numpy(), rtol=0, atol=2e-6)


def test_from_cgru_refuses(torch, room):
    cases = {
        "clip": cgru.GRU(3, 5, clip=1.0), "reverse": cgru.LSTM(3, 5, reverse=True),
        "merge_mode": cgru.RNN(3, 5, bidirectional=True, merge_mode="sum"),
        "nonlinearity": cgru.RNN(3, 5, nonlinearity="elu"),
        "initial_state": cgru.GRU(3, 5, initial_state=np.ones((1, 5))),
        "weights": cgru.GRU(3, 5).quantize("int8"),
    }  # fmt: skip
    for words, model in cases.items():
        with pytest.raises(ValueError, match=words):
            room.from_cgru(model)
    for other in (cgru.Linear(3, 5), cgru.Sequential([cgru.GRU(3, 5)]), torch.nn.GRU(3, 5), None):
        with pytest.raises(TypeError, match=r"model must be a cgru\.GRU, LSTM or RNN; got"):
            room.from_cgru(other)
