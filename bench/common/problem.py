"""What is computed: a point of the grid, its weights and inputs, and the right answer in float64."""

from dataclasses import dataclass, field

import numpy as np

from bench.common.numpy_cells import numpy_model
from cgru.cells import CELLS
from cgru.judge.points import Point

CHECK_CALLS = 4  # a stepping contestant must carry its state over this many calls to give the right answer
GATES = {kind: CELLS[kind].stacked for kind in ("gru", "lstm", "rnn")}  # matrices of H rows in W and U


@dataclass
class Problem:
    """Weights, input and initial state of one point, and the expected output.

    With G gates, L layers and D directions:

    Attributes
    ----------
    state : dict of str to ndarray
        PyTorch's names and gate orders: ``weight_ih_l0`` (GH, I), ``weight_hh_l0`` (GH, H), ``bias_ih_l0`` and
        ``bias_hh_l0`` (GH,), and so on; float32, uniform within 1 / sqrt(H) as PyTorch draws them.
    x : ndarray
        (T, N, I), float32, standard normal.
    states : tuple of ndarray
        The initial state, (L * D, N, H) each: h_0, and an LSTM's c_0. float32, uniform within 1.
    expected : ndarray
        (T, N, D * H), float64: y of the last of CHECK_CALLS calls (of one call unless the point is a step).
    """

    point: Point
    state: dict = field(init=False)
    x: np.ndarray = field(init=False)
    states: tuple = field(init=False)
    expected: np.ndarray = field(init=False)

    def __post_init__(self):
        p = self.point
        rng = np.random.default_rng([p.T, p.N, p.I, p.H])
        self.state = p.draw_weights(rng)
        self.x = rng.standard_normal((p.T, p.N, p.I)).astype(np.float32)
        planes = (p.layers * p.directions, p.N, p.H)
        self.states = tuple(rng.uniform(-1, 1, planes).astype(np.float32) for _ in range(2 if p.cell == "lstm" else 1))
        model, x = numpy_model(p.cell, self.state, np.float64), self.x.astype(np.float64)
        states = tuple(plane.astype(np.float64) for plane in self.states)
        for _ in range(self.check_calls):
            self.expected, states = model(x, states)

    @property
    def check_calls(self):
        """Calls after which a contestant's y is compared."""
        return CHECK_CALLS if self.point.is_step else 1
