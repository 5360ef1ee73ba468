"""Inputs that are cut off while they are read: one line; mapped, they would kill the process."""

import importlib.util
import os

import numpy as np
import pytest

import cgru
from support.processes import run_python

pytestmark = [
    pytest.mark.usefixtures("folder"),
    pytest.mark.skipif(os.name != "posix", reason="elsewhere no file that is open can be cut off"),
]

INPUTS, H, T = 4, 16, 60_000

#: The file is cut when the model has computed once, so in the midst of its pieces.
PROGRAM = """
import os, sys
import cgru
from cgru.__main__ import main

path, call, cut = sys.argv[1], cgru.GRU.__call__, []
def cutting(*arguments, **options):
    if not cut:
        cut.append(os.truncate(path, os.path.getsize(path) // 2))
    return call(*arguments, **options)
cgru.GRU.__call__ = cutting
status = main(sys.argv[2:], piece=200_000)
assert cut, "nothing was cut off"
sys.exit(status)
"""


@pytest.fixture
def signals(rng):
    """A model, and x in every form."""
    cgru.GRU(INPUTS, H, rng=1).save("m.safetensors")
    x = rng.normal(size=(T, INPUTS)).astype(np.float32)
    np.save("x.npy", x)
    np.savez("x.npz", x=x)
    np.savez_compressed("packed.npz", x=x)
    np.savetxt("x.csv", x, "%.9g", ",")


@pytest.mark.parametrize("name", ["x.npy", "x.npz", "packed.npz", "x.csv"])
def test_x(signals, name):
    before = sorted(os.listdir())
    done = run_python(PROGRAM, name, "run", "m.safetensors", name, "-o", "out.npy", check=False)
    assert done.returncode == 2 and not done.stdout, (done.returncode, done.stderr)
    assert done.stderr.startswith("cgru: error: ") and done.stderr.count("\n") == 1 and name in done.stderr
    assert sorted(os.listdir()) == before


PARQUET = """
import os, sys
import cgru, cgru.batch

def rows(count, cut=[]):
    if not cut:
        cut.append(os.truncate("x.parquet", os.path.getsize("x.parquet") // 2))
try:
    cgru.batch.write(cgru.load("m.safetensors"), "x.parquet", "out.parquet", column="frames", rows=10, progress=rows)
except (OSError, ValueError) as error:
    print(type(error).__name__, str(error).splitlines()[0])
"""


def test_parquet():
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    cgru.GRU(INPUTS, H, rng=1).save("m.safetensors")
    noise = np.random.default_rng(0).normal(size=(600, 40, INPUTS)).astype(np.float32)
    table = pa.table({"frames": pa.array([row.tolist() for row in noise], pa.list_(pa.list_(pa.float32())))})
    parquet.write_table(table, "x.parquet", row_group_size=10, compression="none")
    done = run_python(PARQUET)
    assert done.stdout.startswith(("OSError", "ValueError")), (done.stdout, done.stderr)
    assert sorted(os.listdir()) == ["m.safetensors", "x.parquet"]


SAFETENSORS = """
import os
import cgru
from cgru import tensors

read = tensors.TensorFile.read
def cutting(self, name):
    os.truncate("m.safetensors", os.path.getsize("m.safetensors") // 2)
    return read(self, name)
tensors.TensorFile.read = cutting
try:
    cgru.load("m.safetensors")
except ValueError as error:
    print(error)
"""


def test_a_model():
    cgru.GRU(64, 256, rng=1).save("m.safetensors")
    done = run_python(SAFETENSORS)
    assert done.stdout == "m.safetensors ends too early; was it changed while it was read?\n"


@pytest.mark.parametrize("part", [0.0, 0.001, 0.5, 0.999])
@pytest.mark.parametrize("suffix", ["safetensors", "npz", "json", "onnx"])
def test_a_model_that_was_cut_off_before(suffix, part):
    """The commands say in one line what it is not."""
    gru = cgru.GRU(INPUTS, H, rng=1)
    if suffix == "onnx" and importlib.util.find_spec("onnx") is None:
        pytest.skip("onnx is not installed")
    {
        "safetensors": gru.save,
        "npz": lambda path: np.savez(path, **gru.state_dict()),
        "json": cgru.Sequential([gru]).to_rtneural,
        "onnx": gru.to_onnx,
    }[suffix](f"m.{suffix}")
    os.truncate(f"m.{suffix}", int(os.path.getsize(f"m.{suffix}") * part))
    with pytest.raises((ValueError, OSError), match=rf"m\.{suffix}"):
        cgru.load(f"m.{suffix}")
