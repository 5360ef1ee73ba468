"""``cgru bench``: how fast a GRU of a given shape, or a saved model, is on this machine.

No peers and no plots: those are in the repository's ``bench/``.
"""

import numpy as np

import cgru
from cgru.commands._exit import positive, positive_seconds
from cgru.commands._models import one_way
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
    if args.model is None:
        model = cgru.GRU(args.input_size, args.hidden_size, args.num_layers, engine=args.engine, rng=0)
    else:
        model = cgru.load(args.model, engine=args.engine)
    x = (
        np.random.default_rng(0)
        .standard_normal((args.steps, args.batch_size, model.input_size))
        .astype(model.dtype)
    )
    flops = 2 * multiply_adds(model.weights) * args.batch_size
    print(f"{model!r}, batch size {args.batch_size}")
    print(_step_line(model, x[0], args.seconds, flops))
    if model.batch_first:
        x = np.ascontiguousarray(x.transpose(1, 0, 2))
    label = f"{args.steps} steps" + (f", {args.threads} threads" if args.threads > 1 else "")
    measured = measure(sequence_sampler(model, x, args.threads), args.seconds)
    print(_line(label, *measured, args.steps, flops))


def _step_line(model, x_t, seconds, flops):
    if not one_way(model.config):
        kind = "bidirectional" if model.bidirectional else "reversed"
        return f"step: none, a {kind} model needs the whole sequence"
    return _line("step", *measure(step_sampler(model, x_t), seconds), 1, flops)


def _line(label, samples, calls, steps, flops):
    """Median, p99 and what they amount to."""
    median, p99 = np.median(samples), np.percentile(samples, 99)
    note = "" if calls == 1 else f"  (p99 of means of {calls} calls)"
    return (
        f"{label}: median {duration(median)}, p99 {duration(p99)}, "
        f"{steps / median * 1e9:,.0f} steps/s, {steps * flops / median:.1f} GFLOP/s{note}"
    )
