"""Whole networks from the second form of RTNeural's JSON, GuitarML's, against PyTorch modules that do the same."""

import json

import numpy as np
import pytest

import cgru
from cgru.convert.chains import NotAChain
from cgru.convert.rtneural_chain import chain_from_rtneural
from support.peers import assert_same, peer, single

TOLERANCE = 1e-5
I, H = 3, 5     # noqa: E741


@pytest.fixture
def torch():
    torch = peer("torch")
    torch.manual_seed(14)
    return torch


def read(source, **options):
    return cgru.Sequential.from_rtneural(source, **options)


def inputs(rng, features=I):
    return single(rng.normal(size=(11, 2, features)))


def block(torch, kind, size=I, outputs=1, layers=1, bias=True):
    """A recurrent unit and a Linear, named as CoreAudioML names them."""
    names = {"rec": getattr(torch.nn, kind)(size, H, layers), "lin": torch.nn.Linear(H, outputs, bias)}
    module = torch.nn.ModuleDict(names).double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_((parameter * 2).float())        # float32 numbers
    return module


def run(torch, module, x, adds=0):
    x = torch.as_tensor(x, dtype=torch.float64)
    with torch.no_grad():
        y = module["lin"](module["rec"](x)[0])
        return (y + x[..., :adds] if adds else y).numpy()


def lists(module, above=""):
    return {f"{above}{name}": tensor.tolist() for name, tensor in module.state_dict().items()}


def simple(module, **facts):
    """The JSON of a SimpleRNN."""
    rec, lin = module["rec"], module["lin"]
    told = {"model": "SimpleRNN", "input_size": rec.input_size, "skip": 0, "output_size": lin.out_features,
            "unit_type": type(rec).__name__, "num_layers": rec.num_layers, "hidden_size": H,
            "bias_fl": lin.bias is not None}  # fmt: skip
    return {"model_data": told | facts, "state_dict": lists(module)}


@pytest.mark.parametrize("kind", ["GRU", "LSTM", "RNN"])
@pytest.mark.parametrize("skip", [0, 1])
@pytest.mark.parametrize("layers, bias", [(1, True), (3, True), (1, False)])
def test_a_simple_rnn(torch, rng, kind, skip, layers, bias, tmp_path):
    module = block(torch, kind, layers=layers, bias=bias)
    model, x = simple(module, skip=skip), inputs(rng)
    path = tmp_path / "model.json"
    path.write_text(json.dumps(model))
    expected = run(torch, module, x, skip)
    for source in (model, path):
        net = read(source)
        assert net.skip == bool(skip) and len(net.layers) == 2
        assert_same(net(x)[0], expected, TOLERANCE)
    assert read(path, batch_first=True, dtype="float64").chain.batch_first
    assert_same(read(path, skip=not skip)(x)[0], run(torch, module, x, 1 - skip), TOLERANCE)


def test_a_skip_of_several_features(torch, rng):
    module, x = block(torch, "GRU", outputs=2), inputs(rng)
    net = read(simple(module, skip=2))
    assert_same(net(x)[0], run(torch, module, x, 2), TOLERANCE)
    for skip in (1, 3):
        with pytest.raises(NotAChain, match=rf"the first {skip} features of x .* 2 outputs.* x\[\.\.\., :{skip}\]"):
            read(simple(module, skip=skip))
    assert read(simple(module, skip=True) | {"state_dict": lists(block(torch, "GRU"))}, layers=(
        "state_dict.rec", "state_dict.lin")).skip is False  # fmt: skip
    without = simple(block(torch, "GRU", size=1))
    del without["model_data"]["skip"]
    assert read(without).skip, "CoreAudioML's default is a skip"


def test_a_recnet(torch, rng):
    """Blocks, each with a skip of its own unless it says so."""
    first, second = block(torch, "LSTM", outputs=2), block(torch, "GRU", size=2)
    params = {"block_type": "LSTM", "input_size": I, "output_size": 1, "hidden_size": H}
    facts = {"model": "RecNet", "skip": 0}
    alone = block(torch, "LSTM")
    one = {"model_data": facts, "blocks": {"0": params}, "state_dict": lists(alone, "layers.block_1.")}
    x = inputs(rng)
    assert_same(read(one)(x)[0], run(torch, alone, x, 1), TOLERANCE)
    one["blocks"] = {"0": params | {"skip": 0}}
    assert_same(read(one)(x)[0], run(torch, alone, x), TOLERANCE)
    tensors = lists(first, "layers.block_1.") | lists(second, "layers.block_2.")
    two = {"model_data": facts | {"skip": 1}, "blocks": {"0": {"skip": 0}, "1": {"skip": 0}}, "state_dict": tensors}
    net = read(two)
    assert len(net.layers) == 4
    assert_same(net(x)[0], run(torch, second, run(torch, first, x)) + x[..., :1], TOLERANCE)
    with pytest.raises(NotAChain, match=r"RecNet: its blocks add their own inputs.*y = block\(x\) \+ x"):
        read(two | {"blocks": {"0": {}, "1": {"skip": 0}}})
    with pytest.raises(ValueError, match="the RecNet has no blocks"):
        read(two | {"blocks": []})


def test_an_order_that_is_given(torch, rng, tmp_path):
    """As in RTNeural's own gru_torch.json: two GRUs, the second of three layers, and a dense."""
    modules = {"gru": torch.nn.GRU(1, 4), "gru2": torch.nn.GRU(4, 6, num_layers=3), "dense": torch.nn.Linear(6, 2)}
    tensors = lists(torch.nn.ModuleDict(modules))
    path = tmp_path / "model.json"
    path.write_text(json.dumps(dict(reversed(tensors.items()))))
    x = inputs(rng, 1)
    with torch.no_grad():
        h = modules["gru2"](modules["gru"](torch.as_tensor(x))[0])[0]
        expected = modules["dense"](h).numpy()
    for order in (("gru", "gru2", "dense"), ("gru.", "gru2.", "dense.")):
        net = read(path, layers=order)
        assert_same(net(x)[0], expected, TOLERANCE)
    words = r"model\.json: a state dict holds no order.*layers=, of 'dense', 'gru2', 'gru'$"
    with pytest.raises(NotAChain, match=words):
        read(path)
    with pytest.raises(ValueError, match=r"layer 'dense': its weights take 6 features, and there are 4 before it"):
        read(path, layers=("gru", "dense", "gru2"), skip=False)
    with pytest.raises(ValueError, match=r"layer 'lin': there is no such layer; there are: 'dense', 'gru2', 'gru'"):
        read(path, layers=("gru", "lin"))
    for wrong in ((), (1, 2)):
        with pytest.raises(ValueError, match="layers must be the prefixes of layers in their order"):
            read(path, layers=wrong)
    with pytest.raises(ValueError, match="layers= is for a state dict of PyTorch"):
        read({"layers": [{"type": "dense", "weights": [[[1.0]]]}]}, layers=("gru",))


def test_damaged_files(torch, tmp_path):
    module = block(torch, "LSTM")
    good = simple(module)
    path = tmp_path / "model.json"

    def tensors(**changes):
        kept = {name: value for name, value in good["state_dict"].items() if changes.get(name, 0) is not None}
        return good | {"state_dict": kept | {name: value for name, value in changes.items() if value is not None}}

    cases = [
        (simple(module, hidden_size=7), "model_data says hidden_size=7, and the arrays are those of 5"),
        (simple(module, input_size=1), "model_data says input_size=1, and the arrays are those of 3"),
        (simple(module, num_layers=2), "model_data says num_layers=2, and the arrays are those of 1"),
        (simple(module, output_size=2), "model_data says output_size=2, and the arrays are those of 1"),
        (simple(module, unit_type="GRU"), "model_data says unit_type='GRU', and the arrays are those of 'LSTM'"),
        (simple(module, skip="yes"), "skip must be a number of features; got 'yes'"),
        (simple(module, skip=-1), "skip must be a number of features; got -1"),
        (tensors(**{"lin.weight": None, "lin.bias": None}), "layer 'state_dict.lin': there is no such layer"),
        (tensors(**{"lin.weight": [[1.0] * 4]}), "layer 'state_dict.lin': its weights take 4 features, and"),
        (tensors(**{"lin.bias": [1.0, 2.0]}), r"layer 'state_dict.lin': bias has shape \(2,\)"),
        (tensors(**{"rec.weight_hh_l0": None}), "layer 'state_dict.rec': there is no weight_ih_l0 with its weight_hh_"),
        (tensors(**{"rec.bias_hh_l0": [1.0]}), r"layer 'state_dict.rec': .*bias_hh_l0 has shape \(1,\)"),
        (tensors(**{"rec.bias_hh_l0": ["a"]}), "state_dict.rec.bias_hh_l0 has dtype"),
        (tensors(**{"rec.bias_hh_l0": [[1.0], [1.0, 2.0]]}), "state_dict.rec.bias_hh_l0 cannot be read as an array"),
        (good | {"model_data": {"model": "GatedConvNet"}}, "the model 'GatedConvNet' is no chain"),
    ]  # fmt: skip
    for model, words in cases:
        path.write_text(json.dumps(model))
        with pytest.raises(ValueError, match=rf"model\.json: .*{words}") as caught:
            chain_from_rtneural(path)
        assert "\n" not in str(caught.value)
    assert isinstance(caught.value, NotAChain)


# ---- the door for one layer says what it leaves out


def test_one_layer_alone(torch, rng):
    module = block(torch, "GRU")
    words = r"are state_dict\.lin\.weight, state_dict\.lin\.bias, model_data\.skip; cgru\.Sequential\.from_rtneural "
    with pytest.warns(UserWarning, match=words):
        assert cgru.from_rtneural(simple(module, skip=1)).hidden_size == H
    gru = {"type": "gru", "weights": [np.ones(shape).tolist() for shape in ((3, 12), (4, 12), (2, 12))]}
    dense = {"type": "dense", "activation": "tanh", "weights": [[[0.5]] * 4, [0.5]]}
    act = {"type": "activation", "activation": "softmax", "weights": []}
    nothing = {"type": "activation", "activation": "", "weights": []}
    words = r"are dense \(layer 1\), softmax \(layer 2\), in_skip, out_gain; cgru\.Sequential\.from_rtneural reads"
    with pytest.warns(UserWarning, match=words):
        cgru.from_rtneural({"layers": [gru, dense, act, nothing], "in_skip": 1, "in_gain": 0, "out_gain": 3.5})
    cgru.from_rtneural({"layers": [gru, nothing], "in_skip": 0, "in_gain": None})      # a warning is an error here
