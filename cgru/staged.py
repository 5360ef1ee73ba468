"""Several threads for one pass: how they are shared out, and the stages of a pass.

Rows go side by side where there are enough. Otherwise the two directions of a layer do, and layers that run forwards
are a pipeline over chunks of time: one computes a chunk while the layer below it computes the next. A direction that
comes from the end needs all of the layer below, so such layers come one after the other.
"""

from functools import partial
from itertools import groupby
from math import ceil
from typing import Any, NamedTuple

import numpy as np

from cgru.layers import merge_directions, run_direction, run_layers
from cgru.pipeline import Stage, run_stages

ROWS = 4            # that a thread computes in hardly more time than one: fewer are not worth a thread of their own
LEAST = 160 << 20   # bytes of weights, each counted in every step of every row: over 1 ms, some starts of a thread
CHUNK = 24 << 20    # the same of a chunk of the slowest layer: about 0.2 ms, many times what a hand-over costs
TILE = 8            # steps that are fast together, and the fewest of a chunk
ROOM = 8            # chunks that a layer may be ahead of the next one


class Level(NamedTuple):
    """A layer of one of the models of a pass."""

    model: Any
    layer: int
    states: tuple
    nbytes: int
    """Of its matrices, which is what a step takes time for."""

    @property
    def features(self):
        """Of its output, directions side by side."""
        return self.model.config.num_directions * self.model.config.hidden_size

    @property
    def recurrent(self):
        """Whether a step needs the one before it."""
        return self.model.config.recurrent

    @property
    def one_way(self):
        """Whether it can begin before the layer below it has ended."""
        return self.model.config.one_way


def levels_of(models, states):
    """Every `Level`, first to last."""
    found = []
    for model, planes in zip(models, states, strict=True):
        config, stored, nbytes = model.config, model.weights.stored, [0] * model.config.num_layers
        for layer, name in config.matrices():
            nbytes[layer] += stored[name].nbytes
        found += [Level(model, layer, planes, size) for layer, size in enumerate(nbytes)]
    return found


def shares(models, x, lengths, threads):
    """(groups, inside): how many groups of rows to make, and how many threads each of them gets; x is (T, N, I)."""
    T, N = x.shape[:2]
    groups = max(1, min(threads, N))
    if threads == 1 or not (T and N):
        return groups, 1
    rows = _full_rows(N, lengths)
    if rows >= ROWS * threads:
        return groups, 1
    levels = levels_of(models, [()] * len(models))
    work = sum(level.nbytes for level in levels)
    if work * rows * (T if lengths is None else lengths.max()) <= LEAST:
        return groups, 1
    ways = min(threads, ceil(work / _slowest(levels, T, rows, threads) - 0.3))
    if ways == 1:
        return groups, 1
    return max(1, min(int(rows), threads // ways)), ways


def _full_rows(N, lengths):
    """How many rows of full length are as much work."""
    return N if lengths is None else int(lengths.sum()) / max(1, int(lengths.max()))


def _slowest(levels, T, rows, threads):
    """The part of the work that takes the time, with so many threads for one sequence."""
    total = 0.0
    for one_way, group in groupby(levels, key=lambda level: level.one_way):
        if not one_way:
            total += sum(level.nbytes / level.model.config.num_directions for level in group)
            continue
        chain = list(group)
        count = ceil(T / chunk_steps(chain, T, rows, threads))
        whole = sum(level.nbytes for level in chain)
        most = max(whole / min(threads, count), *(level.nbytes for level in chain if level.recurrent), 0)
        total += most + (whole - most) / count      # the others begin and end one after the other
    return total


def run_models(models, x, y, states, lengths=None, threads=1):
    """Models, each over the y of the one before it, x (T, N, I) to y (T, N, features).

    Parameters
    ----------
    models : sequence of Recurrent or Linear
    x, y, lengths
        As of `cgru.layers.run_layers`; T or N may be 0.
    states : sequence of tuple of ndarray
        Each model's planes.
    threads : int
        Among them this one.
    """
    if not (x.shape[0] and x.shape[1]):
        return
    order = None if lengths is None else np.argsort(-lengths, kind="stable")
    if threads > 1:
        _run_staged(models, x, y, states, lengths, order, threads)
        return
    for number, (model, planes) in enumerate(zip(models, states, strict=True)):
        last = number == len(models) - 1
        above = y if last else np.empty((*x.shape[:2], model.config.output_size), x.dtype)
        run_layers(model, x, above, planes, lengths, order)
        x = above


def _run_staged(models, x, y, states, lengths, order, threads):
    parts: list[Any] = []       # (features, what makes stages of x and y)
    for one_way, group in groupby(levels_of(models, states), key=lambda level: level.one_way):
        if one_way:
            chain = list(group)
            parts.append((chain[-1].features, partial(_piped, chain, lengths, order, threads)))
            continue
        for level in group:
            parts.append((level.features, partial(_directions, level, lengths, order)))
            config = level.model.config
            if config.merge_mode != "concat":
                parts.append((config.output_size, partial(_merged, config.merge_mode)))
    stages: list[Stage] = []
    arrays: dict[Any, np.ndarray] = {}     # between parts: each is read by the next one only, so two are enough
    for number, (features, make) in enumerate(parts):
        above = y
        if number < len(parts) - 1:
            key = number % 2, features
            if key not in arrays:
                arrays[key] = np.empty((*x.shape[:2], features), x.dtype)
            above = arrays[key]
        stages += make(x, above)
        x = above
    run_stages(stages, threads)


def _directions(level, lengths, order, x, y):
    """A layer that needs the whole of x: a task for each direction."""
    def run(d):
        run_direction(level.model, level.layer, d, x, y, level.states, lengths, order)

    return [Stage(run, level.model.config.num_directions)]


def _merged(mode, x, y):
    return [Stage(lambda _: merge_directions(x, mode, y), 1)]


def _piped(levels, lengths, order, threads, x, y):
    """Layers that run forwards: a task for each chunk of time. Between them there is room for some chunks."""
    T, N = x.shape[:2]
    steps = chunk_steps(levels, T, _full_rows(N, lengths), threads)
    count = ceil(T / steps)
    room, stages = min(ROOM, count), []
    source = _pieces(x, steps, T, count)
    for number, level in enumerate(levels):
        last = number == len(levels) - 1
        if last:
            target = _pieces(y, steps, T, count)
        else:
            target = _pieces(np.empty((room * steps, N, level.features), x.dtype), steps, T, room)
        run = _chunk_runner(level, source, target, steps, lengths, order)
        stages.append(Stage(run, count, serial=level.recurrent, piped=number > 0, room=None if last else room))
        source = target
    return stages


def _chunk_runner(level, source, target, steps, lengths, order):
    """The function that computes a chunk of a layer that runs forwards."""
    run = level.model.directions[level.layer].run
    states = tuple(plane[level.layer] for plane in level.states)

    def chunk(number):
        x, y = source(number), target(number)
        own = None if lengths is None else np.clip(lengths - number * steps, 0, len(x))
        run(x, y, states, own, order, False, None)

    return chunk


def _pieces(array, steps, T, room):
    """A function of a chunk's number, that gives its place in an array with room for so many."""
    def piece(number):
        start = number % room * steps
        return array[start : start + min(steps, T - number * steps)]

    return piece


def chunk_steps(levels, T, rows, threads):
    """How many steps a chunk of a pipeline has, with so many rows of full length."""
    rows = max(1, rows)
    recurrent = [level.nbytes for level in levels if level.recurrent]
    if len(levels) == 1 and recurrent:
        return T
    steps = int(CHUNK / (rows * max(recurrent or [level.nbytes for level in levels])))
    if not recurrent:
        steps = min(steps, ceil(T / threads))
    return min(T, max(ceil(TILE / rows), steps // TILE * TILE))
