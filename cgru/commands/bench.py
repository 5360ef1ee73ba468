"""``cgru bench``: how fast a GRU of a given shape, or a saved model, is on this machine.

No peers and no plots: those are in the repository's ``bench/``.
"""

import time
from itertools import repeat

import numpy as np

_SAMPLE_NS = 10_000  # a sample is at least this long, so that reading the clock stays below 1 %


def add_arguments(parser):
    """Add the options of ``cgru bench`` to a parser.

    Parameters
    ----------
    parser : argparse.ArgumentParser
    """
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
    """Measure and print; returns the exit status.

    Parameters
    ----------
    args : argparse.Namespace
        What the options of `add_arguments` gave.

    Returns
    -------
    int
        0.

    Raises
    ------
    OSError, ValueError
        The model cannot be read, or there is no such engine.
    """
    import cgru

    if args.model is None:
        gru = cgru.GRU(args.input_size, args.hidden_size, args.num_layers, engine=args.engine, rng=0)
    else:
        gru = cgru.load(args.model, engine=args.engine)
    x = (
        np.random.default_rng(0)
        .standard_normal((args.steps, args.batch_size, gru.input_size))
        .astype(gru.dtype)
    )
    flops = matrix_flops(gru) * args.batch_size
    print(f"{gru!r}, batch size {args.batch_size}")

    if gru.bidirectional:
        print("step: none, a bidirectional model needs the whole sequence")
    else:
        samples, calls = measure(step_sampler(gru, x[0]), args.seconds)
        _print("step", samples, calls, 1, flops)
    if gru.batch_first:
        x = np.ascontiguousarray(x.transpose(1, 0, 2))
    label = f"{args.steps} steps" + (f", {args.threads} threads" if args.threads > 1 else "")
    samples, calls = measure(sequence_sampler(gru, x, args.threads), args.seconds)
    _print(label, samples, calls, args.steps, flops)
    return 0


def matrix_flops(gru):
    """Floating-point operations of one row's matrix products in one step: two for every weight."""
    return 2 * sum(array.size for name, array in gru.state_dict().items() if name.startswith("weight"))


def step_sampler(gru, x):
    """Function of `calls`: mean nanoseconds of that many steps of a stream into a ready output.

    Parameters
    ----------
    gru : GRU
    x : ndarray
        (N, I); a single row is stepped without its batch axis.
    """
    single = len(x) == 1
    step = gru.stream().step if single else gru.stream(len(x)).step
    frame = x[0] if single else x
    out = np.empty((*frame.shape[:-1], gru.hidden_size), gru.dtype)

    def sample(calls):
        start = time.perf_counter_ns()
        for _ in repeat(None, calls):
            step(frame, out=out)
        return (time.perf_counter_ns() - start) / calls

    return sample


def sequence_sampler(gru, x, threads):
    """Function of `calls`: mean nanoseconds of that many calls of the model on x, each with a new output."""

    def sample(calls):
        start = time.perf_counter_ns()
        for _ in repeat(None, calls):
            gru(x, threads=threads)
        return (time.perf_counter_ns() - start) / calls

    return sample


def measure(sample, seconds):
    """Sample for a while, after a tenth of that to warm up.

    Parameters
    ----------
    sample : callable
        See `step_sampler`.
    seconds : float

    Returns
    -------
    samples : ndarray
        Nanoseconds per call, each the mean of `calls` calls in a row.
    calls : int
        1 where a call takes longer than 10 microseconds.
    """
    fastest = sample(1)
    end = time.perf_counter() + 0.1 * seconds
    while time.perf_counter() < end:
        fastest = min(fastest, sample(1))
    calls = max(1, int(np.ceil(_SAMPLE_NS / fastest)))
    samples: list[float] = []
    end = time.perf_counter() + seconds
    while not samples or time.perf_counter() < end:
        samples.append(sample(calls))
    return np.array(samples), calls


def _print(label, samples, calls, steps, flops):
    """One line: median, p99 and what they amount to."""
    median, p99 = np.median(samples), np.percentile(samples, 99)
    note = "" if calls == 1 else f"  (p99 of means of {calls} calls)"
    print(
        f"{label}: median {duration(median)}, p99 {duration(p99)}, "
        f"{steps / median * 1e9:,.0f} steps/s, {steps * flops / median:.1f} GFLOP/s{note}"
    )


def duration(ns):
    """Text of a time in nanoseconds."""
    for unit, size in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if ns >= size:
            return f"{ns / size:.3g} {unit}" if ns / size < 100 else f"{ns / size:.0f} {unit}"
    return f"{ns:.0f} ns"


def positive(text):
    """Argument type: an integer of at least 1."""
    value = int(text)
    if value < 1:
        raise ValueError(text)
    return value


positive.__name__ = "positive integer"  # what argparse calls it in its message


def positive_seconds(text):
    """Argument type: a time in seconds."""
    value = float(text)
    if not 0 < value < 3600:
        raise ValueError(text)
    return value


positive_seconds.__name__ = "time"
