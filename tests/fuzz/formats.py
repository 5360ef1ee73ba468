"""The table of formats: names of files, seeds, changes from the inside, and every door that reads them."""

import functools
import importlib.util
import zlib
from pathlib import Path

import numpy as np

import cgru
from cgru import convert
from cgru.model import model_of
from fuzz import containers, libraries, protobuf
from fuzz.doors import command
from fuzz.mutations import changed_bytes, changed_json

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
GOLDEN = HERE.parent / "golden" / "models"
DATA = HERE.parent / "convert" / "data"
LAYERS = ("gru", "last", "head", "relu")
_BYTES = 20


class Format:
    """A kind of file.

    Parameters
    ----------
    name : str
        Also of its folder in the corpus.
    suffixes : tuple of str, or callable
        Of these, by a sum over a file's bytes, one; or what the function of the bytes says.
    change : callable
        Of (data, rng): from the inside. What it cannot take apart has its bytes changed.
    doors : callable
        Of (path, folder): yields (name, function of nothing).
    needs : tuple of str
        Modules without which there is nothing to read.
    seeds : callable
        More good files than the corpus has.
    prepare : callable
        Of a folder: puts there what the doors want beside the file.
    children : bool
        Whether reading starts processes.
    raw : int
        Of a hundred files how many have their bytes changed; of 0 no file has, since a library reads it here that a
        damaged one can send round for ever.
    """

    def __init__(
        self, name, suffixes, change, doors, *, needs=(), seeds=tuple, prepare=lambda folder: None, children=False,
        raw=_BYTES,
    ):  # fmt: skip
        self.name, self.suffixes, self.needs, self.children, self.raw = name, suffixes, needs, children, raw
        self.doors, self.prepare = doors, prepare
        self._change, self._seeds = change, seeds

    def missing(self):
        """The modules that are not there."""
        return [name for name in self.needs if importlib.util.find_spec(name) is None]

    @functools.cached_property
    def seeds(self):
        """The bytes of files to begin with: name -> bytes, the corpus and others."""
        paths = [path for path in sorted((CORPUS / self.name).glob("*")) if path.is_file()]
        return {path.name: path.read_bytes() for path in (*paths, *self._seeds())}

    def file_name(self, data):
        """The name for a file of these bytes; the same every time."""
        suffixes = self.suffixes(data) if callable(self.suffixes) else self.suffixes
        return f"input{suffixes[zlib.crc32(data) % len(suffixes)]}"

    def changed(self, data, rng):
        """Another file."""
        others = list(self.seeds.values())
        if rng.randrange(100) < self.raw:
            return changed_bytes(data, rng, others)
        for start in (data, rng.choice(others)):
            try:
                for _ in range(rng.choice((1, 1, 1, 2))):
                    start = self._change(start, rng)
                return start
            except Exception:  # it was changed so far that not even its own library takes it; nor is each seed whole
                continue
        return changed_bytes(data, rng, others) if self.raw else data


# ---- models


def _info(path):
    return "info", command("info", path)


def _one(path, name):
    """A layer alone."""
    return f"read {name}", lambda: model_of(convert.read(path, name=name))


def _own(path, folder):
    yield "load", lambda: cgru.load(path)
    yield _one(path, "0")
    yield "Sequential.from_torch", lambda: cgru.Sequential.from_torch(path, layers=LAYERS)
    yield _info(path)


def _arrays(path, folder):
    yield "load", lambda: cgru.load(path)
    yield "load with layers", lambda: cgru.load(path, layers=LAYERS)
    yield "Sequential.from_torch", lambda: cgru.Sequential.from_torch(path, layers=LAYERS)
    for system in ("torch", "mlx", "flax", "haiku", "tensorflow1"):
        door = getattr(cgru, f"from_{system}")
        yield f"from_{system}", lambda door=door: door(path)
    yield _info(path)


def _torch(path, folder):
    yield "load", lambda: cgru.load(path)
    yield "from_torch", lambda: cgru.from_torch(path)
    yield _one(path, "gru")
    yield "Sequential.from_torch", lambda: cgru.Sequential.from_torch(path, layers=LAYERS)


def _system(system, *, alone=True, info=True):
    """The doors of a system, as functions of a file's path."""

    def doors(path, folder):
        yield "load", lambda: cgru.load(path)
        if alone:
            yield f"from_{system}", lambda: getattr(cgru, f"from_{system}")(path)
            yield _one(path, "0")
        yield f"Sequential.from_{system}", lambda: getattr(cgru.Sequential, f"from_{system}")(path)
        if info:
            yield _info(path)

    return doors


def _keras_here(path, folder):
    """Keras's doors with the reader in this process, as in a frozen application."""
    from cgru.convert import keras_files

    kept, keras_files.can_run = keras_files.can_run, lambda: False
    try:
        yield from _system("keras")(path, folder)
    finally:
        keras_files.can_run = kept


def _in_child(path, folder):
    yield "load", lambda: cgru.load(path)


# ---- data


def _with_model(folder):
    """Beside the file a model of 3 features, and x of 2 rows."""
    cgru.GRU(3, 4, rng=0).save(f"{folder}/model.safetensors")
    cgru.GRU(3, 4, rng=0, bidirectional=True).save(f"{folder}/both.safetensors")
    np.save(f"{folder}/x.npy", np.ones((5, 2, 3), np.float32))


def _input(path, folder):
    yield "run", command("run", f"{folder}/model.safetensors", path, "--threads", 1, output=f"{folder}/y.npz")
    yield (
        "run, both ways",
        command("run", f"{folder}/both.safetensors", path, "--threads", 1, "--batch-first", output=f"{folder}/y.npy"),
    )


def _state(path, folder):
    yield (
        "run --h0",
        command(
            "run",
            f"{folder}/model.safetensors",
            f"{folder}/x.npy",
            "--threads",
            1,
            "--h0",
            path,
            output=f"{folder}/y.npz",
        ),
    )


def _lengths(path, folder):
    yield (
        "run --lengths",
        command(
            "run",
            f"{folder}/model.safetensors",
            f"{folder}/x.npy",
            "--threads",
            1,
            "--lengths",
            path,
            output=f"{folder}/y.npz",
        ),
    )


def _columns(path, folder):
    given = ("run", f"{folder}/model.safetensors", path, "--threads", 1, "--column", "x")
    yield "run", command(*given, output=f"{folder}/y.parquet")
    yield (
        "run --bad skip",
        command(*given, "--bad", "skip", "--output", "all", "--keep", "id", output=f"{folder}/y.parquet"),
    )


def _of_any(data, rng):
    """An .npy, an archive of them, or text."""
    if data[:6] == b"\x93NUMPY":
        return containers.npy(data, rng)
    return containers.NPZ(data, rng) if data[:2] == b"PK" else containers.csv(data, rng)


def _suffixes(*others):
    """By how a file begins."""
    return lambda data: (".npy",) if data[:6] == b"\x93NUMPY" else (".npz",) if data[:2] == b"PK" else others


def _golden():
    return sorted(GOLDEN.glob("*/*.safetensors"))


def _of_keras():
    return [path for name in ("h5", "keras") for path in sorted((CORPUS / name).glob("*"))]


FORMATS = {
    one.name: one
    for one in (
        Format("cgru", (".safetensors",), containers.safetensors, _own, seeds=_golden),
        Format("safetensors", (".safetensors",), containers.safetensors, _arrays),
        Format("npz", (".npz",), containers.NPZ, _arrays),
        Format("pt", (".pt", ".pth", ".ckpt", ".bin"), containers.zipped({}), _torch, needs=("torch",)),
        Format("h5", (".h5", ".hdf5"), libraries.hdf5, _keras_here, needs=("h5py",), raw=0),
        Format("keras", (".keras",), libraries.KERAS, _keras_here, needs=("h5py",), raw=0),
        # their bytes: what sends the HDF5 library astray can do no harm there
        Format(
            "keras_in_child",
            (".keras", ".h5"),
            changed_bytes,
            _in_child,
            needs=("h5py",),
            seeds=_of_keras,
            children=True,
        ),
        Format(
            "onnx", (".onnx",), protobuf.changed, _system("onnx"), needs=("onnx",), seeds=lambda: DATA.glob("*.onnx")
        ),
        Format("rtneural", (".json",), changed_json, _system("rtneural")),
        Format("aidax", (".aidax",), changed_json, _system("rtneural")),
        Format("nam", (".nam",), changed_json, _system("nam", alone=False)),
        Format("npy_input", (".npy",), containers.npy, _input, prepare=_with_model),
        Format("npz_input", (".npz",), containers.NPZ, _input, prepare=_with_model),
        Format("csv_input", (".csv",), containers.csv, _input, prepare=_with_model),
        Format(
            "parquet_input", (".parquet",), libraries.parquet, _columns, needs=("pyarrow",), prepare=_with_model, raw=0
        ),
        Format("state_input", _suffixes(".f32"), _of_any, _state, prepare=_with_model),
        Format("lengths_input", _suffixes(".csv", ".txt"), _of_any, _lengths, prepare=_with_model),
    )
}
