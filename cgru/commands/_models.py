"""A model out of a file: the options that say which one and how to read it, and the model, built once."""

import re
import sys
import warnings

from cgru.commands._exit import MissingExtra
from cgru.convert import FORMATS, SeveralNetworks, form, read
from cgru.model import model_of


def add_model_options(parser, metavar="MODEL", *, optional=False):
    """Declare a model file and how to read it; an optional one is --model."""
    words = f"model file: {', '.join(FORMATS)}"
    if optional:
        parser.add_argument("--model", metavar=metavar, help=f"{words}; in place of the three sizes")
    else:
        parser.add_argument("model", metavar=metavar, help=words)
    parser.add_argument(
        "--name", "--prefix", "--layer", "--node", dest="name", metavar="NAME",
        help="which network, where the file holds several: prefix of a state dict, Keras layer, ONNX node",
    )  # fmt: skip
    parser.add_argument(
        "--reset", choices=("before", "after"),
        help="where a GRU's reset gate acts, against what the file says: before the recurrent product or after it",
    )  # fmt: skip
    parser.add_argument("--dtype", choices=("float32", "float64"), help="compute in it; default as in the file")
    parser.add_argument("--engine", default="auto", choices=("auto", "packed", "blas"), help="default %(default)s")


def read_model(args, *, told=None):
    """The model that the options ask for, and its format in words.

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
            weights = read(
                args.model,
                name=args.name,
                dtype=args.dtype,
                reset_after=None if args.reset is None else args.reset == "after",
                batch_first=getattr(args, "batch_first", None),
            )
        except SeveralNetworks as several:
            raise several.retold(args.model, "--name") from None
        except ValueError as error:
            raise ValueError(_in_options(str(error), args.name)) from error
        except ImportError as error:
            raise MissingExtra(str(error)) from error
    told = set() if told is None else told
    for warning in caught:
        text = " ".join(str(warning.message).split())
        if text not in told:
            print(f"cgru: warning: {text}", file=sys.stderr)
            told.add(text)
    return model_of(weights, args.engine), form(args.model)


def _in_options(message, name):
    """A converter's message with this command line's --name in place of its own parameter."""
    parameters = "|".join({kind.option for kind in FORMATS.values()} | {"name"})
    return re.sub(rf"\b({parameters})=(['\"]?){re.escape(str(name))}\2(?!\w)", lambda _: f"--name {name}", message)
