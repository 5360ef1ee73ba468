"""Ways to step many streams, some or all of them a tick: a pool, streams one by one, ONNX Runtime, one fixed batch.

A way is made with a capacity; ``tick(M)`` returns a function of nothing that steps M of its streams, in an order that
is none of opening, with a new x, and ``y(M)`` is their output, a row each.
"""

import tempfile
from pathlib import Path

import numpy as np

import cgru
from bench.common import onnx_session
from bench.common.contestant import Absent
from cgru.judge.points import Point

INPUTS = 8  # different x, one after the other
POOL, ONE_BY_ONE, ORT, BATCH = "cgru pool", "cgru, one by one", "ONNX Runtime, batches", "cgru, one fixed batch"


class Problem:
    """A GRU with I = H / 2, and what its streams are fed.

    Attributes
    ----------
    state : dict of str to ndarray
        Weights by PyTorch's names.
    x : (INPUTS, capacity, I) float32
        Rows of one tick after the other; they begin again.
    ids : (capacity,) intp
        A random order of the streams.
    """

    def __init__(self, H, capacity, layers=1):
        rng = np.random.default_rng([H, layers])
        self.H, self.I, self.layers, self.capacity = H, H // 2, layers, capacity
        self.state = Point(1, 1, self.I, H, layers=layers).draw_weights(rng)
        self.x = rng.standard_normal((INPUTS, capacity, self.I), dtype=np.float32)
        self.ids = rng.permutation(capacity)

    @property
    def model(self):
        return cgru.GRU.from_state_dict(self.state)


class Way:
    """What the ways share: the turn of the inputs, and the output."""

    def __init__(self, problem):
        self.problem, self._turn = problem, -1
        self._y = np.zeros((problem.capacity, problem.H), np.float32)
        self.open()

    def open(self):
        """Open as many streams as the capacity."""
        raise NotImplementedError

    def next_x(self):
        """(capacity, I) of the next tick."""
        self._turn = (self._turn + 1) % INPUTS
        return self.problem.x[self._turn]

    def y(self, M):
        """(M, H), of the last tick of so many."""
        return self._y[:M]


class PoolWay(Way):
    """`cgru.Pool`."""

    def open(self):
        model = self.problem.model
        self._pool = model.pool(self.problem.capacity)
        opened = np.array([self._pool.open() for _ in range(self.problem.capacity)])
        self._ids = opened[self.problem.ids]

    def tick(self, M):
        step, next_x, ids, y = self._pool.step, self.next_x, self._ids[:M].copy(), self._y[:M]

        def tick():
            step(ids, next_x()[:M], out=y)

        return tick


class OneByOne(Way):
    """A `cgru.Stream` for each, in a loop in Python."""

    def open(self):
        model = self.problem.model
        self._streams = [model.stream() for _ in range(self.problem.capacity)]

    def tick(self, M):
        next_x = self.next_x
        rows = [(stream.step, y) for stream, y in zip(self._streams[:M], self._y, strict=False)]

        def tick():
            for (step, y), x in zip(rows, next_x(), strict=False):
                step(x, out=y)

        return tick


class Batch(Way):
    """A stream of M rows: what a pool would cost if nobody ever came, left or was silent."""

    def open(self):
        self._model = self.problem.model

    def tick(self, M):
        step, next_x, y = self._model.stream(M).step, self.next_x, self._y[:M]

        def tick():
            step(next_x()[:M], out=y)

        return tick


class OnnxRuntime(Way):
    """A batched step with the states in and out, those of the M streams taken from and put back into one array."""

    def open(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "gru.onnx"
            try:
                self.problem.model.to_onnx(path)
                self._session = onnx_session.session(path)
            except ImportError as error:
                raise Absent(str(error)) from error
        self._h = np.zeros((self.problem.layers, self.problem.capacity, self.problem.H), np.float32)

    def tick(self, M):
        run, next_x, h, ids, y = self._session.run, self.next_x, self._h, self.problem.ids[:M].copy(), self._y

        def tick():
            [h_n] = run(["h_n"], {"x": next_x()[None, :M], "h_0": h[:, ids]})
            h[:, ids] = h_n
            y[:M] = h_n[-1]

        return tick


WAYS = {POOL: PoolWay, ONE_BY_ONE: OneByOne, ORT: OnnxRuntime, BATCH: Batch}
