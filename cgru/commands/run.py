"""``cgru run``: a model over a file of any size, in bounded memory.

A model that runs forwards goes through the file in pieces of time, its state kept in between. A bidirectional or
reversed one needs a whole sequence at once: of a batch-first file it takes some rows at a time, anything else it reads
whole, and says so. The output has the model's dtype and gets its name when it is complete.
"""

import argparse
import dataclasses
import os
import sys
import time

import numpy as np

from cgru.commands._progress import Progress
from cgru.commands._arrays import SUFFIXES, open_source, read_whole, writing
from cgru.commands._models import add_model_options, read_model, writable
from cgru.weights import Weights

_PIECE = 16 << 20      # bytes of input, output and what is between, at a time


def add_arguments(parser):
    """Declare the arguments of ``cgru run``."""
    add_model_options(parser)
    add_input_options(parser)
    parser.add_argument(
        "-o", "--output", metavar="FILE", required=True,
        help="where to write y: .npy, .npz (which also gets h_n) or .csv",
    )  # fmt: skip


def add_input_options(parser):
    """Declare the input and how to read it."""
    parser.add_argument(
        "input", metavar="INPUT",
        help="x (T, I), (T, N, I), or (N, T, I) with a batch-first model: .npy, .npz, or .csv with a step per line",
    )  # fmt: skip
    parser.add_argument("--key", metavar="NAME", help="which array of an .npz INPUT that holds several")
    parser.add_argument("--h0", metavar="FILE", help="initial state (layers * directions, N, H): .npy or .npz")
    parser.add_argument(
        "--batch-first", default=None, action=argparse.BooleanOptionalAction,
        help="read a three-dimensional INPUT as (N, T, I), or as (T, N, I); default as the model says",
    )  # fmt: skip


def main(args):
    """Run ``cgru run``."""
    writable(args.output, SUFFIXES, "--output")
    model = prepared_model(args)
    with open_source(args.input, args.key) as source:
        if os.path.exists(args.output) and os.path.samefile(args.input, args.output):
            raise ValueError(f"--output {args.output} is the input; give it another name")
        h_0 = initial_state(args, model, source)
        way = _way(model, source)
        if way is _whole and np.prod(source.shape, dtype=object):
            size = np.prod(source.shape, dtype=object) * model.dtype.itemsize
            print(f"cgru: the model runs backwards, so all of x is read at once: {size / 1e6:,.0f} MB", file=sys.stderr)
        shape = (*source.shape[:-1], model._weights.config.output_size)
        steps = int(np.prod(shape[:-1], dtype=object))
        progress, start = Progress(steps, " steps"), time.perf_counter()
        try:
            with writing(args.output, shape, model.dtype) as append:
                append.extra["h_n"] = way(model, source, h_0, append, progress)
        finally:
            progress.close()
    seconds = time.perf_counter() - start
    speed = f"{steps:,} steps in {seconds:.2f} s, {steps / seconds:,.0f} steps/s"
    print(f"wrote {args.output}: y {shape} {model.dtype}, {speed}")


def prepared_model(args):
    """The model, in the layout of the input."""
    model, _ = read_model(args)
    weights = model._weights
    if args.batch_first not in (None, model.batch_first):
        config = dataclasses.replace(weights.config, batch_first=args.batch_first)
        model = model._from_weights(Weights(config, weights.tensors), args.engine)
    return model


def initial_state(args, model, source):
    """h_0 of the right shape, or None; the input's shape is checked on the way."""
    config, shape = model._weights.config, source.shape
    if len(shape) not in (2, 3) or shape[-1] != config.input_size:
        layout = "(N, T, I)" if config.batch_first else "(T, N, I)"
        raise ValueError(
            f"{source.path} has shape {shape}, this model expects (T, I) or {layout} with I={config.input_size}"
        )
    if args.h0 is None:
        return None
    h_0 = read_whole(args.h0)
    batch = () if len(shape) == 2 else (shape[0 if config.batch_first else 1],)
    expected = (config.num_layers * config.directions, *batch, config.hidden_size)
    if h_0.shape != expected:
        raise ValueError(f"--h0 {args.h0} has shape {h_0.shape}, expected {expected}")
    return h_0.astype(model.dtype)


# ---- ways through the file: function of model, source, h_0, append, progress; h_n is returned


def _way(model, source):
    forwards = not (model.bidirectional or model.reverse or model.go_backwards)
    if 0 in source.shape:
        return _whole
    if len(source.shape) == 3 and model.batch_first:
        return _steps_of_each_row if forwards and _piece(model, source.shape[1]) < 1 else _rows
    return _steps if forwards else _whole


def _piece(model, steps):
    """How many times `steps` rows of features, with what they become, fit into a piece."""
    config = model._weights.config
    between = 3 * config.directions * config.hidden_size
    return _PIECE // (steps * (2 * config.input_size + between) * model.dtype.itemsize)


def _whole(model, source, h_0, append, progress):
    y, h_n = model(source.whole(), h_0)
    append(y)
    progress.update(y[..., 0].size)
    return h_n


def _steps(model, source, h_0, append, progress):
    """(T, I) or (T, N, I), some steps at a time."""
    T, *batch, features = source.shape
    stream = model.stream(*batch, h_0=h_0)
    N = batch[0] if batch else 1
    piece = max(1, _piece(model, N))
    for start in range(0, T, piece):
        steps = min(piece, T - start)
        append(stream.run(source.take(steps * N).reshape(steps, *batch, features)))
        progress.update(steps * N)
    return stream.state


def _rows(model, source, h_0, append, progress):
    """(N, T, I), some batch rows at a time."""
    N, T, features = source.shape
    piece, h_n = max(1, _piece(model, T)), []
    for start in range(0, N, piece):
        rows = min(piece, N - start)
        h = None if h_0 is None else h_0[:, start : start + rows]
        y, last = model(source.take(rows * T).reshape(rows, T, features), h)
        append(y)
        h_n.append(last)
        progress.update(rows * T)
    return np.concatenate(h_n, axis=1)


def _steps_of_each_row(model, source, h_0, append, progress):
    """(N, T, I) whose rows are longer than a piece: one row after the other, some steps at a time."""
    N, T, _ = source.shape
    piece, h_n = max(1, _piece(model, 1)), []
    for row in range(N):
        stream = model.stream(h_0=None if h_0 is None else h_0[:, row])
        for start in range(0, T, piece):
            steps = min(piece, T - start)
            append(stream.run(source.take(steps)))
            progress.update(steps)
        h_n.append(stream.state)
    return np.stack(h_n, axis=1)
