"""`to_onnx` and `to_torch` of networks and Linears: ONNX Runtime and PyTorch compute the same."""

import copy

import numpy as np
import pytest

import cgru
from cgru.chain import Chain
from cgru.config import Config
from cgru.convert.onnx_write import write_onnx
from cgru.convert.torch_chain import chain_from_torch
from cgru.convert.torch_write import to_torch
from cgru.weights import linear_weights
from support.models import random_lengths
from support.networks import ACTIVATIONS, planes_of, random_chain, random_hx, random_weights, run_chain
from support.peers import assert_same, peer, single

TOLERANCE = 1e-5


def assert_near(got, wanted):
    """Within 1e-5 of 1, or of the largest number."""
    assert_same(got, wanted, TOLERANCE * max(1, np.abs(wanted).max()))


def run_onnx(path, inputs):
    """The outputs of ONNX Runtime by name."""
    session = peer("onnxruntime").InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert [one.name for one in session.get_inputs()] == list(inputs)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, inputs), strict=True))


def names_of(chain, when):
    """h_0_0, or with an LSTM h_0_0, c_0_0, ..."""
    configs = [chain.layers[number].config for number in chain.recurrent]
    return [f"{plane}_{when}_{place}" for place, config in enumerate(configs) for plane in config.cell.states]


def around_of(seed):
    """last, skip and batch_first: all together in twelve seeds."""
    return {"last": (False, True, "h_n")[seed % 3], "skip": seed % 2 == 1, "batch_first": seed // 2 % 2 == 1}


def sizes(batch_first):
    """T, N and the shape of x without its features."""
    T, N = 7, 3
    return T, N, (N, T) if batch_first else (T, N)


# ---- ONNX


@pytest.mark.parametrize("with_lengths", [False, True], ids=["full", "lengths"])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("seed", range(12))
def test_onnx_runtime_runs_random_networks(tmp_path, seed, count, with_lengths):
    peer("onnx")
    rng = np.random.default_rng([seed, count, 7])
    chain = random_chain(rng, count, special=True, **around_of(seed))
    T, N, steps = sizes(chain.batch_first)
    x, path = single(rng.normal(size=(*steps, chain.input_size))), tmp_path / "net.onnx"
    inputs, hx, lengths = {"x": x}, None, None
    with_hx = (seed + count) % 2 == 0
    if with_hx:
        hx = random_hx(rng, chain, N)
        inputs |= zip(names_of(chain, "0"), planes_of(hx), strict=True)
    if with_lengths:
        lengths = inputs["lengths"] = random_lengths(rng, T, N).astype(np.int32)
    turned = [number for number in chain.recurrent if chain.layers[number].config.go_backwards]
    if with_lengths and turned:
        with pytest.raises(ValueError, match=f"lengths=True: layer {turned[0]} leaves its output in reversed order"):
            write_onnx(chain, path, h_0=with_hx, lengths=True)
        assert not path.exists()
        return
    write_onnx(chain, path, h_0=with_hx, lengths=with_lengths)
    found = run_onnx(path, inputs)
    assert list(found) == ["y", *names_of(chain, "n")]
    y, final = run_chain(chain, x, hx, lengths)
    for got, wanted in zip(found.values(), [y, *planes_of(final)], strict=True):
        assert_near(got, wanted)


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
def test_a_row_without_steps(tmp_path, rng, last, batch_first):
    peer("onnx")
    config = Config(input_size=3, hidden_size=5, batch_first=batch_first)
    layers = [random_weights(rng, config), linear_weights(rng.normal(size=(2, 5)), rng.normal(size=2))]
    chain = Chain([layer.astype(np.float32) for layer in layers], last=last, skip=True, batch_first=batch_first)
    T, _, steps = sizes(batch_first)
    x, lengths = single(rng.normal(size=(*steps, 3))), np.array([T, 0, 4], np.int32)
    write_onnx(chain, tmp_path / "net.onnx", h_0=False, lengths=True)
    found = run_onnx(tmp_path / "net.onnx", {"x": x, "lengths": lengths})["y"]
    assert_near(found, run_chain(chain, x, None, lengths)[0])
    assert not found[1].any() if batch_first or last else not found[:, 1].any()
    assert found[0].all() if batch_first or last else found[:, 0].all()


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
def test_onnx_of_a_linear(tmp_path, rng, activation):
    peer("onnx")
    for bias in (None, rng.normal(size=4)):
        weights = linear_weights(rng.normal(size=(4, 3)), bias, activation, dtype=np.float32)
        write_onnx(weights, tmp_path / "linear.onnx")
        x = single(rng.normal(size=(7, 3)) * 3)
        assert_near(run_onnx(tmp_path / "linear.onnx", {"x": x})["y"], run_chain(Chain([weights]), x)[0])


def test_float64_is_written_as_float64(tmp_path, rng):
    onnx = peer("onnx")
    chain = random_chain(rng, 3, dtype=np.float64)
    write_onnx(chain, tmp_path / "net.onnx")
    model = onnx.load(tmp_path / "net.onnx")
    double = onnx.TensorProto.DOUBLE
    assert {one.type.tensor_type.elem_type for one in [*model.graph.input, *model.graph.output]} == {double}
    integers = {onnx.TensorProto.INT64}
    assert {one.data_type for one in model.graph.initializer} - integers == {double}


@pytest.mark.parametrize("weight_dtype", ["bfloat16", "int8"])
def test_quantised_weights_are_written_as_what_they_stand_for(tmp_path, rng, torch, weight_dtype):
    peer("onnx")
    layers = [random_weights(rng, Config(input_size=3, hidden_size=5, kind="lstm"))]
    layers += [linear_weights(rng.normal(size=(2, 5)), rng.normal(size=2), "tanh", dtype=np.float32)]
    layers = [layer.quantize(weight_dtype) for layer in layers]
    chain, plain = Chain(layers, skip=True), Chain([layer.dequantize() for layer in layers], skip=True)
    x = single(rng.normal(size=(7, 2, 3)))
    expected = run_chain(plain, x)[0]
    write_onnx(chain, tmp_path / "net.onnx", h_0=False)
    assert_near(run_onnx(tmp_path / "net.onnx", {"x": x})["y"], expected)
    assert_near(to_torch(chain)(torch.from_numpy(x))[0].detach(), expected)
    write_onnx(layers[1], tmp_path / "linear.onnx")
    x = single(rng.normal(size=(7, 5)))
    assert_near(run_onnx(tmp_path / "linear.onnx", {"x": x})["y"], run_chain(Chain(plain.layers[1:]), x)[0])


# ---- PyTorch


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("seed", range(12))
def test_pytorch_runs_random_networks(torch, seed, count, dtype):
    rng = np.random.default_rng([seed, count, 5])
    chain = random_chain(rng, count, dtype=dtype, **around_of(seed))
    _, N, steps = sizes(chain.batch_first)
    x = rng.normal(size=(*steps, chain.input_size)).astype(dtype)
    module, hx = to_torch(chain), random_hx(rng, chain, N, dtype)
    some = tuple(None if place % 2 else state for place, state in enumerate(hx))      # the stored one, or zeros
    for given in (None, hx, some):
        on_torch = None if given is None else tuple(as_tensors(torch, state) for state in given)
        with torch.no_grad():
            y, final = module(torch.from_numpy(x), on_torch)
        expected, states = run_chain(chain, x, given)
        for got, wanted in zip([y, *planes_of(final)], [expected, *planes_of(states)], strict=True):
            assert got.numpy().dtype == dtype and got.shape == wanted.shape
            np.testing.assert_allclose(got, wanted, rtol=0, atol=TOLERANCE * max(1, np.abs(wanted).max()))
    one = x[0] if chain.batch_first else x[:, 0]       # without a batch
    with torch.no_grad():
        y, _ = module(torch.from_numpy(np.ascontiguousarray(one)))
    expected, _ = run_chain(chain, one)
    np.testing.assert_allclose(y, expected, rtol=0, atol=TOLERANCE * max(1, np.abs(expected).max()))


def as_tensors(torch, state):
    """A state as PyTorch takes it."""
    if state is None:
        return None
    return tuple(map(torch.from_numpy, state)) if isinstance(state, tuple) else torch.from_numpy(state)


@pytest.mark.parametrize("activation", [None, *ACTIVATIONS], ids=str)
def test_torch_of_a_linear(torch, rng, activation):
    for bias in (None, rng.normal(size=4)):
        weights = linear_weights(rng.normal(size=(4, 3)), bias, activation, dtype=np.float32)
        module = to_torch(weights)
        assert type(module) is (torch.nn.Linear if activation in (None, "linear") else torch.nn.Sequential)
        x = single(rng.normal(size=(7, 2, 3)) * 3)
        assert_near(module(torch.from_numpy(x)).detach(), run_chain(Chain([weights]), x)[0])


def test_the_module_is_one_like_others(torch, rng, tmp_path):
    """It trains, is copied, its state dict goes into another one, and its layers are read back."""
    config = Config(input_size=3, hidden_size=5, num_layers=2, bidirectional=True, batch_first=True)
    layers = [random_weights(rng, config), linear_weights(rng.normal(size=(2, 10)), None, "gelu", dtype=np.float32)]
    chain = Chain(layers, last=True, skip=True, batch_first=True)
    module, x = to_torch(chain), torch.from_numpy(single(rng.normal(size=(4, 7, 3))))
    expected = module(x)[0]
    again = chain_from_torch(module.layers, last=True, skip=True)
    assert again.layers == chain.layers and again.batch_first and again.skip
    other = copy.deepcopy(module)
    expected.sum().backward()
    assert module.layers[0].weight_hh_l1.grad.abs().sum() > 0
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
    assert np.abs(chain.tensors["0.weight_hh_l0"]).min() > 0
    module.load_state_dict(other.state_dict())
    assert torch.equal(module(x)[0], expected)
    assert "last=True, skip=True, batch_first=True" in repr(module)
    with pytest.raises(ValueError, match="a state for each of 1 recurrent layers; got 2"):
        module(x, (None, None))


def test_what_pytorch_has_not_is_named(rng):
    layers = [random_weights(rng, Config(input_size=3, hidden_size=5))]
    layers += [random_weights(rng, Config(input_size=5, hidden_size=4, reset_after=False, clip=2.0, reverse=True))]
    with pytest.raises(ValueError, match=r"cannot have reset_after=False of layer 1, clip=2\.0 of layer 1, rev"):
        to_torch(Chain(layers))


def test_the_methods(torch, rng, tmp_path):
    peer("onnx")
    net = cgru.Sequential([cgru.LSTM(3, 5, rng=1), cgru.Linear(5, 2, activation="elu", rng=2)], last=True)
    x = single(rng.normal(size=(7, 4, 3)))
    net.to_onnx(tmp_path / "net.onnx", h_0=False)
    assert_near(run_onnx(tmp_path / "net.onnx", {"x": x})["y"], net(x)[0])
    assert_near(net.to_torch()(torch.from_numpy(x))[0].detach(), net(x)[0])
    linear, x = net.layers[1], single(rng.normal(size=(7, 5)))
    linear.to_onnx(tmp_path / "linear.onnx")
    assert_near(run_onnx(tmp_path / "linear.onnx", {"x": x})["y"], linear(x))
    assert_near(linear.to_torch()(torch.from_numpy(x)).detach(), linear(x))
