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

from cgru.commands._arrays import SUFFIXES, Source
from cgru.commands._exit import threads, writable
from cgru.commands._inputs import add_input_options, initial_state, on_planes, open_input, read_lengths
from cgru.commands._models import add_model_options, read_model
from cgru.commands._progress import Progress
from cgru.commands._writing import writing
from cgru.recurrent import Recurrent

PIECE = 16 << 20      # bytes of input, output and what is between, at a time


def add_arguments(parser):
    add_model_options(parser)
    add_input_options(parser)
    parser.add_argument(
        "-o", "--output", metavar="FILE", required=True,
        help="where to write y: .npy, .npz (which also gets h_n, and an LSTM's c_n) or .csv",
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

                final = way(Job(model, source, hx, lengths, args.threads, emit, piece))
                names = [f"{plane}_n" for plane in model.config.cell.states]
                append.extra |= zip(names, final if isinstance(final, tuple) else (final,), strict=True)
        finally:
            progress.close()
    seconds = time.perf_counter() - start
    speed = f"{steps:,} steps in {seconds:.2f} s, {steps / seconds:,.0f} steps/s"
    if len(shape) == 3:
        speed += f", {args.threads} thread{'s' if args.threads > 1 else ''}"
    print(f"wrote {args.output}: y {shape} {model.dtype}, {speed}")


# ---- functions of a Job, the ways through a file: they hand y to emit, in its order, and return the final state


class Job(NamedTuple):
    """What a way through the file is given."""

    model: Recurrent
    source: Source
    hx: np.ndarray | tuple | None
    lengths: np.ndarray | None
    threads: int
    emit: Callable[[np.ndarray], None]
    piece: int

    def run(self, x, hx, lengths=None):
        """Emit what the model makes of `x` and return the final state."""
        y, final = self.model(x, hx, lengths=lengths, threads=self.threads)
        self.emit(y)
        return final

    def state_of(self, rows):
        """The initial state of some rows."""
        return on_planes(lambda plane: plane[:, rows], self.hx)

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
    N, state = batch[0] if batch else 1, job.hx
    for start, steps in job.pieces(T, N):
        x = job.source.take(steps * N).reshape(steps, *batch, features)
        state = job.run(x, state, job.remaining(start, steps))
    return state


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
        state = job.state_of(rows)
        for start, steps in job.pieces(T, 1):
            state = job.run(job.source.take(steps)[None], state, job.remaining(start, steps, rows))
        final.append(state)
    return _side_by_side(final)


def _side_by_side(states):
    """States of some rows each, as one of all of them."""
    return on_planes(lambda *planes: np.concatenate(planes, axis=1), *states)
