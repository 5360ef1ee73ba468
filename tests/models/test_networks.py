"""Networks and Linears as models: immutable values that are copied, compared, pickled, stored; what calls refuse."""

import copy
import json
import pickle
import threading

import numpy as np
import pytest
import safetensors.numpy

import cgru
from cgru.tensors import TensorFile, serialized
from support import chains
from support.chains import Dense, Recipe, cells, draw_chain, draw_input, network_of
from support.compare import assert_same_bits
from support.models import on_planes, row_of
from support.variants import WEIGHTS

T, N = 6, 5
best_of_each = pytest.mark.variants(kind="gru", weights=WEIGHTS)
packed = pytest.mark.variants(kind="gru", engine="packed", weights=WEIGHTS)
each = pytest.mark.parametrize("recipe", chains.RECIPES, ids=str)
MIXED = Recipe(
    "mixed", 6, (Dense(7, "elu"), cells("gru", 11, num_layers=2), cells("lstm", 9), Dense(4, "softmax")), {"skip": True}
)


def assert_same_network(found, wanted):
    """Type, layers, options and every bit of the parameters."""
    assert type(found) is type(wanted) is cgru.Sequential
    assert found == wanted and hash(found) == hash(wanted)
    for name in ("last", "skip", "batch_first", "dtype", "weight_dtypes", "input_size", "output_size"):
        assert getattr(found, name) == getattr(wanted, name), name
    assert [layer.config for layer in found.layers] == [layer.config for layer in wanted.layers]
    state, expected = found.state_dict(), wanted.state_dict()
    assert list(state) == list(expected)
    for name, array in expected.items():
        assert_same_bits(state[name], array)


# ------------------------------------------------------------------------------------------------- values


@best_of_each
@each
def test_there_and_back(best, recipe, rng, tmp_path):
    """Files, pickles and copies, of every dtype and weight type."""
    net = network_of(best, recipe)
    net.save(tmp_path / "net")
    x, hx = draw_input(recipe, rng, T, N, best.dtype)
    wanted = net(x, hx)
    loaded = cgru.load(tmp_path / "net", engine=best.engine)
    for again in (loaded, pickle.loads(pickle.dumps(net)), copy.deepcopy(net), copy.copy(net)):
        assert_same_network(again, net)
        assert [layer.engine for layer in again.layers] == [best.engine] * len(recipe.layers)
        assert_same_bits(again(x, hx), wanted)
    loaded.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "net").read_bytes()


@pytest.mark.parametrize("options", [{"last": True}, {"last": "h_n"}, {"skip": True}], ids=str)
def test_a_network_of_one_layer_there_and_back(tmp_path, options):
    """It stays a network where something is done around its layer."""
    net = cgru.Sequential([cgru.GRU(5, 3, rng=1)], **options)
    net.save(tmp_path / "net")
    assert_same_network(cgru.load(tmp_path / "net"), net)


@best_of_each
@pytest.mark.parametrize("activation", chains.ACTIVATIONS, ids=str)
def test_a_linear_there_and_back(best, rng, tmp_path, activation):
    for bias in (True, False):
        new = {"dtype": best.dtype, "engine": best.engine, "rng": 1}
        model = best.quantized(cgru.Linear(5, 3, bias, activation=activation, **new))
        model.save(tmp_path / "one")
        x = best.cast(rng.normal(size=(N, 5)))
        for again in (cgru.load(tmp_path / "one", engine=best.engine), pickle.loads(pickle.dumps(model)),
                      copy.deepcopy(model)):  # fmt: skip
            assert type(again) is cgru.Linear and again == model and hash(again) == hash(model)
            assert (again.activation, again.bias, again.dtype) == (model.activation, bias, best.dtype)
            assert_same_bits(again(x), model(x))


def test_mixed_weight_types(tmp_path, rng):
    net = cgru.Sequential.from_chain(draw_chain(MIXED, np.float32), "packed")
    net = net.quantize("int8", layers=[1]).quantize("bfloat16", layers=[-1])
    assert net.weight_dtypes == ("float32", "int8", "float32", "bfloat16") and net.weight_dtype == "mixed"
    layer = net.layers[1].dequantize().quantize("bfloat16", layers=[0])
    net = cgru.Sequential([net.layers[0], layer, *net.layers[2:]], skip=True)
    assert layer.weight_dtypes == ("bfloat16", "float32")
    net.save(tmp_path / "net")
    again = cgru.load(tmp_path / "net", engine="packed")
    assert_same_network(again, net)
    x, hx = draw_input(MIXED, rng, T, N, np.float32)
    assert_same_bits(again(x, hx), net(x, hx))
    assert_same_network(again.dequantize(), net.dequantize())


@best_of_each
def test_immutable(best):
    net = network_of(best, MIXED)
    ours, its = ("layers", "skip", "chain", "dtype", "anything"), ("weights", "activation", "anything")
    for model, names in ((net, ours), (net.layers[0], its)):
        for name in names:
            with pytest.raises(AttributeError):
                setattr(model, name, 1)
            with pytest.raises(AttributeError):
                delattr(model, name)
    assert isinstance(net.layers, tuple)
    if not best.quantizes:      # then they are made when they are asked for
        assert not any(array.flags.writeable for array in net.chain.tensors.values())
    before = net.state_dict()
    for array in net.state_dict().values():
        array[...] = 7
    assert all(np.array_equal(array, before[name]) for name, array in net.state_dict().items())


@best_of_each
def test_equality(best):
    net = network_of(best, MIXED)
    assert net == network_of(best, MIXED) and net != network_of(best, MIXED, seed=1)
    assert net != cgru.Sequential(net.layers) and net == cgru.Sequential(net.layers, skip=True)
    assert net != cgru.Sequential(net.layers, skip=True, last=True)
    assert net != net.layers[0] and net != "net" and net.replace(batch_first=True) != net
    assert len({net, network_of(best, MIXED), cgru.Sequential(net.layers)}) == 2
    if best.quantizes:
        assert net != net.dequantize()
    activated = cgru.Sequential([cgru.Linear(6, 7, activation="tanh", dtype=best.dtype, rng=1)])
    assert activated != cgru.Sequential([cgru.Linear(6, 7, activation="relu", dtype=best.dtype, rng=1)])


@packed
def test_layers_in_two_networks(best, rng):
    """A layer twice in one network, and in another one at the same time, in several threads."""
    with best.selected():
        gru = best.quantized(cgru.GRU(8, 8, engine="packed", rng=1))
        linear = best.quantized(cgru.Linear(8, 8, activation="tanh", engine="packed", rng=2))
    one, two = cgru.Sequential([gru, linear, gru]), cgru.Sequential([linear, gru], skip=True)
    x = rng.normal(size=(300, N, 8)).astype(np.float32)
    first = gru(linear(gru(x)[0]))
    assert_same_bits(one(x)[0], first[0])
    assert_same_bits(one(x)[1], (gru(x)[1], first[1]))
    wanted, found = [one(x)[0], two(x)[0]], {}

    def run(number):
        net = (one, two)[number % 2]
        found[number] = [net(x)[0], net.stream(N).run(x)]

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(4):
        for y in found[number]:
            assert_same_bits(y, wanted[number % 2])


# -------------------------------------------------------------------------------------------------- calls


@best_of_each
@each
def test_layouts_threads_and_no_batch(best, recipe, rng):
    """batch_first is the same numbers elsewhere; so is a row without a batch."""
    net = network_of(best, recipe)
    other = net.replace(batch_first=not net.batch_first)
    assert other.batch_first != net.batch_first and other.replace(batch_first=net.batch_first) == net
    x, hx = draw_input(recipe, rng, T, N, best.dtype)
    lengths = np.array([3, 0, T, 1, 4])
    for given in (None, lengths):
        y, final = net(x, hx, lengths=given)
        turned, turned_final = other(x.swapaxes(0, 1), hx, lengths=given, threads=2)
        single = recipe.options.get("last", False)
        tolerance = 0 if best.engine == "packed" else best.tolerance * max(1, np.abs(y).max())
        np.testing.assert_allclose(turned if single else turned.swapaxes(0, 1), y, rtol=0, atol=tolerance)
        for threads in (2, 5, 9, -1):
            found = net(x, hx, lengths=given, threads=threads)
            np.testing.assert_allclose(found[0], y, rtol=0, atol=tolerance)
        assert len(final) == len(turned_final) == len(recipe.recurrent)
    row = x[1] if net.batch_first else x[:, 1]
    y, final = net(x, hx)
    alone, alone_final = net(row, tuple(row_of(one, 1) for one in hx))
    np.testing.assert_allclose(alone, y[1] if net.batch_first or single else y[:, 1], rtol=0, atol=tolerance)
    for one, whole in zip(alone_final, final, strict=True):
        assert on_planes(one, np.shape) == on_planes(whole, lambda plane: plane[:, 1].shape)
    for threads in (0, 1.5, "2", True):
        with pytest.raises((TypeError, ValueError), match="threads"):
            net(x, hx, threads=threads)


@best_of_each
@each
@pytest.mark.parametrize(("steps", "rows"), [(0, N), (T, 0), (0, 0), (0, None)])
def test_nothing_to_do(best, recipe, rng, steps, rows):
    """No steps: the states come back, and a last step is zeros. No rows: empty arrays."""
    net = network_of(best, recipe)
    x, hx = draw_input(recipe, rng, steps, rows or 0 if rows is not None else 1, best.dtype)
    if rows is None:
        x, hx = x[0] if recipe.batch_first else x[:, 0], tuple(row_of(one, 0) for one in hx)
    for options in ({}, {"threads": 3}, {"lengths": np.zeros(rows, int)} if rows is not None and not steps else {}):
        y, final = net(x, hx, **options)
        batch = () if rows is None else (rows,)
        shape = (*batch, net.output_size)
        if not net.last:
            shape = (*batch, steps, net.output_size) if net.batch_first else (steps, *batch, net.output_size)
        assert y.shape == shape and y.dtype == best.dtype
        if not net.last or net.last is True:
            assert not y.any()
        assert_same_bits(final, hx)
    if recipe.streams:
        stream = net.stream(rows, hx) if rows != 0 else None
        if stream is not None and not steps:
            assert stream.run(x).shape == ((*batch, 0) if net.batch_first else (0, *batch)) + (net.output_size,)
            assert_same_bits(stream.state, hx)


@best_of_each
def test_what_a_call_refuses(best, rng):
    """Before `out` is written to."""
    net = network_of(best, MIXED)
    x, hx = draw_input(MIXED, rng, T, N, best.dtype)
    out = np.full((T, N, 4), 7, best.dtype)
    for arguments, options, error, match in (
        ((x[..., 1:], hx), {}, ValueError, "x has 5 features.*input_size=6"),
        ((x, hx[0]), {}, TypeError, "hx must be a tuple .*got ndarray"),
        ((x, hx[:1]), {}, ValueError, "got 1 of them"),
        ((x, hx), {"lengths": [1, 2]}, ValueError, "lengths"),
        ((x, hx), {"lengths": [T + 1] * N}, ValueError, "lengths"),
        ((x.astype(complex), hx), {}, TypeError, "real numbers"),
        ((x, (hx[0], hx[0])), {}, TypeError, r"layer 2 \(LSTM\): "),
    ):
        with pytest.raises(error, match=match):
            net(*arguments, out=out, **options)
    for wrong in (out[:, :, :3], out[1:], np.asfortranarray(out)):
        with pytest.raises(ValueError, match="out"):
            net(x, hx, out=wrong)
    with pytest.raises(ValueError, match="out overlaps"):
        net(x, hx, out=x.reshape(-1)[: out.size].reshape(out.shape))
    y = np.full((T, N, 4), 7, best.dtype)
    with pytest.raises(ValueError, match="out overlaps"):
        net(x, (y.reshape(-1)[: 2 * N * 11].reshape(2, N, 11), hx[1]), out=y)
    assert (y == 7).all()
    assert (out == 7).all()


# -------------------------------------------------------------------------------------------------- files


def rewritten(path, change, tensors_change=None):
    """The file with other metadata and tensors."""
    with TensorFile(path) as file:
        configuration = json.loads(file.metadata["cgru"])
    arrays = safetensors.numpy.load_file(path)
    text = change(configuration) or json.dumps(configuration)
    if tensors_change is not None:
        tensors_change(arrays)
    names = {"float32": "F32", "float64": "F64", "int8": "I8", "int64": "I64"}
    data = serialized({name: (names[str(array.dtype)], array) for name, array in arrays.items()},
                      {"cgru": text})  # fmt: skip
    path.write_bytes(data)


def put(*place):
    """A change of the metadata: the value last, the keys before it."""
    *keys, last, value = place

    def change(configuration):
        for key in keys:
            configuration = configuration[key]
        configuration[last] = value

    return change


def nothing(configuration):
    """No change of the metadata."""


DAMAGE = {
    "no list": (put("layers", {}), None, "layers in the metadata must be a list"),
    "no layers": (put("layers", []), lambda tensors: tensors.clear(), "layers is empty"),
    "no entry": (put("layers", 1, 3), None, "layers in the metadata must be a list of configurations"),
    "no config": (put("layers", 1, {}), None, "layer 1: the metadata holds no configuration"),
    "fewer layers": (lambda c: c["layers"].pop() and None, None, "unknown 3.weight|unknown 3.bias"),
    "more layers": (lambda c: c["layers"].append(c["layers"][0]), None, "layer 4: .*missing weight"),
    "another order": (lambda c: c["layers"].reverse(), None, "layer 0: "),
    "unknown option": (put("residual", True), None, "unknown configuration entries: residual"),
    "last": (put("last", "first"), None, "last must be False, True or 'h_n'"),
    "last, a list": (put("last", [1]), None, "last must be False, True or 'h_n'"),
    "skip": (put("skip", 2), None, "skip must be True or False"),
    "another layout": (put("batch_first", True), None, "layer 1 .GRU. has batch_first=False"),
    "future": (put("format", 5), None, "format version 5 is unknown"),
    "kind": (put("layers", 1, "config", "kind", "mamba"), None, "layer 1: .*mamba"),
    "entry": (put("layers", 1, "config", "depth", 3), None, "layer 1: unknown configuration entries: depth"),
    "activation": (put("layers", 0, "config", "activations", [["mish"]]), None, "layer 0: .*mish"),
    "softmax in a GRU": (
        put("layers", 1, "config", "activations", [["sigmoid", "softmax"]]), None, "layer 1: .*softmax",
    ),
    "linear with layers": (put("layers", 0, "config", "num_layers", 2), None, "layer 0: "),
    "weight types": (put("layers", 1, "weight_dtypes", ["float32"]), None, "layer 1: weight_dtypes .* for each layer"),
    "weight type": (put("layers", 0, "weight_dtypes", ["int4"]), None, "layer 0: weight type 'int4' is unknown"),
    "not quantised": (put("layers", 0, "weight_dtypes", ["int8"]), None, "layer 0: weight is stored as F32, expected"),
    "size": (put("layers", 0, "config", "hidden_size", 8), None, "layer 0: "),
    "huge": (put("layers", 0, "config", "hidden_size", 10**12), None, "layer 0: "),
    "missing": (nothing, lambda tensors: tensors.pop("3.bias"), "layer 3: .*missing bias"),
    "stray": (nothing, lambda tensors: tensors.update(extra=np.zeros(2, "f4")), "unknown extra: the parameters of no"),
    "stray number": (nothing, lambda t: t.update({"00.weight": t["0.weight"]}), "unknown 00.weight: the parameters"),
    "stray dot": (nothing, lambda t: t.update({"0": t["0.weight"]}), "unknown 0: the parameters of no"),
    "stray in a layer": (nothing, lambda t: t.update({"0.scale": t["0.weight"]}), "layer 0: .*scale"),
    "dtype": (nothing, lambda t: t.update({"0.bias": t["0.bias"].astype("f8")}), "layer 0: .*dtype|layer 0: .*float64"),
    "integers": (nothing, lambda t: t.update({"0.bias": np.zeros(7, "i8")}), "layer 0: "),
    "shape": (nothing, lambda t: t.update({"1.weight_hh_l0": t["1.weight_hh_l0"][1:]}), "layer 1: .*weight_hh_l0 has"),
    "not JSON": (lambda c: "{", None, "is not JSON"),
    "a list": (lambda c: "[4]", None, "format version None is unknown"),
}  # fmt: skip


@pytest.mark.parametrize("case", DAMAGE)
def test_damage_is_one_line_that_names_file_and_layer(case, tmp_path):
    change, tensors_change, match = DAMAGE[case]
    path = tmp_path / "net.safetensors"
    cgru.Sequential.from_chain(draw_chain(MIXED, np.float32), "packed").save(path)
    rewritten(path, change, tensors_change)
    with pytest.raises(ValueError, match=match) as caught:
        cgru.load(path)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


def test_truncated(tmp_path):
    path = tmp_path / "net.safetensors"
    cgru.Sequential.from_chain(draw_chain(MIXED, np.float32), "packed").quantize("bfloat16").save(path)
    data = path.read_bytes()
    for size in range(0, len(data), 97):
        path.write_bytes(data[:size])
        with pytest.raises(ValueError, match=r"net\.safetensors") as caught:
            cgru.load(path)
        assert "\n" not in str(caught.value)


def test_the_format(tmp_path):
    """Numbered layers under PyTorch's names; a single recurrent model stays as it was."""
    net = cgru.Sequential.from_chain(draw_chain(MIXED, np.float32), "packed")
    net.save(tmp_path / "net")
    with TensorFile(tmp_path / "net") as file:
        configuration = json.loads(file.metadata["cgru"])
        assert set(file.tensors) == set(net.state_dict())
    assert configuration["format"] == 4 and configuration["skip"] is True and configuration["last"] is False
    assert [one["config"]["kind"] for one in configuration["layers"]] == ["linear", "gru", "lstm", "linear"]
    for model, version in ((net.layers[0], 4), (net.layers[1], 2), (net.layers[2].quantize("int8"), 3)):
        model.save(tmp_path / "one")
        with TensorFile(tmp_path / "one") as file:
            assert json.loads(file.metadata["cgru"])["format"] == version
