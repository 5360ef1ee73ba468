"""What is computed: a point of the grid, its weights and inputs, and the right answer in float64."""

from dataclasses import dataclass, field

import numpy as np

from bench.common.numpy_gru import numpy_gru

CHECK_CALLS = 4  # a stepping contestant must carry h over this many calls to give the right answer


@dataclass(frozen=True)
class Point:
    """One shape: T steps, N rows, I inputs, H hidden units."""

    T: int
    N: int
    I: int  # noqa: E741
    H: int

    @property
    def key(self):
        """Name used by ``--points`` and in the results, like ``T100-N1-I64-H64``."""
        return f"T{self.T}-N{self.N}-I{self.I}-H{self.H}"

    @property
    def is_step(self):
        """Whether a call is one step that carries h to the next call."""
        return self.T == 1

    @property
    def flops(self):
        """Floating-point operations of the two matrix products of one call."""
        return self.T * self.N * 2 * 3 * self.H * (self.I + self.H)


@dataclass
class Problem:
    """Weights, input and initial state of one point, and the expected output.

    Attributes
    ----------
    state : dict of str to ndarray
        PyTorch's names: ``weight_ih_l0`` (3H, I), ``weight_hh_l0`` (3H, H), ``bias_ih_l0`` and
        ``bias_hh_l0`` (3H,), float32, uniform within 1 / sqrt(H) as PyTorch draws them.
    x : ndarray
        (T, N, I), float32, standard normal.
    h_0 : ndarray
        (N, H), float32, uniform within 1.
    expected : ndarray
        (T, N, H), float64: y of the last of CHECK_CALLS calls (of one call unless the point is a step).
    """

    point: Point
    state: dict = field(init=False)
    x: np.ndarray = field(init=False)
    h_0: np.ndarray = field(init=False)
    expected: np.ndarray = field(init=False)

    def __post_init__(self):
        p = self.point
        rng = np.random.default_rng([p.T, p.N, p.I, p.H])
        bound = 1 / np.sqrt(p.H)

        def draw(*shape):
            return rng.uniform(-bound, bound, shape).astype(np.float32)

        self.state = {
            "weight_ih_l0": draw(3 * p.H, p.I),
            "weight_hh_l0": draw(3 * p.H, p.H),
            "bias_ih_l0": draw(3 * p.H),
            "bias_hh_l0": draw(3 * p.H),
        }
        self.x = rng.standard_normal((p.T, p.N, p.I)).astype(np.float32)
        self.h_0 = rng.uniform(-1, 1, (p.N, p.H)).astype(np.float32)
        gru, x, h = numpy_gru(self.state, np.float64), self.x.astype(np.float64), self.h_0.astype(np.float64)
        for _ in range(self.check_calls):
            self.expected = gru(x, h)
            h = self.expected[-1]

    @property
    def check_calls(self):
        """Calls after which a contestant's y is compared."""
        return CHECK_CALLS if self.point.is_step else 1

    def onnx_weights(self):
        """W (1, 3H, I), R (1, 3H, H), B (1, 6H) in ONNX's gate order z, r, h."""

        def reorder(a):
            r, z, n = np.split(a, 3)
            return np.concatenate([z, r, n])

        s = self.state
        bias = np.concatenate([reorder(s["bias_ih_l0"]), reorder(s["bias_hh_l0"])])
        return reorder(s["weight_ih_l0"])[None], reorder(s["weight_hh_l0"])[None], bias[None]
