"""Files of quantised models: numbers come back as they were, others can read them, damage is told by the tensor."""

import json
import struct

import numpy as np
import pytest
import safetensors

import cgru
from cgru.quantize import Quantized
from support.compare import assert_same_bits, sample

TYPES = ("bfloat16", "int8")
KINDS = ("GRU", "LSTM", "RNN")


def model_of(kind, *types, **options):
    """A model of 3 features and 5 units whose layers have these types of weights."""
    model = getattr(cgru, kind)(3, 5, len(types), rng=1, engine="packed", **options)
    for layer, weight_dtype in enumerate(types):
        if weight_dtype != "float32":
            model = model.quantize(weight_dtype, layers=[layer])
    return model


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("options", [{}, {"bidirectional": True, "batch_first": True}, {"bias": False}], ids=str)
@pytest.mark.parametrize("types", [
    ("bfloat16",), ("int8",), ("int8", "int8"), ("float32", "int8"), ("bfloat16", "float32", "int8"),
], ids=" ".join)  # fmt: skip
def test_there_and_back(kind, options, types, tmp_path):
    model, path = model_of(kind, *types, **options), tmp_path / "model"
    model.save(path)
    again = cgru.load(path)
    assert type(again) is type(model) and again == model and repr(again) == repr(model)
    assert again.weight_dtypes == types and again.nbytes == model.nbytes
    for name, value in model.weights.stored.items():
        other = again.weights.stored[name]
        assert type(other) is type(value)
        if isinstance(value, Quantized):
            assert other.values.dtype == value.values.dtype and not other.values.flags.writeable
            assert_same_bits(other.values, value.values)
    assert_same_bits(sample(again), sample(model))
    before = path.read_bytes()
    again.save(path)
    assert path.read_bytes() == before


def test_a_stored_initial_state_stays_float32(tmp_path):
    h_0 = np.random.default_rng(2).normal(size=(1, 5)).astype(np.float32)
    model = cgru.GRU(3, 5, rng=1, initial_state=h_0).quantize("int8")
    model.save(tmp_path / "model")
    assert_same_bits(cgru.load(tmp_path / "model").weights.stored["h_0"], h_0)


def test_a_layer_of_one_type_is_one_type_in_the_file(tmp_path):
    """PyTorch's names, safetensors' own types, and the format that an older cgru refuses."""
    model = model_of("GRU", "int8", "bfloat16", "float32")
    model.save(tmp_path / "model")
    header, _ = parts(tmp_path / "model")
    metadata = json.loads(header.pop("__metadata__")["cgru"])
    assert metadata["format"] == 3
    scales = {name for name in header if name.endswith(".scale")}
    assert scales == {"weight_ih_l0.scale", "weight_hh_l0.scale"} and set(header) - scales == set(model.state_dict())
    for name, entry in header.items():
        quantised = {"0": "I8", "1": "BF16", "2": "F32"}[name.removesuffix(".scale")[-1]]
        assert entry["dtype"] == (quantised if name in ("weight_ih_l" + name[-1], "weight_hh_l" + name[-1]) else "F32")
    assert header["weight_ih_l0.scale"]["shape"] == [15]


@pytest.mark.parametrize("weight_dtype", TYPES)
def test_others_read_the_numbers(weight_dtype, tmp_path, torch):
    """PyTorch, by the safetensors library: the values times the scales are the dequantised weights."""
    model = model_of("LSTM", weight_dtype, weight_dtype)
    model.save(tmp_path / "model")
    with safetensors.safe_open(tmp_path / "model", framework="pt") as file:
        found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    for name, expected in model.state_dict().items():
        values = found[name].to(torch.float32)
        if f"{name}.scale" in found:
            values = values * found[f"{name}.scale"][:, None]
        assert_same_bits(values.numpy(), expected)


def test_a_file_without_quantised_weights_is_format_2(tmp_path):
    """And holds the bytes that it held before there were any."""
    model = model_of("GRU", "float32", "float32")
    model.save(tmp_path / "model")
    header, _ = parts(tmp_path / "model")
    metadata = json.loads(header["__metadata__"]["cgru"])
    assert metadata["format"] == 2 and set(metadata) == {"format", "config"}
    assert {entry["dtype"] for name, entry in header.items() if name != "__metadata__"} == {"F32"}


def test_int8_files_are_about_a_quarter_in_size(tmp_path):
    model, sizes = cgru.GRU(40, 128, 2, rng=1, engine="packed"), {}
    for name in ("float32", *TYPES):
        (model if name == "float32" else model.quantize(name)).save(tmp_path / name)
        sizes[name] = (tmp_path / name).stat().st_size
    assert 0.25 < sizes["int8"] / sizes["float32"] < 0.28
    assert 0.5 < sizes["bfloat16"] / sizes["float32"] < 0.52


# ----------------------------------------------------------------------------------------- broken files


def parts(path):
    """A .safetensors file's header, and the bytes behind it."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def rewrite(path, changes):
    """Write a file again with tensors changed, name -> (type, array), None to leave one out, and metadata."""
    header, body = parts(path)
    metadata = json.loads(header.pop("__metadata__")["cgru"])
    tensors = {
        name: (entry["dtype"], entry["shape"], body[slice(*entry["data_offsets"])]) for name, entry in header.items()
    }
    for name, value in changes.items():
        if name in ("format", "weight_dtypes"):
            metadata[name] = value
        elif value is None:
            del tensors[name]
        else:
            kind, array = value
            tensors[name] = (kind, list(array.shape), array.tobytes())
    header, body = {"__metadata__": {"cgru": json.dumps(metadata)}}, b""
    for name, (kind, shape, data) in tensors.items():
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


def scale(**changed):
    """15 scales, some of them others: {"at3": value}."""
    array = np.full(15, 0.01, np.float32)
    for place, value in changed.items():
        array[int(place[2:])] = value
    return array


def int8(value=1, shape=(15, 5)):
    """Weights of 1, one of them another number."""
    array = np.ones(shape, np.int8)
    array[2, 3] = value
    return array


def bfloat16(bits, shape=(15, 5)):
    """Weights of 1, one of them with these bits."""
    array = np.full(shape, 0x3F80, np.uint16)
    array[2, 3] = bits
    return array


SCALE = "weight_hh_l0.scale"
DAMAGED_INT8 = {
    "no scale": ({SCALE: None}, [SCALE, "missing"]),
    "surplus scale": ({"weight_hh_l1.scale": ("F32", scale())}, ["unknown weight_hh_l1.scale"]),
    "scale of a bias": ({"bias_hh_l0.scale": ("F32", scale())}, ["unknown bias_hh_l0.scale"]),
    "scale too short": ({SCALE: ("F32", scale()[:14])}, ["weight_hh_l0: ", "scale has shape (14,)", "(15,)"]),
    "scale of two dimensions": ({SCALE: ("F32", scale()[:, None])}, ["weight_hh_l0: ", "scale has shape (15, 1)"]),
    "scale in float64": ({SCALE: ("F64", scale().astype(np.float64))}, [SCALE, "F64", "F32"]),
    "scale in bfloat16": ({SCALE: ("BF16", np.full(15, 0x3C23, np.uint16))}, [SCALE, "BF16", "F32"]),
    "scale NaN": ({SCALE: ("F32", scale(at7=np.nan))}, ["weight_hh_l0: ", "negative, not finite or too large"]),
    "scale infinite": ({SCALE: ("F32", scale(at7=np.inf))}, ["weight_hh_l0: ", "negative, not finite or too large"]),
    "scale negative": ({SCALE: ("F32", scale(at7=-0.5))}, ["weight_hh_l0: ", "negative, not finite or too large"]),
    "scale 0": ({SCALE: ("F32", scale(at7=0))}, ["weight_hh_l0: ", "scale 0, and weights other than 0"]),
    "-128": ({"weight_hh_l0": ("I8", int8(-128))}, ["weight_hh_l0: ", "-128"]),
    "weights too many": ({"weight_hh_l0": ("I8", int8(shape=(15, 6)))}, ["weight_hh_l0 has shape (15, 6)", "(15, 5)"]),
    "weights of one dimension": ({"weight_hh_l0": ("I8", int8()[0])}, ["weight_hh_l0: ", "two dimensions"]),
    "weights unsigned": ({"weight_hh_l0": ("U8", int8().astype(np.uint8))}, ["weight_hh_l0", "U8"]),
    "weights missing": ({"weight_hh_l0": None}, ["missing weight_hh_l0 (15, 5)"]),
    "a layer in two types": ({"weight_hh_l0": ("BF16", bfloat16(0)), SCALE: None}, ["weight_hh_l0", "BF16", "I8"]),
    "a layer half float32": ({"weight_hh_l0": ("F32", np.ones((15, 5), "f4")), SCALE: None}, ["weight_hh_l0", "F32"]),
    "an int8 bias": ({"bias_hh_l0": ("I8", np.ones(15, np.int8))}, ["bias_hh_l0", "I8"]),
    "a float64 bias": ({"bias_hh_l0": ("F64", np.ones(15))}, ["bias_hh_l0", "F64", "F32"]),
    "version 2": ({"format": 2}, ["weight_hh_l0"]),
    "version 1": ({"format": 1}, ["weight_hh_l0"]),
    "a newer version": ({"format": 5}, ["format version 5", "reads versions 1 to 4", "update cgru"]),
    "no types": ({"weight_dtypes": None}, ["weight_dtypes"]),
    "too many types": ({"weight_dtypes": ["int8", "int8"]}, ["weight_dtypes"]),
    "a type that is unknown": ({"weight_dtypes": ["int4"]}, ["int4", "update cgru"]),
    "a type that is a list": ({"weight_dtypes": [[]]}, ["[]", "update cgru"]),
    "another type": ({"weight_dtypes": ["bfloat16"]}, ["weight_", "is stored as I8, expected BF16"]),
    "said to be float32": ({"weight_dtypes": ["float32"]}, ["weight_", "is stored as I8, expected F32"]),
}
DAMAGED_BFLOAT16 = {
    "infinity": ({"weight_hh_l0": ("BF16", bfloat16(0x7F80))}, ["weight_hh_l0: ", "infinity"]),
    "-infinity": ({"weight_hh_l0": ("BF16", bfloat16(0xFF80))}, ["weight_hh_l0: ", "infinity"]),
    "NaN": ({"weight_hh_l0": ("BF16", bfloat16(0x7FC1))}, ["weight_hh_l0: ", "NaN"]),
    "a scale": ({SCALE: ("F32", scale())}, [f"unknown {SCALE}"]),
    "half precision": ({"weight_hh_l0": ("F16", np.ones((15, 5), "f2"))}, ["weight_hh_l0", "F16", "BF16"]),
    "a bfloat16 bias": ({"bias_hh_l0": ("BF16", bfloat16(0)[:, 0].copy())}, ["bias_hh_l0", "BF16", "F32"]),
    "another shape": ({"weight_hh_l0": ("BF16", bfloat16(0, (5, 15)))}, ["weight_hh_l0 has shape (5, 15)"]),
    "a layer in two types": ({"weight_hh_l0": ("I8", int8()), SCALE: ("F32", scale())}, ["weight_hh_l0", "I8"]),
    "version 2": ({"format": 2}, ["weight_", "bfloat16"]),
    "another type": ({"weight_dtypes": ["int8"]}, ["weight_", "is stored as BF16, expected I8"]),
}
DAMAGED = [("int8", name) for name in DAMAGED_INT8] + [("bfloat16", name) for name in DAMAGED_BFLOAT16]


@pytest.mark.parametrize("weight_dtype, case", DAMAGED)
def test_damage_is_one_line_that_names_file_and_tensor(weight_dtype, case, tmp_path):
    changes, words = {"int8": DAMAGED_INT8, "bfloat16": DAMAGED_BFLOAT16}[weight_dtype][case]
    path, model = tmp_path / "model", model_of("GRU", weight_dtype)
    model.save(path)
    rewrite(path, {})
    assert cgru.load(path) == model
    rewrite(path, changes)
    with pytest.raises(ValueError, match="model: ") as caught:
        cgru.load(path)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("weight_dtype", TYPES)
def test_truncated(weight_dtype, tmp_path):
    path = tmp_path / "model"
    model_of("GRU", weight_dtype).save(path)
    whole = path.read_bytes()
    for size in (0, 8, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match="model is not a complete safetensors file"):
            cgru.load(path)


@pytest.mark.parametrize("value", [0.0, -0.0, 1e-40], ids=str)
def test_scales_that_are_legal(value, tmp_path):
    """A row of zeros has the scale 0, and a row of tiny numbers a tiny one."""
    model, path = model_of("GRU", "int8"), tmp_path / "model"
    model.save(path)
    weights = int8()
    weights[7] = 0
    rewrite(path, {"weight_hh_l0": ("I8", weights), SCALE: ("F32", scale(at7=value))})
    again = cgru.load(path)
    assert not again.state_dict()["weight_hh_l0"][7].any()
    assert_same_bits(again.weights.stored["weight_hh_l0"].scale, scale(at7=value))
    assert np.isfinite(sample(again)[0]).all()


def test_a_state_dict_of_pytorch_in_bfloat16_is_no_quantised_model(tmp_path, torch):
    """Its numbers are read as float32, as before."""
    from safetensors.torch import save_file

    module = torch.nn.GRU(3, 5).to(torch.bfloat16)
    save_file(module.state_dict(), tmp_path / "m.safetensors")
    model = cgru.load(tmp_path / "m.safetensors")
    assert model.weight_dtype == "float32"
    assert_same_bits(model.state_dict()["weight_hh_l0"], module.weight_hh_l0.detach().to(torch.float32).numpy())


@pytest.mark.parametrize("weight_dtype", TYPES)
def test_from_torch_takes_the_dequantised_weights_of_a_file(weight_dtype, tmp_path):
    model = model_of("GRU", weight_dtype, weight_dtype)
    model.save(tmp_path / "m.safetensors")
    assert cgru.from_torch(tmp_path / "m.safetensors") == model.dequantize()


def test_a_quantised_file_for_an_engine_that_has_none(tmp_path):
    model_of("GRU", "int8").save(tmp_path / "model")
    with pytest.raises(ValueError, match="blas"):
        cgru.load(tmp_path / "model", engine="blas")
