"""The published cases: weights, inputs and float64 outputs of small layers, for tests with or without this package.

The numbers come from PCG64's bits alone, which NumPy keeps the same in all versions, so a seed gives the same weights,
inputs and states everywhere. Outputs are computed here in float64, by plain NumPy that shares nothing with the engines:
their last bits may differ between machines.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from cgru.activations import Activation, activation, plain
from cgru.cells import CELLS, GRU, LSTM, RNN, Cell

#: What x holds past a row's length: to be seen by whoever reads it.
PADDING = 100.0
#: Families of cases: name -> cell, reset_after, z_keeps; of a GRU all four, of the others there is one.
FAMILIES = {
    "gru_after_keeps": (GRU.kind, True, True),
    "gru_after_takes": (GRU.kind, True, False),
    "gru_before_keeps": (GRU.kind, False, True),
    "gru_before_takes": (GRU.kind, False, False),
    LSTM.kind: (LSTM.kind, None, None),
    RNN.kind: (RNN.kind, None, None),
}
#: H, I, N, T of every family; then each other H up to 70 in one of the families in turn.
SHAPES = (
    (1, 1, 1, 6), (1, 3, 2, 5), (2, 1, 3, 4), (3, 2, 1, 7), (4, 7, 2, 5), (5, 3, 2, 7), (7, 4, 3, 5), (8, 1, 1, 9),
    (9, 13, 2, 6), (15, 6, 1, 5), (16, 17, 3, 5), (17, 70, 2, 4), (31, 8, 2, 5), (32, 5, 3, 7), (33, 12, 1, 6),
)  # fmt: skip
LARGEST = 70
#: Functions f and g of gates and candidate, and h of an LSTM, other than sigmoid and tanh.
HARD, HARD_KERAS_3 = ("hard_sigmoid", 0.2, 0.5), ("hard_sigmoid", 1 / 6, 0.5)
OTHER_FUNCTIONS = {
    "fg": ((HARD, "tanh"), (HARD_KERAS_3, "elu"), ("sigmoid", "relu"), ("sigmoid", "softsign")),
    "fgh": ((HARD, "tanh", "tanh"), (HARD_KERAS_3, "softsign", "tanh"), ("sigmoid", "tanh", "relu"),
            ("sigmoid", "elu", ("scaled_tanh", 1.5, 0.75))),
    "g": (("relu",), (("leaky_relu", 0.1),), ("softsign",), (("scaled_tanh", 1.5, 0.75),)),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Case:
    """One layer in one direction, what it is given, and what it computes.

    Attributes
    ----------
    name : str
        A C identifier.
    cell : str
        "gru", "lstm" or "rnn".
    I, H, N, T : int
        Sizes of input and state, rows, steps.
    reset_after, z_keeps : bool or None
        Of a GRU: where the reset gate acts, and whether z is the share of the old h (PyTorch) or of the new.
    lengths : ndarray of int, (N,), or None
        Valid steps of each row; None: all.
    activations : tuple of Activation
        f, g of a GRU, f, g, h of an LSTM, g of an RNN.
    weights : dict of str to ndarray
        float32: weight_ih_l0 (G H, I), weight_hh_l0 (G H, H), bias_ih_l0 and bias_hh_l0 (G H,); gates r, z, n or
        i, f, g, o.
    x, h_0, c_0 : ndarray
        float32: (T, N, I), (N, H), and of an LSTM (N, H).
    y, h_n, c_n : ndarray
        float64: (T, N, H), zero past a row's length; (N, H), after the row's own last step; of an LSTM (N, H).
    """

    name: str
    cell: str
    I: int                  # noqa: E741
    H: int
    N: int
    T: int
    reset_after: bool | None
    z_keeps: bool | None
    lengths: np.ndarray | None
    activations: tuple[Activation, ...]
    weights: dict[str, np.ndarray]
    x: np.ndarray
    h_0: np.ndarray
    c_0: np.ndarray | None
    y: np.ndarray
    h_n: np.ndarray
    c_n: np.ndarray | None

    @property
    def is_usual(self) -> bool:
        """Whether its functions are sigmoid and tanh."""
        return self.activations == plain(CELLS[self.cell].functions)


@dataclass(frozen=True)
class _Plan:
    """A case before its numbers."""

    name: str
    family: str
    shape: tuple[int, int, int, int]
    lengths: tuple[int, ...] | None = None
    functions: tuple[Any, ...] | None = None
    zero: bool = False
    saturated: bool = False


def plans():
    """The plan of every case: no seed changes it."""
    families, common = list(FAMILIES), {H for H, *_ in SHAPES}
    rest = [H for H in range(1, LARGEST + 1) if H not in common]
    large = [H for H in rest if H > 40 and H % 2 == 0 and H < LARGEST]     # in the cheapest family
    rest = [H for H in rest if H not in large]
    for number, family in enumerate(families):
        others = rest[number :: len(families)] + (large if family == families[-1] else [])
        shapes = [*SHAPES, *((H, (3, 4, 8, 9)[H % 4] if H > 17 else 30 + H, 2, 5) for H in others)]
        for shape in shapes:
            yield _Plan(f"{family}_h{shape[0]}_i{shape[1]}", family, shape)
        yield _Plan(f"{family}_zero_state", family, (6, 4, 2, 5), zero=True)
        yield _Plan(f"{family}_lengths", family, (10, 3, 5, 8), lengths=(8, 0, 3, 5, 1))
        yield _Plan(f"{family}_long", family, (6, 3, 2, 60))
        yield _Plan(f"{family}_saturated", family, (11, 4, 2, 6), saturated=True)
        for functions in OTHER_FUNCTIONS[CELLS[FAMILIES[family][0]].functions]:
            named = "_".join(activation(function).name for function in functions)
            yield _Plan(f"{family}_{named}", family, (6, 4, 2, 5), functions=functions)


def CASES(seed: int = 0, *, progress=None) -> list[Case]:
    """Every case, with the numbers of a seed.

    Parameters
    ----------
    seed : int
        0 or more; names and shapes are the same with each.
    progress : callable, optional
        Called with (done, total).

    Raises
    ------
    ValueError, TypeError
        A seed that is no integer from 0 on.
    """
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
        raise TypeError(f"seed must be an integer; got {seed!r} of type {type(seed).__name__}")
    if seed < 0:
        raise ValueError(f"seed must be 0 or more; got {seed}")
    wanted, found = list(plans()), []
    for plan in wanted:
        found.append(_made(plan, int(seed)))
        if progress is not None:
            progress(len(found), len(wanted))
    return found


# ---- the numbers


class _Numbers:
    """Numbers of four decimals, as float32, from the bits of PCG64."""

    def __init__(self, seed, name):
        self._bits = np.random.PCG64([seed, zlib.crc32(name.encode())])

    def __call__(self, shape, scale):
        """Evenly from -scale to scale."""
        unit = (self._bits.random_raw(int(np.prod(shape))) >> np.uint64(11)) * 2.0**-53
        return (np.rint((2 * unit - 1) * scale * 1e4) / 1e4).astype(np.float32).reshape(shape)


def _made(plan, seed):
    kind, reset_after, z_keeps = FAMILIES[plan.family]
    cell = CELLS[kind]
    H, I, N, T = plan.shape     # noqa: E741
    numbers, rows = _Numbers(seed, plan.name), cell.stacked * H
    weights = {
        "weight_ih_l0": numbers((rows, I), 1.5 / np.sqrt(I)),
        "weight_hh_l0": numbers((rows, H), 1.5 / np.sqrt(H)),
        "bias_ih_l0": numbers(rows, 0.5),
        "bias_hh_l0": numbers(rows, 0.5),
    }
    if plan.saturated:      # every other unit, at both ends; e^-x overflows where it is written without care
        weights["bias_ih_l0"][::2] += np.where(weights["bias_ih_l0"][::2] > 0, 800, -800).astype(np.float32)
    x = numbers((T, N, I), 2)
    states = [np.zeros((N, H), np.float32) if plan.zero else numbers((N, H), 0.9) for _ in cell.states]
    lengths = None if plan.lengths is None else np.array(plan.lengths, np.int64)
    if lengths is not None:
        x[np.arange(T)[:, None] >= lengths] = PADDING
    functions = plain(cell.functions) if plan.functions is None else tuple(map(activation, plan.functions))
    y, ends = run(cell, weights, x, states, lengths, functions, reset_after=reset_after, z_keeps=z_keeps)
    (h_0, c_0), (h_n, c_n) = ([*planes, None][:2] for planes in (states, ends))
    return Case(
        plan.name, kind, I, H, N, T, reset_after, z_keeps, lengths, functions, weights, x, h_0, c_0, y, h_n, c_n
    )


# ---- the equations, in float64


def _sigmoid(a):
    e = np.exp(-np.abs(a))
    return np.where(a >= 0, 1 / (1 + e), e / (1 + e))


#: Functions of a sum and of alpha and beta, those that occur in the cases.
FUNCTIONS: dict[str, Callable[[np.ndarray, float, float], np.ndarray]] = {
    "sigmoid": lambda a, alpha, beta: _sigmoid(a),
    "tanh": lambda a, alpha, beta: np.tanh(a),
    "hard_sigmoid": lambda a, alpha, beta: np.clip(alpha * a + beta, 0, 1),
    "relu": lambda a, alpha, beta: np.maximum(a, 0),
    "softsign": lambda a, alpha, beta: a / (1 + np.abs(a)),
    "leaky_relu": lambda a, alpha, beta: np.where(a < 0, alpha * a, a),
    "elu": lambda a, alpha, beta: np.where(a < 0, alpha * np.expm1(np.minimum(a, 0)), a),
    "scaled_tanh": lambda a, alpha, beta: alpha * np.tanh(beta * a),
}


def _product(a, W):
    """W a of every row; NumPy's own sums, no BLAS."""
    return (a[:, None] * W).sum(axis=2)


def _gru(a, h, U, c, f, g, *, reset_after, z_keeps):
    """One step; a is W x + b."""
    H = h.shape[1]
    of_h = _product(h, U) + c
    r, z = f(a[:, :H] + of_h[:, :H]), f(a[:, H : 2 * H] + of_h[:, H : 2 * H])
    last = r * of_h[:, 2 * H :] if reset_after else _product(r * h, U[2 * H :]) + c[2 * H :]
    n = g(a[:, 2 * H :] + last)
    return (z * h + (1 - z) * n if z_keeps else (1 - z) * h + z * n,)


def _rnn(a, h, U, c, g, **form):
    return (g(a + _product(h, U) + c),)


def _lstm(a, h, cell, U, c, f, g, out, **form):
    a_i, a_f, a_g, a_o = np.split(a + _product(h, U) + c, 4, axis=1)
    cell = f(a_f) * cell + f(a_i) * g(a_g)
    return f(a_o) * out(cell), cell


_STEPS: dict[Cell, Callable] = {GRU: _gru, RNN: _rnn, LSTM: _lstm}


def run(cell, weights, x, states, lengths, functions, *, reset_after, z_keeps):
    """A whole sequence in float64: y (T, N, H), zero past a row's length, and the states after each row's last step.

    Parameters
    ----------
    cell : Cell
    weights, x, states, lengths
        As in `Case`; `states` is h_0, or h_0 and c_0.
    functions : sequence of Activation
    reset_after, z_keeps : bool or None
    """
    W, U, b, c = (np.asarray(array, np.float64) for array in weights.values())
    states = [np.asarray(state, np.float64) for state in states]
    called = [lambda a, of=function: FUNCTIONS[of.name](a, of.alpha, of.beta) for function in functions]
    y = np.zeros((len(x), *states[0].shape))
    for t, x_t in enumerate(np.asarray(x, np.float64)):
        new = _STEPS[cell](_product(x_t, W) + b, *states, U, c, *called, reset_after=reset_after, z_keeps=z_keeps)
        valid = np.ones((len(x_t), 1), bool) if lengths is None else (t < lengths)[:, None]
        states = [np.where(valid, after, before) for after, before in zip(new, states, strict=True)]
        y[t] = np.where(valid, states[0], 0)
    return y, states
