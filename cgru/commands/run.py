"""``cgru run``: a model or a whole network over a file of any size, in bounded memory.

A model that runs forwards goes through the file in pieces of time, its state kept in between. A bidirectional or
reversed one needs a whole sequence at once: of a batch-first file it takes some rows at a time, anything else it reads
whole, and says so. An .npy in Fortran order is read whole too. All cores, or as many threads as --threads says, share
the rows of a piece, or layers and directions. The output has the model's dtype and gets its name when it is complete.
Of a network that takes the last step alone, y is a row for each sequence.

Of a .parquet file, or a folder of them, it takes the sequences in one column, of any lengths, and writes a .parquet
file with what becomes of each row.
"""

import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from cgru.commands._arrays import SUFFIXES, Source
from cgru.commands._exit import threads, writable
from cgru.commands._inputs import add_input_options, initial_state, on_planes, open_input, read_lengths
from cgru.commands._layers import gives_last, layers_of, one_way, planes_of, states_of, y_shape
from cgru.commands._models import add_model_options, read_model
from cgru.commands._parquet import add_parquet_options, is_parquet, run_parquet, settle_output
from cgru.commands._progress import Progress
from cgru.commands._writing import writing
from cgru.threads import thread_count

PIECE = 16 << 20      # bytes of input, output and what is between, at a time


def add_arguments(parser):
    add_model_options(parser)
    add_input_options(parser)
    parser.add_argument(
        "-o", dest="output", metavar="FILE",
        help="where to write y: .npy, .npz (which also gets h_n, and an LSTM's c_n; of a network with several "
        "recurrent layers 0.h_n, 2.c_n, ...) or .csv; of a Parquet INPUT .parquet",
    )  # fmt: skip
    parser.add_argument(
        "--lengths", metavar="FILE",
        help="valid steps of each row: N integers in a .npy, .npz, .csv or .txt; y is zero past a row's length",
    )  # fmt: skip
    parser.add_argument(
        "--threads", type=threads, metavar="N",
        help="compute in up to N threads; default -1, all cores. They share the rows of INPUT, or if these are few the "
        "directions or the layers",
    )  # fmt: skip
    add_parquet_options(parser)


def main(args, piece=PIECE):
    """Run ``cgru run``, with about `piece` bytes in memory at a time."""
    settle_output(args)
    if args.output is None:
        raise ValueError("the following arguments are required: -o (see cgru run --help)")
    if is_parquet(args):
        run_parquet(args)
        return
    args.threads = args.threads or thread_count(-1)
    writable(args.output, SUFFIXES, "--output", args)
    model, _ = read_model(args)
    with open_input(args, model) as source:
        hx = initial_state(args, model, source.shape)
        lengths = None if args.lengths is None else read_lengths(args.lengths, model, source.shape)
        shape = y_shape(model, source.shape)
        steps = int(np.prod(source.shape[:-1], dtype=object))
        way = _way(model, source, piece)
        if way is _whole and steps:
            size = np.prod(source.shape, dtype=object) * model.dtype.itemsize
            print(f"cgru: the model runs backwards, so all of x is read at once: {size / 1e6:,.0f} MB", file=sys.stderr)
        progress, start = Progress(steps, " steps"), time.perf_counter()
        try:
            with writing(args.output, shape, model.dtype) as append:
                job = Job(model, source, hx, lengths, args.threads, append, progress.update, piece)
                final = planes_of(way(job))
                names = [f"{plane.name}_n" for planes in states_of(model) for plane in planes]
                append.extra |= zip(names, final, strict=True)
        finally:
            progress.close()
    seconds = time.perf_counter() - start
    speed = f"{steps:,} steps in {seconds:.2f} s, {steps / seconds:,.0f} steps/s"
    if len(source.shape) == 3:
        speed += f", {args.threads} thread{'s' if args.threads > 1 else ''}"
    print(f"wrote {args.output}: y {shape} {model.dtype}, {speed}")


# ---- functions of a Job, the ways through a file: they hand y to emit, in its order, and return the final state


class Job(NamedTuple):
    """What a way through the file is given."""

    model: Any
    source: Source
    hx: np.ndarray | tuple | None
    lengths: np.ndarray | None
    threads: int
    emit: Callable[[np.ndarray], None]
    done: Callable[[int], None]      # so many steps are
    piece: int

    def run(self, x, hx, lengths=None):
        """Emit what the model makes of `x` and return the final state."""
        y, final = self.compute(x, hx, lengths)
        self.emit(y)
        return final

    def compute(self, x, hx, lengths=None):
        """What the model makes of `x`, and the final state."""
        found = self.model(x, hx, lengths=lengths, threads=self.threads)
        self.done(x[..., 0].size)
        return found

    def through(self, pieces, hx):
        """Emit what the model makes of (x, lengths) of one time after the other, or the last step of it."""
        last = None
        for x, lengths in pieces:
            if not gives_last(self.model):
                hx = self.run(x, hx, lengths)
                continue
            y, hx = self.compute(x, hx, lengths)
            last = y if last is None or lengths is None else np.where(lengths[:, None] > 0, y, last)
        if last is not None:
            self.emit(last)
        return hx

    def state_of(self, rows):
        """The initial state of some rows."""
        return on_planes(lambda plane: plane[:, rows], self.hx)

    def remaining(self, start, steps, rows=slice(None)):
        """The valid steps of some rows among the `steps` steps from `start` on, or None."""
        return None if self.lengths is None else np.clip(self.lengths[rows] - start, 0, steps)

    def pieces(self, total, steps):
        """(start, count) of pieces of `total` times `steps` steps."""
        most = max(1, _fitting(self.model, steps, self.piece))
        return [(start, min(most, total - start)) for start in range(0, total, most)]


def _fitting(model, steps, piece):
    """How many times `steps` rows of features, with what they become, fit into `piece` bytes."""
    configs = [layer.config for layer in layers_of(model)]
    between = sum(config.cell.stacked * config.num_directions * config.hidden_size for config in configs)
    return piece // (steps * (2 * model.input_size + between) * model.dtype.itemsize)


def _way(model, source, piece):
    forwards = one_way(model)
    if 0 in source.shape:
        return _whole
    if len(source.shape) == 3 and model.batch_first:
        long = _fitting(model, source.shape[1], piece) < 1
        return _steps_of_each_row if forwards and long else _rows
    return _steps if forwards else _whole


def _whole(job):
    return job.run(job.source.whole(), job.hx, job.lengths)


def _steps(job):
    """(T, I) or (T, N, I), some steps at a time."""
    T, *batch, features = job.source.shape
    N = batch[0] if batch else 1
    pieces = (
        (job.source.take(steps * N).reshape(steps, *batch, features), job.remaining(start, steps))
        for start, steps in job.pieces(T, N)
    )
    return job.through(pieces, job.hx)


def _rows(job):
    """(N, T, I), some batch rows at a time."""
    (N, T, features), final = job.source.shape, []
    for start, count in job.pieces(N, T):
        rows = slice(start, start + count)
        x = job.source.take(count * T).reshape(count, T, features)
        final.append(job.run(x, job.state_of(rows), job.remaining(0, T, rows)))
    return _side_by_side(final)


def _steps_of_each_row(job):
    """(N, T, I) whose rows are longer than a piece: one row after the other, some steps at a time."""
    N, T, _ = job.source.shape
    final: list = []
    for row in range(N):
        rows = slice(row, row + 1)
        pieces = (
            (job.source.take(steps)[None], job.remaining(start, steps, rows)) for start, steps in job.pieces(T, 1)
        )
        final.append(job.through(pieces, job.state_of(rows)))
    return _side_by_side(final)


def _side_by_side(states):
    """States of some rows each, as one of all of them."""
    return on_planes(lambda *planes: np.concatenate(planes, axis=1), *states)
