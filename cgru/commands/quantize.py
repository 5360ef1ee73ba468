"""``cgru quantize``: a model or network with its weights in 16 or 8 bits, what that saves, and how far off it then is.

Printed are the sizes and the time of a step before and after. With --data, that is also the largest and the RMS
difference of y from the one before. OUT keeps the small form: cgru.load and all commands read it.
"""

import os
import re

import numpy as np

from cgru.commands._arrays import SUFFIXES, open_source
from cgru.commands._exit import positive_seconds, writable
from cgru.commands._inputs import as_features
from cgru.commands._layers import engines_of, one_way
from cgru.commands._models import add_model_options, read_model
from cgru.commands._timing import duration, measure, sequence_sampler, step_sampler
from cgru.quantize import WEIGHT_DTYPES
from cgru.summary import text_of

_STEPS = 100        # of a sequence, where a model has no single steps


def add_arguments(parser):
    add_model_options(parser, "IN", layers=False)
    parser.add_argument("output", metavar="OUT", help="what to write: .safetensors, which cgru.load reads")
    parser.add_argument("--weights", required=True, choices=WEIGHT_DTYPES, help="the type to round the weights to")
    parser.add_argument(
        "--layers", type=layers, action="append", metavar="K,...",
        help="only these layers, from 0, of a network its places: 0,1; --layers=-1 is the last; default all. With "
        "names in place of numbers it is, as for the other commands, the order of a state dict's layers: gru,lin (a "
        "prefix that is a number ends with a dot: 0.,2.); it may be given both ways",
    )  # fmt: skip
    parser.add_argument(
        "--data", metavar="FILE", help=f"x to compare the outputs on, in the model's layout: {', '.join(SUFFIXES)}"
    )
    parser.add_argument("--key", metavar="NAME", help="which array of an .npz FILE that holds several")
    parser.add_argument("--seconds", type=positive_seconds, default=0.5, help="for each measurement; default 0.5")


def layers(text):
    """Argument type: numbers of layers between commas, or else names."""
    words = text.split(",")
    if not all(word.strip() for word in words):
        raise ValueError(text)
    numbers = all(re.fullmatch(r"[+-]?\d+", word.strip()) for word in words)
    return [int(word) for word in words] if numbers else tuple(words)


layers.__name__ = "list of layers"


def _chosen(args):
    """The layers to quantise; those that order a state dict stay in `args`, as `read_model` wants them."""
    given = args.layers or []
    named = [words for words in given if isinstance(words, tuple)]
    numbers = [words for words in given if isinstance(words, list)]
    if len(named) > 1 or len(numbers) > 1:
        raise ValueError("--layers is given twice in the same way; once it takes numbers, once names")
    args.layers = named[0] if named else None
    return numbers[0] if numbers else None


def main(args):
    writable(args.output, (".safetensors",), "OUT", args)
    chosen = _chosen(args)
    model, form = read_model(args)
    if model.dtype != np.float32:
        raise ValueError(f"{args.model} computes in {model.dtype}, and only float32 is quantised: add --dtype float32")
    if args.key is not None and args.data is None:
        raise ValueError(f"--key {args.key} names an array of a --data FILE; add --data")
    small = model.replace(engine="packed").quantize(args.weights, layers=chosen)
    compared = [] if args.data is None else [("y", _difference(args, model, small))]
    size = os.path.getsize(args.model)
    small.save(args.output)
    print(f"read {args.model} ({form}): {model!r}")
    print(f"wrote {args.output}: {small!r}")
    lines = [
        ("file", _sizes(size, os.path.getsize(args.output))),
        ("parameters", _sizes(model.nbytes, small.nbytes)),
        _times(model, small, args.seconds),
    ]
    print(text_of(lines + compared))


def _data(path, key, model):
    """x out of a file: finite numbers that the model takes."""
    with open_source(path, key, "--key") as source:
        as_features(source, model)
        shape, features = source.shape, model.input_size
        if len(shape) not in (2, 3) or shape[-1] != features or 0 in shape:
            form = "(N, T, I)" if model.batch_first else "(T, N, I)"
            raise ValueError(f"--data {path} has shape {shape}, this model expects (T, I) or {form} with I={features}")
        with np.errstate(over="ignore"):        # an infinity is refused below
            x = source.whole().astype(model.dtype)
    if not np.isfinite(x).all():
        raise ValueError(f"--data {path} holds NaN or infinity; take numbers that the model is made for")
    return x


def _difference(args, model, small):
    """How far off y is on --data, in words."""
    x = _data(args.data, args.key, model)
    before, after = model(x)[0], small(x)[0]
    off = after.astype(np.float64) - before
    largest, typical = np.abs(off).max(), np.sqrt(np.mean(off**2))
    return (
        f"largest error {largest:.2e}, RMS {typical:.2e}, of values up to {np.abs(before).max():.3g}, on {args.data} "
        f"{x.shape}"
    )


def _sizes(before, after):
    return f"{before:,} bytes before, {after:,} after: {after / before:.2f} of it"


def _times(model, small, seconds):
    """(name, text) of the time of a step before and after, or of a sequence where a model has no steps."""
    x = np.random.default_rng(0).standard_normal((_STEPS, 1, model.input_size)).astype(model.dtype)
    if one_way(model):
        name, samplers = "a step", [step_sampler(one, x[0]) for one in (model, small)]
    else:
        x = x.swapaxes(0, 1) if model.batch_first else x
        name, samplers = f"{_STEPS} steps", [sequence_sampler(one, np.ascontiguousarray(x)) for one in (model, small)]
    before, after = (float(np.median(measure(sampler, seconds)[0])) for sampler in samplers)
    where = f"{engines_of(model)} before, {engines_of(small)} after"
    return name, f"{duration(before)} before, {duration(after)} after: {before / after:.2f} times as fast ({where})"
