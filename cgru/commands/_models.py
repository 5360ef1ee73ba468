"""Reading a model of any format, for every command."""

import dataclasses
import os
import sys
import warnings

import cgru
from cgru import files
from cgru.commands._exit import MissingExtra
from cgru.convert._files import file_size
from cgru.weights import Weights

FORMATS = {
    ".safetensors": "PyTorch state dict", ".pt": "PyTorch", ".pth": "PyTorch", ".ckpt": "PyTorch", ".bin": "PyTorch",
    ".npz": "state dict", ".keras": "Keras", ".h5": "Keras", ".hdf5": "Keras", ".onnx": "ONNX",
    ".json": "RTNeural",
}  # fmt: skip


def add_model_options(parser, metavar="MODEL"):
    """Declare a model file and how to read it."""
    parser.add_argument("model", metavar=metavar, help=f"model file: {', '.join(FORMATS)}")
    parser.add_argument(
        "--name", "--prefix", "--layer", "--node", dest="name", metavar="NAME",
        help="which GRU, where the file holds several: prefix of a state dict, Keras layer, ONNX node",
    )  # fmt: skip
    parser.add_argument(
        "--reset", choices=("before", "after"),
        help="where the reset gate acts, against what the file says: before the recurrent product or after it",
    )  # fmt: skip
    parser.add_argument("--dtype", choices=("float32", "float64"), help="compute in it; default as in the file")
    parser.add_argument("--engine", default="auto", choices=("auto", "packed", "blas"), help="default %(default)s")


def read_model(args, *, kinds=(cgru.GRU,)):
    """The model that the options of `add_model_options` ask for, and its format in words.

    Raises
    ------
    OSError, ValueError, MissingExtra
        The file cannot be read, or holds no model of these `kinds`.
    """
    suffix = os.path.splitext(args.model)[1].lower()
    if suffix not in FORMATS:
        raise ValueError(f"{args.model}: expected a model file: {', '.join(FORMATS)}")
    file_size(args.model)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            model, form = _read(args, suffix)
        except ImportError as error:
            raise MissingExtra(str(error)) from error
        model = _changed(model, args)
    for text in dict.fromkeys(" ".join(str(warning.message).split()) for warning in caught):
        print(f"cgru: warning: {text}", file=sys.stderr)
    if not isinstance(model, kinds):
        raise ValueError(f"{args.model} holds {type(model).__name__} weights, this command is for GRU only")
    return model, form


def _read(args, suffix):
    path, name, form = args.model, args.name, FORMATS[suffix]
    if suffix == ".safetensors" and _is_ours(path):
        if name is not None:
            raise ValueError(f"{path} is a file of cgru, which holds one model; leave out --name {name}")
        return cgru.load(path), f"cgru format {files.FORMAT_VERSION}"
    if form == "ONNX":
        linear = None if args.reset is None else args.reset == "after"
        return cgru.from_onnx(path, name, linear_before_reset=linear), form
    if form == "Keras":
        return cgru.from_keras(path, name), form
    if form == "RTNeural":
        return cgru.from_rtneural(path, name), form
    if suffix == ".npz":
        from cgru.convert._files import read_npz

        return cgru.from_torch(read_npz(path), prefix=name), form
    return cgru.from_torch(path, prefix=name), form


def _is_ours(path):
    import safetensors

    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            return "cgru" in (file.metadata() or {})
    except Exception as error:      # safetensors' own class, ValueError, ...
        raise ValueError(f"{path} is not a complete safetensors file: {error}") from error


def _changed(model, args):
    """The model with another reset placement, dtype or engine."""
    weights = model._weights
    if args.reset is not None and weights.config.cell == "gru":
        config = dataclasses.replace(weights.config, reset_after=args.reset == "after")
        weights = Weights(config, weights.tensors)
    if args.dtype is not None:
        weights = weights.with_dtype(args.dtype)
    return type(model)._from_weights(weights, args.engine)


def writable(path, suffixes, option):
    """`path`, once it is clear that a file of that name can be made: a known suffix, in a folder that is there."""
    if os.path.splitext(path)[1].lower() not in suffixes:
        raise ValueError(f"{option} {path}: expected a name that ends with {', '.join(suffixes)}")
    if os.path.isdir(path):
        raise IsADirectoryError(f"{option} {path}: this is a folder, expected a file name")
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"{option} {path}: there is no folder {folder}; make it first")
    return path
