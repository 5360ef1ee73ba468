"""The backward pass of all layers as stages of work, which one thread or several go through (`cgru.pipeline`).

The rows of a batch know nothing of each other on their way back through time. Then the gradients of weights are sums
over all rows, and what is shared out are the gates that they belong to. So float32's results have the same bits in any
number of threads.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from cgru import engines
from cgru.pipeline import Stage, run_stages
from cgru.staged import LEAST, ROWS
from cgru.threads import row_groups


def groups_of(weights, x, lengths, threads):
    """Slices of the rows of x (T, N, I), of about equal work, and how many threads have work at all: tiles of gates."""
    T, N = x.shape[:2]
    nbytes = sum(weights.stored[name].nbytes for _, name in weights.config.matrices())
    steps = T * N if lengths is None else int(lengths.sum())
    if threads == 1 or nbytes * steps <= LEAST:
        return [slice(0, N)], 1
    tiles = -(-weights.config.cell.stacked * weights.config.hidden_size // ROWS)
    return row_groups(N, lengths, max(1, min(threads, N // ROWS))), min(threads, tiles)


def run_all(stages, threads):
    """Every task of every stage, behind those of the stage before it."""
    if threads > 1:
        run_stages(stages, threads)
        return
    for stage in stages:
        for number in range(stage.tasks):
            stage.run(number)


def all_layers(tape, dy, states, parameters, need_x, threads=1):
    """Fill the parameters' gradients and replace `states` by the initial states' gradients; dL/dx is returned."""
    config, x = tape.weights.config, tape.xs[0]
    groups, threads = groups_of(tape.weights, x, tape.lengths, threads)
    sweep, stages = _Sweep(tape, dy, states, parameters, need_x), []
    for layer in reversed(range(config.num_layers)):
        for d in range(config.num_directions):
            stages += [
                Stage(partial(sweep.begin, layer, d), 1),
                Stage(lambda number: sweep.one.rows(groups[number].start, groups[number].stop), len(groups)),
                Stage(lambda number: sweep.one.parameters(number, threads), threads),
            ]
    run_all(stages, threads)
    return sweep.dx


class _Sweep:
    """Where a backward pass stands: the direction that it is in, and dL/d(its layer's y)."""

    def __init__(self, tape, dy, states, parameters, need_x):
        self.tape, self.dx, self.states, self.parameters, self.need_x = tape, dy, states, parameters, need_x
        self.module, self.da = engines.load("backward"), None

    def begin(self, layer, d, _=0):
        """The direction d of a layer is next."""
        tape, config = self.tape, self.tape.weights.config
        k = layer * config.num_directions + d
        x, y = tape.xs[layer : layer + 2]
        if d == 0:
            self.dy, self.dx = self.dx, np.empty_like(x) if layer or self.need_x else None
        suffix = f"l{layer}{'_reverse' if d else ''}"
        arrays = tape.weights.direction(suffix)
        names = [f"{part}_{suffix}" for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        adjoint = self.module.Adjoint(*arrays, **engines.options(config, d == 1))
        if self.da is None:
            self.da = np.empty(x.shape[0] * x.shape[1] * adjoint.width + adjoint.slack, x.dtype)
        self.one = adjoint.begin(
            x, y, tape.gates[k] if tape.gates else None, tape.lengths, d, config.runs_back[layer][d], self.dy,
            tuple(plane[k] for plane in tape.states), tuple(plane[k] for plane in self.states), self.dx, d == 1,
            [self.parameters[n] if n in self.parameters else np.empty_like(array)
             for n, array in zip(names, arrays, strict=True)],
            self.da,
        )  # fmt: skip
