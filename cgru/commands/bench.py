"""``cgru bench``: how fast a GRU of a given shape, or a saved model, is on this machine.

No peers and no plots: those are in the repository's ``bench/``.
"""

import numpy as np

import cgru
from cgru.commands._exit import positive, positive_seconds
from cgru.commands._timing import duration, measure, sequence_sampler, step_sampler
from cgru.summary import multiply_adds


def add_arguments(parser):
    parser.add_argument("--model", metavar="FILE", help="a saved model in place of the three sizes")
    parser.add_argument("--input-size", type=positive, default=64, metavar="I", help="default 64")
    parser.add_argument("--hidden-size", type=positive, default=64, metavar="H", help="default 64")
    parser.add_argument("--num-layers", type=positive, default=1, metavar="L", help="default 1")
    parser.add_argument("--batch-size", type=positive, default=1, metavar="N", help="rows; default 1")
    parser.add_argument(
        "--steps", type=positive, default=100, metavar="T", help="of a sequence; default 100"
    )
    parser.add_argument("--engine", default="auto", help="default auto")
    parser.add_argument("--threads", type=positive, default=1, help="for the sequence; default 1")
    parser.add_argument(
        "--seconds", type=positive_seconds, default=1.0, help="for each measurement; default 1"
    )


def main(args):
    bench(_model(args), args.batch_size, args.steps, args.threads, args.seconds)


def _model(args):
    if args.model is not None:
        return cgru.load(args.model, engine=args.engine)
    return cgru.GRU(args.input_size, args.hidden_size, args.num_layers, engine=args.engine, rng=0)


def bench(model, batch_size, steps, threads, seconds):
    """Measure a model's step and its call on a sequence, and print both."""
    x = np.random.default_rng(0).standard_normal((steps, batch_size, model.input_size)).astype(model.dtype)
    flops = 2 * multiply_adds(model.weights) * batch_size
    print(f"{model!r}, batch size {batch_size}")
    if model.config.one_way:
        print(_line("step", measure(step_sampler(model, x[0]), seconds), 1, flops))
    else:
        kind = "bidirectional" if model.bidirectional else "reversed"
        print(f"step: none, a {kind} model needs the whole sequence")
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
