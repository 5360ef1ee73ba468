"""``cgru run``: a model over a file of any size, in bounded memory.

A model that runs forwards goes through the file in pieces of time, its state kept in between. A bidirectional or
reversed one needs a whole sequence at once: of a batch-first file it takes some rows at a time, anything else it reads
whole, and says so. An .npy in Fortran order is read whole too. The rows of a piece are split over all cores, or as many
threads as --threads says. The output has the model's dtype and gets its name when it is complete.
"""

import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

import cgru
from cgru.commands._arrays import SUFFIXES, Source
from cgru.commands._exit import threads, writable
from cgru.commands._inputs import add_input_options, initial_state, open_input, read_lengths
from cgru.commands._models import add_model_options, read_model
from cgru.commands._progress import Progress
from cgru.commands._writing import writing

PIECE = 16 << 20      # bytes of input, output and what is between, at a time


def add_arguments(parser):
    add_model_options(parser)
    add_input_options(parser)
    parser.add_argument(
        "-o", "--output", metavar="FILE", required=True,
        help="where to write y: .npy, .npz (which also gets h_n) or .csv",
    )  # fmt: skip
    parser.add_argument(
        "--lengths", metavar="FILE",
        help="valid steps of each row: N integers in a .npy, .npz, .csv or .txt; y is zero past a row's length",
    )  # fmt: skip
    parser.add_argument(
        "--threads", type=threads, default="-1", metavar="N",
        help="split the rows of INPUT over N threads; default -1, all cores. A single sequence has one row",
    )  # fmt: skip


def main(args, piece=PIECE):
    """Run ``cgru run``, with about `piece` bytes in memory at a time."""
    writable(args.output, SUFFIXES, "--output", args)
    model, _ = read_model(args)
    with open_input(args) as source:
        hx = initial_state(args, model, source)
        lengths = None if args.lengths is None else read_lengths(args.lengths, model, source.shape)
        shape = (*source.shape[:-1], model.config.output_size)
        steps = int(np.prod(shape[:-1], dtype=object))
        way = _way(model, source, piece)
        if way is _whole and steps:
            size = np.prod(source.shape, dtype=object) * model.dtype.itemsize
            print(f"cgru: the model runs backwards, so all of x is read at once: {size / 1e6:,.0f} MB", file=sys.stderr)
        progress, start = Progress(steps, " steps"), time.perf_counter()
        try:
            with writing(args.output, shape, model.dtype) as append:

                def emit(y):
                    append(y)
                    progress.update(y[..., 0].size)

                append.extra["h_n"] = way(Job(model, source, hx, lengths, args.threads, emit, piece))
        finally:
            progress.close()
    seconds = time.perf_counter() - start
    speed = f"{steps:,} steps in {seconds:.2f} s, {steps / seconds:,.0f} steps/s"
    if len(shape) == 3:
        speed += f", {args.threads} thread{'s' if args.threads > 1 else ''}"
    print(f"wrote {args.output}: y {shape} {model.dtype}, {speed}")


# ---- ways through the file: functions of a Job that hand y to emit, in the order of the file, and return h_n


class Job(NamedTuple):
    """What a way through the file is given."""

    model: cgru.GRU
    source: Source
    hx: np.ndarray | None
    lengths: np.ndarray | None
    threads: int
    emit: Callable[[np.ndarray], None]
    piece: int

    def run(self, x, hx, lengths=None):
        """Emit what the model makes of `x` and return the final state."""
        y, h_n = self.model(x, hx, lengths=lengths, threads=self.threads)
        self.emit(y)
        return h_n

    def remaining(self, start, steps, rows=slice(None)):
        """The valid steps of some rows among the `steps` steps from `start` on, or None."""
        return None if self.lengths is None else np.clip(self.lengths[rows] - start, 0, steps)

    def pieces(self, total, steps):
        """(start, count) of pieces of `total` times `steps` steps."""
        most = max(1, _fitting(self.model.config, self.model.dtype, steps, self.piece))
        return [(start, min(most, total - start)) for start in range(0, total, most)]


def _fitting(config, dtype, steps, piece):
    """How many times `steps` rows of features, with what they become, fit into `piece` bytes."""
    between = config.cell.stacked * config.num_directions * config.hidden_size
    return piece // (steps * (2 * config.input_size + between) * dtype.itemsize)


def _way(model, source, piece):
    forwards = model.config.one_way
    if 0 in source.shape:
        return _whole
    if len(source.shape) == 3 and model.batch_first:
        long = _fitting(model.config, model.dtype, source.shape[1], piece) < 1
        return _steps_of_each_row if forwards and long else _rows
    return _steps if forwards else _whole


def _whole(job):
    return job.run(job.source.whole(), job.hx, job.lengths)


def _steps(job):
    """(T, I) or (T, N, I), some steps at a time."""
    T, *batch, features = job.source.shape
    N, h = batch[0] if batch else 1, job.hx
    for start, steps in job.pieces(T, N):
        x = job.source.take(steps * N).reshape(steps, *batch, features)
        h = job.run(x, h, job.remaining(start, steps))
    return h


def _rows(job):
    """(N, T, I), some batch rows at a time."""
    (N, T, features), h_n = job.source.shape, []
    for start, count in job.pieces(N, T):
        rows = slice(start, start + count)
        h = None if job.hx is None else job.hx[:, rows]
        x = job.source.take(count * T).reshape(count, T, features)
        h_n.append(job.run(x, h, job.remaining(0, T, rows)))
    return np.concatenate(h_n, axis=1)


def _steps_of_each_row(job):
    """(N, T, I) whose rows are longer than a piece: one row after the other, some steps at a time."""
    N, T, _ = job.source.shape
    h_n: list = []
    for row in range(N):
        rows = slice(row, row + 1)
        h = None if job.hx is None else job.hx[:, rows]
        for start, steps in job.pieces(T, 1):
            h = job.run(job.source.take(steps)[None], h, job.remaining(start, steps, rows))
        h_n.append(h)
    return np.concatenate(h_n, axis=1)
