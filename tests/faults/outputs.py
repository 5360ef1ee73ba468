"""Everything that writes a file: by command, and by a call of the library."""

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import cgru

T, INPUTS, H = 40, 6, 48
OLD = b"old"


@dataclass(frozen=True)
class Writer:
    """A command that writes.

    Attributes
    ----------
    name : str
    arguments : str
        Of the command line; OUT in it stands for the outputs' folder and first letters, IN for the folder of inputs.
    suffixes : tuple of str
        What follows OUT in the names of the outputs.
    needs : str
        A package without which it does not run.
    status : int
        With which it ends when all is well.
    """

    name: str
    arguments: str
    suffixes: tuple
    needs: str = ""
    status: int = 0

    def __str__(self):
        return self.name

    def words(self, inputs, out):
        """The command line."""
        return self.arguments.replace("IN", str(inputs)).replace("OUT", f"{out}/out").split()

    def outputs(self):
        """Names of its outputs."""
        return [f"out{suffix}" for suffix in self.suffixes]


WRITERS = [
    Writer("run, npy", "run IN/m.safetensors IN/x.npy -o OUT.npy", (".npy",)),
    Writer("run, npz", "run IN/m.safetensors IN/x.npy -o OUT.npz", (".npz",)),
    Writer("run, csv", "run IN/m.safetensors IN/x.npy -o OUT.csv", (".csv",)),
    Writer("run, both ways", "run IN/both.safetensors IN/x.npy -o OUT.npy", (".npy",)),
    Writer("run, parquet", "run IN/m.safetensors IN/x.parquet --column frames --output all -o OUT.parquet",
           (".parquet",), "pyarrow"),
    Writer("trace", "trace IN/m.safetensors IN/x.npy -o OUT.npz", (".npz",)),
    Writer("trace, picture", "trace IN/m.safetensors IN/x.npy --plot OUT.png", (".png",), "matplotlib"),
    Writer("convert, safetensors", "convert IN/m.npz OUT.safetensors", (".safetensors",)),
    Writer("convert, onnx", "convert IN/m.safetensors OUT.onnx", (".onnx",), "onnx"),
    Writer("convert, json", "convert IN/m.safetensors OUT.json", (".json",)),
    Writer("convert, c", "convert IN/m.safetensors OUT.c", (".c", ".h", "_test.c")),
    Writer("quantize", "quantize IN/m.safetensors OUT.safetensors --weights int8 --seconds 0.001", (".safetensors",)),
    Writer("check", "check IN/m.safetensors IN/x.npy IN/other.npy --save OUT.safetensors", (".safetensors",),
           status=1),
]  # fmt: skip

#: How the library writes the same: a name, a call of a model, the outputs, and the package that it needs.
CALLS = [
    ("save", lambda model, out: model.save(f"{out}.safetensors"), (".safetensors",), ""),
    ("to_c", lambda model, out: model.to_c(f"{out}.c"), (".c", ".h", "_test.c"), ""),
    ("to_onnx", lambda model, out: model.to_onnx(f"{out}.onnx"), (".onnx",), "onnx"),
    ("to_rtneural", lambda model, out: cgru.Sequential([model]).to_rtneural(f"{out}.json"), (".json",), ""),
]

each_writer = pytest.mark.parametrize("writer", WRITERS, ids=str)
each_call = pytest.mark.parametrize("name, call, suffixes, needs", CALLS, ids=[one[0] for one in CALLS])


def needed(package):
    """Skip a test without this package."""
    if package and importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    if package == "matplotlib":
        os.environ.setdefault("MPLBACKEND", "agg")


def make_inputs(folder):
    """The files that the commands read; every output that they write is larger than 5 kB."""
    rng = np.random.default_rng(0)
    gru, x = cgru.GRU(INPUTS, H, rng=1), rng.normal(size=(T, INPUTS)).astype(np.float32)
    gru.save(folder / "m.safetensors")
    np.savez(folder / "m.npz", **gru.state_dict())
    cgru.GRU(INPUTS, H, bidirectional=True, rng=1).save(folder / "both.safetensors")
    np.save(folder / "x.npy", x)
    np.save(folder / "rows.npy", np.stack([x] * 5, axis=1))
    # what the same weights give with the reset gate in the other place, which `check` finds
    np.save(folder / "other.npy", cgru.GRU.from_state_dict(gru.state_dict(), reset_after=False)(x)[0])
    if importlib.util.find_spec("pyarrow") is not None:
        import pyarrow as pa
        from pyarrow import parquet

        rows = pa.array([x.tolist()] * 3, pa.list_(pa.list_(pa.float32())))
        parquet.write_table(pa.table({"frames": rows}), folder / "x.parquet")
    return folder


def old_files(folder, names):
    """Files that have the outputs' names already."""
    for name in names:
        Path(folder, name).write_bytes(OLD)


def content(folder):
    """Name and bytes of every file."""
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}
