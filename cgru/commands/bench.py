"""``cgru bench``: how fast a GRU of a given shape, or any model or network in a file, is on this machine.

With --latency single steps are timed one by one, of a stream or of a sliding window: p50, p99, p99.9 and max beside
the machine's limit. No peers: those are in the repository's ``bench/``.
"""

import numpy as np

import cgru
from cgru.commands import _latency, _pictures
from cgru.commands._exit import positive, positive_seconds, threads
from cgru.commands._layers import model_multiply_adds, one_way, way
from cgru.commands._models import add_model_options, read_model
from cgru.commands._timing import duration, measure, sequence_sampler, step_sampler
from cgru.quantize import WEIGHT_DTYPES


def add_arguments(parser):
    add_model_options(parser, "FILE", optional=True)
    parser.add_argument("--input-size", type=positive, default=64, metavar="I", help="default 64")
    parser.add_argument("--hidden-size", type=positive, default=64, metavar="H", help="default 64")
    parser.add_argument("--num-layers", type=positive, default=1, metavar="L", help="default 1")
    parser.add_argument("--weights", choices=WEIGHT_DTYPES, help="quantise the model first; default as it is")
    parser.add_argument("--batch-size", type=positive, default=1, metavar="N", help="rows; default 1")
    parser.add_argument("--steps", type=positive, default=100, metavar="T", help="of a sequence; default 100")
    parser.add_argument(
        "--threads", type=threads, default=1, metavar="N", help="for the sequence; default 1, -1 is all cores"
    )
    parser.add_argument("--seconds", type=positive_seconds, default=1.0, help="for each measurement; default 1")
    parser.add_argument("--latency", action="store_true", help="time single steps one by one instead")
    parser.add_argument(
        "--window", type=positive, metavar="T",
        help="with --latency, of a sliding window of T steps: the answer, and what is left to settle after it",
    )  # fmt: skip
    parser.add_argument("--plot", metavar="FILE", help="with --latency, draw a histogram: .png, .pdf or .svg")


def main(args):
    if args.plot is not None:
        if not args.latency:
            raise ValueError("--plot draws what --latency measures; add --latency")
        _pictures.check(args)
    if args.window is not None and (not args.latency or args.batch_size > 1):
        raise ValueError("--window is what --latency measures, of one row: add --latency, and leave out --batch-size")
    model = _model(args)
    if args.latency:
        latency(args, model)
    else:
        bench(model, args.batch_size, args.steps, args.threads, args.seconds)


def _model(args):
    if args.model is not None:
        model = read_model(args)[0]
    else:
        options = {"reset_after": args.reset != "before", "dtype": args.dtype or "float32", "engine": args.engine}
        model = cgru.GRU(args.input_size, args.hidden_size, args.num_layers, rng=0, **options)
    if args.weights is None:
        return model
    if model.dtype != np.float32:
        raise ValueError(f"--weights {args.weights} rounds float32 weights, and these are {model.dtype}: "
                         "give --dtype float32")
    return (model.replace(engine="packed") if args.engine == "auto" else model).quantize(args.weights)


def latency(args, model):
    """Time single steps, print what there is to say of them and draw them."""
    if not one_way(model):
        raise ValueError("--latency times single steps, and a model that runs backwards has none")
    title = f"{model!r}, batch size {args.batch_size}" + (f", window of {args.window} steps" if args.window else "")
    print(title)
    bound = _latency.limit(model, args.batch_size)
    found = _latency.measure(model, args.batch_size, args.seconds, args.window)
    print("\n".join(_latency.lines(found, bound)))
    if args.plot is not None:
        from cgru.commands import _latency_picture

        _pictures.save(_latency_picture.figure(found, bound, title), args.plot)
        print(f"wrote {args.plot}")


def bench(model, batch_size, steps, threads, seconds):
    """Measure a model's step and its call on a sequence, and print both."""
    x = np.random.default_rng(0).standard_normal((steps, batch_size, model.input_size)).astype(model.dtype)
    flops = 2 * model_multiply_adds(model) * batch_size
    print(f"{model!r}, batch size {batch_size}")
    if one_way(model):
        print(_line("step", measure(step_sampler(model, x[0]), seconds), 1, flops))
    else:
        print(f"step: none, a {way(model)} model needs the whole sequence")
    if model.batch_first:
        x = np.ascontiguousarray(x.transpose(1, 0, 2))
    label = f"{steps} steps" + (f", {threads} threads" if threads > 1 else "")
    print(_line(label, measure(sequence_sampler(model, x, threads), seconds), steps, flops))


def _line(label, measured, steps, flops):
    """Median, p99 and what they amount to."""
    samples, calls = measured
    median, p99 = np.median(samples), np.percentile(samples, 99)
    note = "" if calls == 1 else f"  (p99 of means of {calls} calls)"
    return (
        f"{label}: median {duration(median)}, p99 {duration(p99)}, "
        f"{steps / median * 1e9:,.0f} steps/s, {steps * flops / median:.1f} GFLOP/s{note}"
    )
