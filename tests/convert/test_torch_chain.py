"""Whole networks from PyTorch: a Sequential, modules in a list, state dicts and files with `layers`."""

import re
import warnings

import numpy as np
import pytest

import cgru
from cgru.convert.chains import NotAChain
from cgru.convert.torch_chain import chain_from_torch
from support.networks import run_chain
from support.peers import assert_same, single

TOLERANCE = 1e-5

#: Modules that are activations, and their names here.
ACTIVATIONS = {
    "ReLU": ({}, "relu"), "Tanh": ({}, "tanh"), "Sigmoid": ({}, "sigmoid"), "ELU": ({"alpha": 0.7}, ("elu", 0.7)),
    "LeakyReLU": ({"negative_slope": 0.2}, ("leaky_relu", 0.2)), "PReLU": ({"init": 0.3}, ("leaky_relu", 0.3)),
    "SiLU": ({}, "silu"), "GELU": ({}, "gelu"), "Softplus": ({}, "softplus"), "Softsign": ({}, "softsign"),
    "Hardsigmoid": ({}, ("hard_sigmoid", 1 / 6)), "Softmax": ({"dim": -1}, "softmax"),
}  # fmt: skip


def run_modules(torch, items, x, hx=None):
    """y and the final states of modules and "last", "h_n" in their order."""
    items, final, given = list(flat_items(torch, items)), [], iter(hx or ())
    first = any(getattr(module, "batch_first", False) for module in items)
    y = torch.as_tensor(x)
    with torch.no_grad():
        for module in items:
            if isinstance(module, torch.nn.RNNBase):
                network = module
                y, state = module(y, next(given, None))
                final.append(state)
            elif module == "last":
                y = y[:, -1] if first else y[-1]
            elif module == "h_n":
                h = final[-1][0] if isinstance(final[-1], tuple) else final[-1]
                y = torch.cat([h[-2], h[-1]], -1) if network.bidirectional else h[-1]
            else:
                y = module(y)
    return y.numpy(), final


def flat_items(torch, items):
    """Without Sequentials around them; in eval mode."""
    for item in items:
        if isinstance(item, torch.nn.Sequential):
            yield from flat_items(torch, item)
        else:
            yield item.eval() if isinstance(item, torch.nn.Module) else item


def random_items(torch, rng, count, batch_first=False):
    """`count` layers, activations and dropout between them; the last step is taken or not."""
    items, features, recurrent = [], int(rng.integers(2, 8)), -1
    for _ in range(count):
        kind = rng.choice(["GRU", "LSTM", "RNN", "Linear"])
        size = int(rng.integers(2, 8))
        if kind == "Linear":
            items.append(torch.nn.Linear(features, size, bias=bool(rng.integers(2))))
            features = size
        else:
            layers, both = (int(number) for number in rng.integers(1, 3, 2))
            own = {"nonlinearity": str(rng.choice(["tanh", "relu"]))} if kind == "RNN" else {}
            network = getattr(torch.nn, kind)
            items.append(network(features, size, layers, batch_first=batch_first, bidirectional=both == 2, **own))
            features, recurrent = size * both, len(items)
        if rng.integers(2):
            name = str(rng.choice(list(ACTIVATIONS)))
            items += [getattr(torch.nn, name)(**ACTIVATIONS[name][0]), torch.nn.Dropout(0.5)]
    if recurrent > 0 and rng.integers(2):
        items.insert(recurrent, str(rng.choice(["last", "h_n"])))
    return items


def features_of(torch, items):
    """The features of x."""
    first = next(module for module in items if isinstance(module, torch.nn.RNNBase | torch.nn.Linear))
    return first.in_features if isinstance(first, torch.nn.Linear) else first.input_size


def random_hx(torch, rng, items, N):
    """A state of every recurrent module."""
    found = []
    for module in items:
        if isinstance(module, torch.nn.RNNBase):
            shape = (module.num_layers * (1 + module.bidirectional), N, module.hidden_size)
            planes = [torch.from_numpy(single(rng.normal(size=shape))) for _ in range(1 + (module.mode == "LSTM"))]
            found.append(planes[0] if len(planes) == 1 else tuple(planes))
    return found


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_random_networks(torch, count, seed):
    rng = np.random.default_rng([count, seed])
    torch.manual_seed(seed)
    batch_first = bool(seed % 2)
    items = random_items(torch, rng, count, batch_first)
    x = single(rng.normal(size=(3, 9, features_of(torch, items))))      # (T, N, I), or (N, T, I)
    recurrent = any(isinstance(module, torch.nn.RNNBase) for module in items)
    hx = random_hx(torch, rng, items, 3 if batch_first else 9)
    expected, states = run_modules(torch, items, x, hx)
    chain = chain_from_torch(items)
    assert chain.batch_first == (batch_first and recurrent) and chain.dtype == np.float32
    y, final = run_chain(chain, x, tuple(hx))
    assert_same(y, expected, TOLERANCE * max(1, np.abs(expected).max()))
    assert len(final) == len(states)
    for got, wanted in zip(final, states, strict=True):
        for one, other in zip(*(part if isinstance(part, tuple) else (part,) for part in (got, wanted)), strict=True):
            assert_same(one, other, TOLERANCE * max(1, float(other.abs().max())))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(torch, rng, name):
    options, here = ACTIVATIONS[name]
    items = [torch.nn.Linear(3, 6), getattr(torch.nn, name)(**options)]
    x = single(rng.normal(size=(5, 4, 3)) * 3)
    chain = chain_from_torch(items)
    given = here if isinstance(here, tuple) else (here,)
    for got, wanted in zip(chain.layers[0].config.activations[0][0], given, strict=False):
        assert got == wanted if isinstance(wanted, str) else np.isclose(got, wanted, rtol=1e-7)
    assert_same(run_chain(chain, x)[0], run_modules(torch, items, x)[0], TOLERANCE)
    words = [items[0], here]                 # the name in its place
    assert run_chain(chain_from_torch(words), x)[0] == pytest.approx(run_chain(chain, x)[0], abs=1e-6)


def test_both_gelus(torch, rng):
    x = single(rng.normal(size=(7, 3)) * 2)
    for approximate, here in (("none", "gelu"), ("tanh", "gelu_tanh")):
        items = [torch.nn.Linear(3, 2), torch.nn.GELU(approximate)]
        chain = chain_from_torch(items)
        assert chain.layers[0].config.activations[0][0].name == here
        assert_same(run_chain(chain, x)[0], run_modules(torch, items, x)[0], TOLERANCE)


def amplifier(torch, **options):
    """GRU, Linear, Tanh, Linear in nested Sequentials, with a Dropout and an Identity."""
    nn = torch.nn
    torch.manual_seed(5)
    head = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Dropout(0.5), nn.Sequential(nn.Linear(4, 2), nn.Identity()))
    return nn.Sequential(nn.GRU(3, 5, **options), head)


def test_a_nested_sequential(torch, rng):
    net = amplifier(torch, batch_first=True)
    x = single(rng.normal(size=(2, 7, 3)))
    chain = chain_from_torch(net)
    assert [layer.config.cell.name for layer in chain.layers] == ["GRU", "Linear", "Linear"] and chain.batch_first
    assert_same(run_chain(chain, x)[0], run_modules(torch, [net], x)[0], TOLERANCE)
    assert not chain_from_torch(net, batch_first=False).batch_first
    with_skip = chain_from_torch(net, skip=True, last=True)
    expected = run_modules(torch, [net], x)[0][:, -1] + x[:, -1, :2]
    assert_same(run_chain(with_skip, x)[0], expected, TOLERANCE)
    assert chain_from_torch(torch.nn.ModuleList(net)).layers == chain.layers
    assert chain_from_torch([net[0], "last", net[1]]).last is True
    assert chain_from_torch(net, last="h_n").last == chain_from_torch([net[0], "h_n", net[1]]).last == "h_n"


def test_one_activation_module_in_two_places(torch, rng):
    act = torch.nn.Tanh()
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), act, torch.nn.Linear(4, 2), act)
    x = single(rng.normal(size=(5, 3)))
    assert_same(run_chain(chain_from_torch(net), x)[0], net(torch.from_numpy(x)).detach(), TOLERANCE)


def test_cells(torch, rng):
    """A cell is a layer of its own."""
    x = single(rng.normal(size=(1, 4, 3)))
    for cell in (torch.nn.GRUCell(3, 5), torch.nn.RNNCell(3, 5, nonlinearity="relu")):
        chain = chain_from_torch([cell, torch.nn.Linear(5, 2)], batch_first=False)
        h = torch.from_numpy(single(rng.normal(size=(4, 5))))
        y, (h_n,) = run_chain(chain, x, (h.numpy()[None],))
        assert_same(h_n[0], cell(torch.from_numpy(x[0]), h).detach(), TOLERANCE)
        assert y.shape == (1, 4, 2)


def test_batch_norm_is_folded_where_there_is_one_step(torch, rng):
    nn = torch.nn
    torch.manual_seed(3)
    norms = nn.BatchNorm1d(5), nn.BatchNorm1d(4, affine=False)
    for norm in norms:
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
    with torch.no_grad():
        norms[0].weight.normal_()
        norms[0].bias.normal_()
    items = [nn.GRU(3, 5), "last", norms[0], nn.Linear(5, 4), norms[1], nn.ReLU(), nn.Softmax(dim=1)]
    x = single(rng.normal(size=(6, 2, 3)))
    chain = chain_from_torch(items)
    assert [layer.config.cell.name for layer in chain.layers] == ["GRU", "Linear", "Linear"]
    assert_same(run_chain(chain, x)[0], run_modules(torch, items, x)[0], TOLERANCE)
    only = [nn.Linear(3, 5), norms[0], nn.Tanh()]          # nothing recurrent: x has no steps
    assert_same(run_chain(chain_from_torch(only), x[0])[0], run_modules(torch, only, x[0])[0], TOLERANCE)
    for unclear in ([*items[:1], *items[2:]], [items[0], norms[0], "last", *items[3:]]):
        with pytest.raises(NotAChain, match=r"^'\d' \(BatchNorm1d\) takes the second axis .* 'last' alone; in NumPy: "):
            chain_from_torch(unclear)
    with pytest.raises(NotAChain, match="keeps no running statistics"):
        chain_from_torch([nn.Linear(3, 5), nn.BatchNorm1d(5, track_running_stats=False)])


def test_an_activation_in_front(torch, rng):
    items = [torch.nn.Tanh(), torch.nn.Dropout(0.1), torch.nn.GRU(3, 5)]
    x = single(rng.normal(size=(6, 2, 3)))
    assert_same(run_chain(chain_from_torch(items), x)[0], run_modules(torch, items, x)[0], TOLERANCE)


def test_softmax_over_steps_is_refused(torch):
    items = [torch.nn.GRU(3, 5), torch.nn.Softmax(dim=1)]
    for dim in (1, 0, None):
        items[1] = torch.nn.Softmax(dim)
        with pytest.raises(NotAChain, match=rf"'1' \(Softmax\) has dim={dim}, .* take dim=-1; in NumPy: "):
            chain_from_torch(items)
    items[1] = torch.nn.Softmax(dim=2)
    assert chain_from_torch(items).layers[1].config.activations[0][0].name == "softmax"
    assert chain_from_torch([items[0], "last", torch.nn.Softmax(dim=1)]).output_size == 5


def test_dtypes(torch, rng):
    net = amplifier(torch)
    x = rng.normal(size=(7, 2, 3))
    chain = chain_from_torch(net.double())
    assert chain.dtype == np.float64 and net[0].weight_ih_l0.requires_grad
    np.testing.assert_allclose(run_chain(chain, x)[0], run_modules(torch, [net], x)[0], rtol=0, atol=1e-12)
    assert chain_from_torch(net, dtype="float32").dtype == np.float32
    assert chain_from_torch([torch.nn.Linear(3, 2).double()]).dtype == np.float64
    half = chain_from_torch(net.bfloat16())
    assert half.dtype == np.float32
    assert_same(run_chain(half, single(x))[0], run_modules(torch, [net.float()], single(x))[0], TOLERANCE)
    assert chain_from_torch([net[0].double(), net[1]]).dtype == np.float32
    with pytest.raises(TypeError, match="dtype must be float32 or float64"):
        chain_from_torch(net, dtype="int8")


def test_the_door(torch, rng, tmp_path):
    net = amplifier(torch)
    x = single(rng.normal(size=(7, 2, 3)))
    ours = cgru.Sequential.from_torch(net, skip=True, last=True)
    assert_same(ours(x)[0], run_modules(torch, [net], x)[0][-1] + x[-1, :, :2], TOLERANCE)
    torch.save(net.state_dict(), tmp_path / "net.pt")
    given = {"layers": ["0", "1.0", "tanh", "1.3.0"], "skip": True, "last": True}
    assert cgru.Sequential.from_torch(tmp_path / "net.pt", **given) == ours
    modules = {"rnn": torch.nn.RNN(3, 5, nonlinearity="relu"), "head": torch.nn.Linear(5, 2)}
    state = torch.nn.ModuleDict(modules).state_dict()
    given = {"layers": ["rnn", "head"], "nonlinearity": "relu", "dtype": "float64", "engine": "blas"}
    ours = cgru.Sequential.from_torch(state, **given)
    assert_same(single(ours(x)[0]), run_modules(torch, list(modules.values()), x)[0], TOLERANCE)
    assert ours.dtype == np.float64 and {layer.engine for layer in ours.layers} == {"blas"}


# ---- state dicts


def a_net(torch):
    """Modules whose order is that of a forward."""

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.head = torch.nn.Linear(4, 2)
            self.out = torch.nn.ELU(0.5)
            self.rnn = torch.nn.GRU(3, 5, 2, batch_first=True)
            self.mlp = torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.Tanh())

        def forward(self, x):
            return self.out(self.head(self.mlp(self.rnn(x)[0][:, -1])))

    torch.manual_seed(2)
    return Net()


@pytest.mark.parametrize("kind", ["dict", "pt", "nested.pt", "safetensors", "npz"])
def test_a_state_dict_in_the_order_given(torch, rng, tmp_path, kind):
    net = a_net(torch)
    source, above = net.state_dict(), "model." if kind == "nested.pt" else ""
    if kind != "dict":
        path = tmp_path / f"net.{kind}"
        if kind == "safetensors":
            pytest.importorskip("safetensors.torch").save_file(source, path)
        elif kind == "npz":
            np.savez(path, **{name: value.numpy() for name, value in source.items()})
        else:
            torch.save({"epoch": 3, "model": source} if above else source, path)
        source = path
    x = single(rng.normal(size=(4, 7, 3)))
    layers = [f"{above}rnn", "last", f"{above}mlp.0.", "tanh", f"{above}head", ("elu", 0.5)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        chain = chain_from_torch(source, layers=layers, batch_first=True)
    assert_same(run_chain(chain, x)[0], net(torch.from_numpy(x)).detach(), TOLERANCE)
    with pytest.warns(UserWarning, match=rf"leaves out '{above}head', '{above}mlp\.0', which the state dict holds too"):
        assert not chain_from_torch(source, layers=layers[:1]).batch_first
    skipping = chain_from_torch(source, layers=layers, batch_first=True, skip=True)
    assert_same(run_chain(skipping, x)[0], net(torch.from_numpy(x)).detach().numpy() + x[:, -1, :2], TOLERANCE)


def test_the_submodules_of_a_module(torch, rng):
    net = a_net(torch)
    x = single(rng.normal(size=(4, 7, 3)))
    chain = chain_from_torch(net, layers=["rnn", "last", "mlp", "head", "out"])
    assert_same(run_chain(chain, x)[0], net(torch.from_numpy(x)).detach(), TOLERANCE)
    with pytest.raises(ValueError, match=r"'gru' in layers is none of the submodules, 'head', 'out', 'rnn', "):
        chain_from_torch(net, layers=["gru", "head"])
    with pytest.raises(NotAChain, match=r"^Net has a forward of its own.* layers=\['head', 'out', 'rnn', 'mlp'\]"):
        chain_from_torch(net)


def test_a_name_in_the_state_dict_goes_before_a_word(torch, rng):
    last, tanh = torch.nn.Linear(5, 4), torch.nn.Linear(4, 2)
    gru = torch.nn.GRU(3, 5)
    state = torch.nn.ModuleDict({"gru": gru, "last": last, "tanh": tanh}).state_dict()
    chain = chain_from_torch(state, layers=("gru", "last", "tanh", "relu"))
    assert chain.last is False and len(chain.layers) == 3
    x = single(rng.normal(size=(6, 2, 3)))
    expected = run_modules(torch, [gru, last, tanh, torch.nn.ReLU()], x)[0]
    assert_same(run_chain(chain, x)[0], expected, TOLERANCE)


def test_an_rnn_s_nonlinearity_is_asked(torch, rng):
    modules = {"rnn": torch.nn.RNN(3, 5, nonlinearity="relu"), "gru": torch.nn.GRU(5, 4)}
    chain = chain_from_torch(torch.nn.ModuleDict(modules).state_dict(), layers=["rnn", "gru"], nonlinearity="relu")
    x = single(rng.normal(size=(6, 2, 3)))
    assert_same(run_chain(chain, x)[0], run_modules(torch, list(modules.values()), x)[0], TOLERANCE)


def test_what_layers_may_not_be(torch):
    state = a_net(torch).state_dict()
    with pytest.raises(ValueError, match=r"order .*: give layers=, such as layers=\['head', 'rnn', 'mlp\.0'\]"):
        chain_from_torch(state)
    with pytest.raises(ValueError, match=r"'gru' in layers is none of the prefixes in the state dict, 'head', 'rnn', "):
        chain_from_torch(state, layers=["gru", "head"])
    with pytest.raises(ValueError, match=r"'mlp' in layers stands before several, 'mlp\.0': name each one"):
        chain_from_torch(state, layers=["rnn", "mlp"])
    with pytest.raises(ValueError, match=r"^'head' \(Linear\) takes 4 features, and what is before it gives 5$"):
        chain_from_torch(state, layers=["rnn", "head"])
    with pytest.raises(TypeError, match="layers must be a sequence of names"):
        chain_from_torch(state, layers="rnn")
    norm = torch.nn.ModuleDict({"norm": torch.nn.BatchNorm1d(4), "layer": torch.nn.LayerNorm(4)}).state_dict()
    with pytest.raises(NotAChain, match="'norm' is a BatchNorm, whose eps a state dict does not hold"):
        chain_from_torch(norm, layers=["norm"])
    with pytest.raises(NotAChain, match=r"'layer' holds weight \(4,\), bias \(4,\): that is no recurrent layer"):
        chain_from_torch(norm, layers=["layer"])
    with pytest.raises(NotAChain, match="'' has a projection"):
        chain_from_torch(torch.nn.LSTM(3, 5, proj_size=2).state_dict())


def test_a_file_s_errors_name_it(torch, tmp_path):
    path = tmp_path / "net.pt"
    torch.save(a_net(torch).state_dict(), path)
    with pytest.raises(TypeError, match=r"layers must be a sequence of names, such as .*; got 'rnn'"):
        cgru.load(path, layers="rnn")
    torch.save(torch.nn.ModuleDict({"norm": torch.nn.BatchNorm1d(4)}).state_dict(), path)
    with pytest.raises(NotAChain, match=f"^{re.escape(str(path))}: 'norm' is a BatchNorm"):
        chain_from_torch(path, layers=["norm"])
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))}: 'nor' in layers is none of"):
        chain_from_torch(path, layers=["nor"])
    torch.save(amplifier(torch), path)
    with pytest.raises(ValueError, match=rf"^{re.escape(str(path))} holds a pickled torch\.\S+\.Sequential, which"):
        chain_from_torch(path, layers=["0"])
    with pytest.raises(FileNotFoundError):
        chain_from_torch(tmp_path / "none.pt", layers=["0"])


# ---- what is no chain


def test_layers_that_there_are_not(torch):
    nn = torch.nn
    cases = [nn.Embedding(9, 3), nn.LayerNorm(5), nn.Conv1d(5, 5, 1), nn.MultiheadAttention(5, 1), nn.LogSoftmax(-1)]
    for module in cases:
        name = type(module).__name__
        with pytest.raises(NotAChain, match=rf"^'1\.0' \({name}\) is no layer of a cgru.* in NumPy: .* = "):
            chain_from_torch([nn.GRU(3, 5), nn.Sequential(module)])
    for module, why in [(nn.PReLU(5), "slope for each feature"), (nn.Softplus(beta=2), "beta=2, threshold=20")]:
        with pytest.raises(NotAChain, match=rf"^'1' \({type(module).__name__}\) has .*{why}.*in NumPy: y = "):
            chain_from_torch([nn.GRU(3, 5), module])
    with pytest.raises(NotAChain, match=r"^'0' \(LSTM\) has proj_size=2"):
        chain_from_torch([nn.LSTM(3, 5, proj_size=2)])
    scaled = type("Scaled", (nn.Module,), {"forward": lambda self, x: x * self.gain})()
    scaled.gain = nn.Parameter(torch.ones(5))
    with pytest.raises(NotAChain, match=r"^'1' \(Scaled\), with gain, is no layer of a cgru\.Sequential"):
        chain_from_torch([nn.GRU(3, 5), scaled])


def wrappers(torch):
    """Modules that people write around a GRU in a Sequential."""

    class First(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.gru = torch.nn.GRU(3, 5)

        def forward(self, x):
            return self.gru(x)[0]

    class LastStep(torch.nn.Module):
        def forward(self, x):
            return x[0][-1]

    class OutputOnly(torch.nn.GRU):
        def forward(self, x, hx=None):
            return super().forward(x, hx)[0]

    class Odd(torch.nn.Module):
        def forward(self, x):
            return x * x

    return First(), LastStep(), OutputOnly(3, 5), Odd()


def test_wrappers_are_not_guessed(torch):
    first, last_step, output_only, odd = wrappers(torch)
    linear = torch.nn.Linear(5, 2)
    with pytest.raises(NotAChain, match=r"^'0' \(First\) wraps a recurrent layer, .* its \.gru, in its place, "):
        chain_from_torch(torch.nn.Sequential(first, linear))
    with pytest.raises(NotAChain, match=r"^'1' \(LastStep\) cannot be read: give 'last' in its place"):
        chain_from_torch(torch.nn.Sequential(first.gru, last_step, linear))
    with pytest.raises(NotAChain, match=r"^'0' \(OutputOnly\)"):
        chain_from_torch([output_only, linear])
    with pytest.raises(NotAChain, match=r"^'1' \(Odd\), which has no parameters, is no layer"):
        chain_from_torch([first.gru, odd])
    assert chain_from_torch([first.gru, "last", linear]).last is True


def test_subclasses_that_change_nothing(torch, rng):
    class Mine(torch.nn.GRU):
        pass

    items = [Mine(3, 5), torch.nn.Linear(5, 2)]
    x = single(rng.normal(size=(6, 2, 3)))
    assert_same(run_chain(chain_from_torch(items), x)[0], run_modules(torch, items, x)[0], TOLERANCE)
    items[0].forward = lambda x: x
    with pytest.raises(NotAChain, match=r"'0' \(Mine\)"):
        chain_from_torch(items)


def test_the_module_that_trains_through_cgru(torch, rng):
    import cgru.torch

    items = [cgru.torch.GRU(3, 5), torch.nn.Linear(5, 2)]
    x = single(rng.normal(size=(6, 2, 3)))
    assert_same(run_chain(chain_from_torch(items), x)[0], run_modules(torch, items, x)[0], TOLERANCE)


def test_order_and_sizes(torch):
    nn = torch.nn
    gru, linear = nn.GRU(3, 5), nn.Linear(4, 2)
    with pytest.raises(ValueError, match=r"^'1' \(Linear\) takes 4 features, and what is before it gives 5$"):
        chain_from_torch([gru, linear])
    with pytest.raises(NotAChain, match=r"^'2' \(GRU\) stands behind 'last', which leaves it one step to run over$"):
        chain_from_torch([gru, "last", nn.GRU(5, 4)])
    with pytest.raises(NotAChain, match=r"^'h_n' must stand behind a recurrent layer"):
        chain_from_torch([gru, nn.Linear(5, 2), "h_n"])
    with pytest.raises(ValueError, match="last=True, and there is a 'last'"):
        chain_from_torch([gru, "last"], last=True)
    with pytest.raises(ValueError, match="last must be False, True or 'h_n'; got 1"):
        chain_from_torch([gru], last=1)
    with pytest.raises(ValueError, match=r"^'1' \(GRU\) has batch_first=True, '0' \(GRU\) batch_first=False: a"):
        chain_from_torch([gru, nn.GRU(5, 4, batch_first=True)])
    with pytest.raises(ValueError, match="layers is empty"):
        chain_from_torch([])
    with pytest.raises(ValueError, match="skip adds x to y"):
        chain_from_torch([gru], skip=True)
    for odd in (gru.forward, 3, "softmux"):
        with pytest.raises(TypeError, match=r"item 1 of the list is .*; expected a module, 'last', 'h_n', or the name"):
            chain_from_torch([gru, odd])
    with pytest.raises(TypeError, match=r"expected an nn\.Sequential, .*; got int"):
        chain_from_torch(3)
    with pytest.raises(TypeError, match="a list of modules has its order"):
        chain_from_torch([gru], layers=["0"])
