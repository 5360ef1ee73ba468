"""`to_torch`, `to_onnx` and `state_dict` of quantised models: the float32 numbers that the weights stand for."""

import numpy as np
import pytest

import cgru
from support.compare import assert_same_bits, flat
from support.models import planes, random_sizes
from support.peers import TOLERANCE, assert_same, peer

KINDS = ("GRU", "LSTM", "RNN")
LAYERS = [("bfloat16",), ("int8",), ("int8", "bfloat16", "float32")]
each = pytest.mark.parametrize("types", LAYERS, ids=" ".join)
of_every_kind = pytest.mark.parametrize("kind", KINDS)
OPTIONS = [{}, {"bidirectional": True, "batch_first": True}]


def problem(rng, kind, types, **options):
    """A model whose layers have these types of weights, the same one in float32 throughout, x and hx."""
    T, N, input_size, H = random_sizes(rng)
    model = getattr(cgru, kind)(input_size, H, len(types), rng=1, engine="packed", **options)
    for layer, weight_dtype in enumerate(types):
        if weight_dtype != "float32":
            model = model.quantize(weight_dtype, layers=[layer])
    x = rng.normal(size=(N, T, input_size) if model.batch_first else (T, N, input_size)).astype(np.float32)
    states = (len(types) * (1 + model.bidirectional), N, H)
    hx = [rng.uniform(-1, 1, states).astype(np.float32) for _ in model.config.cell.states]
    return model, model.dequantize(), x, hx[0] if len(hx) == 1 else tuple(hx)


def is_another(model, expected, x, hx):
    """Whether the quantised model itself gives other outputs: that of int8 does, since it rounds activations."""
    off = np.abs(model(x, hx)[0] - expected[0]).max()
    assert off > 3 * TOLERANCE if "int8" in model.weight_dtypes else off == 0
    return True


@of_every_kind
@each
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_to_torch(rng, kind, types, options):
    torch = peer("torch")
    model, plain, x, hx = problem(rng, kind, types, **options)
    module, expected = model.to_torch(), flat(plain(x, hx))
    for name, value in model.state_dict().items():
        assert_same_bits(module.state_dict()[name].numpy(), value)
    given = tuple(map(torch.tensor, planes(hx)))
    with torch.no_grad():
        y, final = module(torch.tensor(x), given if len(given) > 1 else given[0])
    for found, wanted in zip((y, *planes(final)), expected, strict=True):
        assert_same(found.numpy(), wanted)
    assert is_another(model, expected, x, hx)
    assert cgru.from_torch(module).replace(engine="packed") == plain


@of_every_kind
@each
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_to_onnx(rng, kind, types, options, tmp_path):
    runtime = peer("onnxruntime")
    peer("onnx")
    model, plain, x, hx = problem(rng, kind, types, **options)
    model.to_onnx(tmp_path / "quantised.onnx")
    plain.to_onnx(tmp_path / "plain.onnx")
    assert (tmp_path / "quantised.onnx").read_bytes() == (tmp_path / "plain.onnx").read_bytes()
    session = runtime.InferenceSession(str(tmp_path / "quantised.onnx"), providers=["CPUExecutionProvider"])
    names = [f"{plane}_0" for plane in model.config.cell.states]
    found = session.run(None, {"x": x} | dict(zip(names, planes(hx), strict=True)))
    expected = flat(plain(x, hx))
    for got, wanted in zip(found, expected, strict=True):
        assert_same(got, wanted)
    assert is_another(model, expected, x, hx)


def test_to_onnx_with_the_stored_state(tmp_path):
    """What is not a matrix is written as it is."""
    peer("onnx")
    h_0 = np.random.default_rng(2).normal(size=(2, 5)).astype(np.float32)
    model = cgru.GRU(3, 5, 2, rng=1, initial_state=h_0, engine="packed").quantize("int8")
    model.to_onnx(tmp_path / "m.onnx", h_0=False)
    again = cgru.from_onnx(tmp_path / "m.onnx")
    for name, value in model.state_dict().items():
        assert_same_bits(again.state_dict()[name], value)


@pytest.mark.parametrize("write", ["to_torch", "to_onnx"])
def test_the_docstrings_say_that_activations_were_rounded(write):
    assert "activations are not rounded" in " ".join(getattr(cgru.GRU, write).__doc__.split())
