""".safetensors files: what the library writes is read, what is damaged is refused, and nothing is mapped."""

import json

import numpy as np
import pytest
import safetensors
import safetensors.numpy
from numpy.testing import assert_array_equal

import cgru
from cgru.tensors import TensorFile
from support.processes import run_python

DTYPES = ["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "?"]


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "m.safetensors")


def write(path, header, data=b""):
    text = json.dumps(header).encode() if isinstance(header, dict) else header
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text + data)


def test_what_the_library_writes(path, rng):
    """Every type, also arrays without numbers and numbers without axes, and metadata."""
    arrays = {dtype: (rng.normal(size=(3, 5)) * 9).astype(dtype) for dtype in DTYPES}
    arrays |= {"none": np.empty((4, 0, 2), "f4"), "number": np.array(2.5), "Zeichen ü": np.arange(7.0)}
    safetensors.numpy.save_file(arrays, path, {"a": "1", "b": "ü"})
    with TensorFile(path) as file:
        assert file.metadata == {"a": "1", "b": "ü"} and set(file.tensors) == set(arrays)
        for name in rng.permutation(list(arrays)):
            found = file.read(name)
            assert found.dtype == arrays[name].dtype and found.flags.writeable
            assert_array_equal(found, arrays[name], strict=True)
        with pytest.raises(KeyError):
            file.read("no such")
    safetensors.numpy.save_file({"x": np.ones(3)}, path)
    with TensorFile(path) as file:
        assert file.metadata == {}


def test_bfloat16_is_float32(path):
    values = np.array([[1.0, -2.5, 3.140625], [np.inf, 0.0, -0.0]], np.float32)
    halves = (values.view(np.uint32) >> 16).astype("<u2")
    write(path, {"x": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]}}, halves.tobytes())
    with TensorFile(path) as file:
        assert_array_equal(file.read("x"), values, strict=True)


def entry(**changes):
    return {"dtype": "F32", "shape": [2, 1], "data_offsets": [0, 8]} | changes


BAD = {
    "not JSON": b"{x",
    "not text": b"\xff\xfe{}",
    "a list": b"[]",
    "a number": b"1",
    "nested": b"[" * 100_000,
    "no offsets": {"x": {"dtype": "F32", "shape": [2, 1]}},
    "an entry that is none": {"x": [1, 2]},
    "metadata that are no text": {"__metadata__": {"a": 1}, "x": entry()},
    "metadata that are none": {"__metadata__": [1], "x": entry()},
    "too few numbers": {"x": entry(shape=[2, 2])},
    "too many numbers": {"x": entry(shape=[1])},
    "another type": {"x": entry(dtype="F64")},
    "a negative size": {"x": entry(shape=[-2, -1])},
    "a fraction": {"x": entry(shape=[2.0, 1])},
    "a bool": {"x": entry(shape=[2, True])},
    "huge": {"x": entry(shape=[1 << 70, 0])},
    "a type that is none": {"x": entry(dtype=["F32"])},
    "offsets out of the file": {"x": entry(shape=[3], data_offsets=[0, 12])},
    "offsets turned round": {"x": entry(data_offsets=[8, 0])},
    "negative offsets": {"x": entry(data_offsets=[-8, 0])},
    "a gap": {"x": entry(shape=[1], data_offsets=[4, 8])},
    "bytes that are left": {"x": entry(shape=[1], data_offsets=[0, 4])},
    "bytes that are shared": {"x": entry(), "y": entry(shape=[1], data_offsets=[4, 8])},
}


@pytest.mark.parametrize("case", BAD)
def test_damaged_files(path, case):
    """The library refuses them too."""
    write(path, BAD[case], bytes(8))
    with pytest.raises(ValueError, match=r"m\.safetensors is not a complete safetensors file: "):
        TensorFile(path)
    if case not in ("metadata that are none", "nested"):
        with pytest.raises(safetensors.SafetensorError), safetensors.safe_open(path, framework="numpy"):
            pass


def test_a_type_that_numpy_lacks(path):
    """Of a tensor that nobody asks for it does not matter."""
    eighths = {"dtype": "F8_E4M3", "shape": [8], "data_offsets": [0, 8]}
    write(path, {"x": eighths, "y": entry(data_offsets=[8, 16])}, bytes(16))
    with TensorFile(path) as file:
        assert_array_equal(file.read("y"), np.zeros((2, 1)))
        with pytest.raises(ValueError, match="tensor x has dtype F8_E4M3"):
            file.read("x")


CUT = """
import os, sys
import cgru
from cgru.tensors import TensorFile

path, read = sys.argv[1], TensorFile.read

def cut(file, name):
    os.truncate(path, 1000)
    return read(file, name)

TensorFile.read = cut
for function in (cgru.load, cgru.from_torch):
    with open(path, "wb") as file:
        file.write(open(sys.argv[2], "rb").read())
    try:
        function(path)
    except ValueError as error:
        print(error)
"""


def test_a_file_that_is_cut_while_it_is_read(path, tmp_path):
    """A mapped one would end the process."""
    kept = str(tmp_path / "kept.safetensors")
    cgru.GRU(300, 300, rng=0).save(kept)
    result = run_python(CUT, path, kept)
    assert result.stdout == f"{path} ends too early; was it changed while it was read?\n" * 2


def test_nothing_is_mapped(path, monkeypatch):
    def mapped(*_, **__):
        raise AssertionError("the library maps the file")

    gru = cgru.GRU(3, 5, rng=0)
    gru.save(path)
    monkeypatch.setattr(safetensors, "safe_open", mapped)
    assert cgru.load(path) == gru and cgru.from_torch(path) == gru
