"""`to_onnx` and `to_torch` of every configuration: ONNX Runtime and PyTorch compute the same; and back again."""

import numpy as np
import pytest

import cgru
from support.compare import assert_same_model, flat
from support.models import build, configurations, draw, planes, random_lengths, random_sizes
from support.peers import TOLERANCE, assert_same, peer
from support.variants import variants

pytestmark = pytest.mark.variants(name="float32", engine="packed")


def run(ort, path, inputs):
    """The outputs of ONNX Runtime by name."""
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, inputs), strict=True))


@pytest.mark.parametrize("with_hx", [False, True], ids=["stored", "hx"])
@pytest.mark.parametrize("with_lengths", [False, True], ids=["full", "lengths"])
def test_onnx_runtime_runs_it(best, configuration, rng, tmp_path, with_hx, with_lengths):
    onnx_runtime = peer("onnxruntime")
    peer("onnx")
    T, N, input_size, H = random_sizes(rng)
    model = build(best, configuration, input_size, H)
    x, hx = draw(best, rng, model, T, N)
    path, lengths, inputs = tmp_path / "model.onnx", None, {"x": x}
    if with_hx:
        inputs |= zip([f"{plane}_0" for plane in best.cell.states], planes(hx), strict=True)
    if with_lengths:
        lengths = inputs["lengths"] = random_lengths(rng, T, N).astype(np.int32)
    model.to_onnx(path, h_0=with_hx, lengths=with_lengths)
    found = run(onnx_runtime, path, inputs)
    assert list(found) == ["y", *(f"{plane}_n" for plane in best.cell.states)]
    expected = flat(model(x, hx if with_hx else None, lengths=lengths))
    for got, wanted in zip(found.values(), expected, strict=True):
        assert_same(got, wanted, TOLERANCE * max(1, np.abs(wanted).max()))
    if model.merge_mode == "concat" and not model.go_backwards:      # what one node or a chain can say
        again = cgru.from_onnx(path)
        assert type(again) is type(model)
        y, final = again(x.swapaxes(0, 1) if model.batch_first else x, hx if with_hx else None, lengths=lengths)
        for got, wanted in zip(flat((y.swapaxes(0, 1) if model.batch_first else y, final)), expected, strict=True):
            assert_same(got, wanted, TOLERANCE * max(1, np.abs(wanted).max()))
        for got, wanted in zip(again.activations, model.activations, strict=True):
            assert [item.name for item in got] == [item.name for item in wanted]
            np.testing.assert_allclose([item[1:] for item in got], [item[1:] for item in wanted], rtol=1e-7)


@pytest.mark.configurations(in_pytorch=True)
def test_to_torch_and_back(best, configuration, rng):
    torch = peer("torch")
    model = build(best, configuration, 3, 5)
    module = model.to_torch()
    assert type(module) is getattr(torch.nn, best.cell.name)
    x, hx = draw(best, rng, model, 7, 4)
    given = tuple(map(torch.tensor, planes(hx)))
    with torch.no_grad():
        y, final = module(torch.tensor(x), given if len(given) > 1 else given[0])
    for got, wanted in zip((y, *planes(final)), flat(model(x, hx)), strict=True):
        assert_same(got.numpy(), wanted)
    assert_same_model(cgru.from_torch(module).replace(engine=model.engine), model)
    weights = model.weights.tensors["weight_hh_l0"].copy()
    with torch.no_grad():
        module.weight_hh_l0.zero_()
    assert np.array_equal(model.weights.tensors["weight_hh_l0"], weights)


@pytest.mark.configurations(in_pytorch=False)
def test_what_pytorch_has_not_is_named(best, configuration):
    model = build(best, configuration, 3, 5)
    with pytest.raises(ValueError, match=f"torch.nn.{best.cell.name} cannot have ") as caught:
        model.to_torch()
    others = set(configuration.options) - {"num_layers", "bidirectional", "batch_first", "bias"}
    assert others and all(f"{name}=" in str(caught.value) for name in others)


def test_every_kind_is_covered():
    assert {one.kind for one in variants()} == {one.kind for one in configurations(in_pytorch=False)}
