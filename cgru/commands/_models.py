"""A model out of a file: the options that say which one and how to read it, and the model, built once."""

import re
import sys
import warnings

from cgru.chain import Chain
from cgru.commands._exit import MissingExtra, shown
from cgru.convert import FORMATS, SeveralNetworks, form, read, read_network
from cgru.convert.networks import built
from cgru.weights import Weights


def add_model_options(parser, metavar="MODEL", *, optional=False, network=True, layers=True):
    """Declare a model file and how to read it; an optional one is --model, and a `network` is read whole.

    Without `layers` the caller declares that option itself.
    """
    words = f"model file: {', '.join(FORMATS)}"
    if optional:
        parser.add_argument("--model", metavar=metavar, help=f"{words}; in place of the three sizes")
    else:
        parser.add_argument("model", metavar=metavar, help=words)
    parser.add_argument(
        "--name", "--prefix", "--layer", "--node", dest="name", metavar="NAME",
        help="one recurrent layer alone: prefix of a state dict, Keras layer, ONNX node, a layer's number",
    )  # fmt: skip
    if network and layers:
        parser.add_argument(
            "--layers", type=names, metavar="NAME,...",
            help="order of a state dict's layers, by prefix, with activations between them and `last` where the last "
            "step alone goes on: gru,lin or fc,relu,gru,last,head,softmax",
        )  # fmt: skip
    if network:
        parser.add_argument(
            "--skip", action="store_true", default=None, help="add x to y, where a network does and its file is silent"
        )
    parser.add_argument(
        "--reset", choices=("before", "after"),
        help="where a GRU's reset gate acts, against what the file says: before the recurrent product or after it",
    )  # fmt: skip
    parser.add_argument("--dtype", choices=("float32", "float64"), help="compute in it; default as in the file")
    parser.add_argument("--engine", default="auto", choices=("auto", "packed", "blas"), help="default %(default)s")


def names(text):
    """Argument type: names between commas."""
    return tuple(text.split(","))


names.__name__ = "list of names"


def read_model(args, *, told=None):
    """The model that the options ask for, a network or one layer, and its format in words.

    Parameters
    ----------
    args : argparse.Namespace
        From `add_model_options`, and maybe ``batch_first``.
    told : set of str, optional
        Warnings that were printed already, and are not again; those that are printed now are added.

    Raises
    ------
    OSError, ValueError, MissingExtra
        The file cannot be read, or holds no model.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found = _read(
                args,
                name=args.name,
                dtype=args.dtype,
                reset_after=None if args.reset is None else args.reset == "after",
                batch_first=getattr(args, "batch_first", None),
            )
        except SeveralNetworks as several:
            raise several.retold(args.model, "--name") from several.__cause__
        except ValueError as error:
            raise ValueError(_in_options(str(error), args.name)) from error
        except ImportError as error:
            raise MissingExtra(str(error)) from error
    told = set() if told is None else told
    for warning in caught:
        text = _in_options(" ".join(str(warning.message).split()), args.name)
        if text not in told:
            print(f"cgru: warning: {shown(text)}", file=sys.stderr)
            told.add(text)
    if isinstance(found, Weights) and not found.config.recurrent:      # a Linear, which keeps no state
        found = Chain((found,))
    return built(found, args.engine), form(args.model)


def _read(args, **options):
    if not hasattr(args, "skip"):      # a command that takes no networks
        return read(args.model, **options)
    return read_network(args.model, layers=args.layers, skip=args.skip, **options)


def _in_options(message, name):
    """A converter's message with this command line's options in place of its own parameters."""
    parameters = "|".join({kind.option for kind in FORMATS.values() if kind.option} | {"name"})
    message = re.sub(rf"\b({parameters})=(['\"]?){re.escape(str(name))}\2(?!\w)", lambda _: f"--name {name}", message)
    message = re.sub(r"\blayers=\(([^)]*)\)", lambda found: f"--layers {_joined(found[1])}", message)
    return re.sub(r"\b(name|layers|skip)=(?=[ :;,])", r"--\1", message)


def _joined(listed):
    """'gru', 'lin' as gru,lin."""
    return ",".join(word for part in listed.split(",") if (word := part.strip(" '\"")))
