"""A model out of a file: the options that say which and how, read once, changed as weights, built once."""

import os
import sys
import warnings

import cgru
from cgru import files
from cgru.commands._exit import MissingExtra
from cgru.convert._files import file_size
from cgru.recurrent import model_of

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
    """The model that the options ask for, and its format in words.

    Parameters
    ----------
    args : argparse.Namespace
        From `add_model_options`, and maybe ``batch_first``.
    kinds : tuple of classes
        What the command can do with.

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
            weights, form = _read(args, suffix)
        except ImportError as error:
            raise MissingExtra(str(error)) from error
        model = model_of(_changed(weights, args), args.engine)
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
        return files.load(path), f"cgru format {files.FORMAT_VERSION}"
    if form == "ONNX":
        linear = None if args.reset is None else args.reset == "after"
        return cgru.from_onnx(path, name, linear_before_reset=linear).weights, form
    if form == "Keras":
        return cgru.from_keras(path, name).weights, form
    if form == "RTNeural":
        return cgru.from_rtneural(path, name).weights, form
    if suffix == ".npz":
        from cgru.convert._files import read_npz

        return cgru.from_torch(read_npz(path), prefix=name).weights, form
    return cgru.from_torch(path, prefix=name).weights, form


def _is_ours(path):
    import safetensors

    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            return "cgru" in (file.metadata() or {})
    except Exception as error:      # safetensors' own class, ValueError, ...
        raise ValueError(f"{path} is not a complete safetensors file: {error}") from error


def _changed(weights, args):
    """The weights with another placement of the reset gate, layout or dtype."""
    options = {}
    if args.reset is not None and "reset_after" in weights.config.cell.options:
        options["reset_after"] = args.reset == "after"
    if getattr(args, "batch_first", None) is not None:
        options["batch_first"] = args.batch_first
    if options:
        weights = weights.replace(**options)
    return weights if args.dtype is None else weights.astype(args.dtype)


def one_way(config):
    """Whether no step needs a later one: then a model can be stepped, and a file be read piece by piece."""
    return not (config.bidirectional or config.reverse or config.go_backwards)
