"""Gate activations: their names, codes for the engines, and default parameters."""

from collections.abc import Sequence
from numbers import Real
from typing import NamedTuple

import numpy as np


class Activation(NamedTuple):
    """One activation function and its parameters, where it has any.

    Attributes
    ----------
    name : str
        A key of `DEFAULTS`, or one of `ROW_FUNCTIONS`.
    alpha, beta : float
        Parameters, see `DEFAULTS`; 0 where the function takes none.
    """

    name: str
    alpha: float = 0.0
    beta: float = 0.0

    @property
    def is_usual(self):
        """Whether the parameters are those that the name alone stands for."""
        return self[1:] == DEFAULTS.get(self.name, (0.0, 0.0))

    @property
    def numbers(self):
        """The parameters that the function takes: none, alpha, or alpha and beta."""
        return self[1 : 1 + _PARAMETERS.get(self.name, 0)]


#: name -> (alpha, beta). The order gives each its code in the engines (engines/_activations.pxd).
#: Accuracy, in units of max(1, |value|, |alpha x|): 2.5e-7 in float32 and 1e-15 in float64 for every finite x, alpha
#: and beta themselves included, which are rounded to the model's dtype. At +-inf each gives its limit. NaN stays NaN.
DEFAULTS = {
    "sigmoid": (0.0, 0.0),         # 1 / (1 + e^-x)
    "tanh": (0.0, 0.0),
    "hard_sigmoid": (0.2, 0.5),    # clip(alpha x + beta, 0, 1); Keras 3 and PyTorch: alpha = 1/6
    "relu": (0.0, 0.0),            # max(x, 0)
    "linear": (1.0, 0.0),          # alpha x + beta (ONNX: Affine)
    "softsign": (0.0, 0.0),        # x / (1 + |x|)
    "leaky_relu": (0.01, 0.0),     # x if x >= 0 else alpha x
    "elu": (1.0, 0.0),             # x if x >= 0 else alpha (e^x - 1)
    "softplus": (0.0, 0.0),        # log(1 + e^x)
    "scaled_tanh": (1.0, 1.0),     # alpha tanh(beta x)
    "silu": (0.0, 0.0),            # x / (1 + e^-x)
    "gelu": (0.0, 0.0),            # x Phi(x), Phi of the normal distribution
    "gelu_tanh": (0.0, 0.0),       # x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))
}
#: Over a whole row of outputs, for a Linear alone; their codes follow.
#: softmax is e^(x_j - m) / sum_i e^(x_i - m), m the largest: NaN or +inf makes its row NaN, -inf gives 0. Measured in
#: rows of up to 1000: off by at most 2.5e-7 in float32 and 1.1e-15 in float64.
ROW_FUNCTIONS = ("softmax",)
_PARAMETERS = {
    "hard_sigmoid": 2, "linear": 2, "leaky_relu": 1, "elu": 1, "scaled_tanh": 2,
}  # fmt: skip

#: Of each function of a cell where none is given; see `cgru.cells`.
PLAIN = {"f": Activation("sigmoid"), "g": Activation("tanh"), "h": Activation("tanh")}


def activation(value, what="activation", *, rows=False):
    """`value` as an Activation: a name, or a sequence of name, alpha, beta.

    Parameters
    ----------
    value : str or sequence
    what : str
        What the error messages call it.
    rows : bool
        Whether it may be one of `ROW_FUNCTIONS` too.

    Raises
    ------
    TypeError, ValueError
        An unknown name, parameters that the function does not take, or that are not finite numbers.
    """
    parts = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, Sequence) else ()
    name = parts[0] if parts and isinstance(parts[0], str) else None
    names = (*DEFAULTS, *ROW_FUNCTIONS) if rows else tuple(DEFAULTS)
    if name in ROW_FUNCTIONS and not rows:
        raise ValueError(f"{what} must be a function of one number, and {name} takes a whole row: only a Linear has it")
    if name not in names:
        raise ValueError(f"{what} must be one of {', '.join(names)}, or (name, alpha, beta); got {value!r}")
    if not all(isinstance(number, Real) for number in parts[1:]):
        raise TypeError(f"the parameters of {what} {name} must be real numbers; got {value!r}")
    given, taken = [float(number) for number in parts[1:]], _PARAMETERS.get(name, 0)
    if len(given) > 2 or any(given[taken:]) or not np.isfinite(given).all():
        raise ValueError(f"{what} {name} takes {taken} finite parameters; got {value!r}")
    return Activation(name, *(given + list(DEFAULTS.get(name, (0.0, 0.0))[len(given) :]))[:2])


def plain(functions):
    """The activations of a cell with these functions, a string of letters, where none are given."""
    return tuple(PLAIN[letter] for letter in functions)


def cell_activations(value, functions, directions):
    """For each direction of a cell an Activation for each of its functions.

    Parameters
    ----------
    value : None, one activation per function, or one such sequence per direction
        Each as for `activation`; None is sigmoid and tanh. Where there are f, g and h, (f, g) is enough: h is g then.
        A single function, which is an RNN's nonlinearity, stands alone, or there is one per direction.
    functions : str
        `Cell.functions`.
    directions : int
        1 or 2.
    """
    if value is None:
        return (plain(functions),) * directions
    if len(functions) == 1:
        return _nonlinearities(value, directions)
    forms = " or ".join(_form(functions[:count]) for count in range(2, len(functions) + 1))
    noun, count = "tuple" if len(functions) > 2 else "pair", "are 2" if directions == 2 else "is 1"
    expected = f"activations must be {forms}, or one such {noun} per direction (there {count})"
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise TypeError(f"{expected}; got {value!r}")
    groups = (value,) * directions if len(value) and _is_activation(value[0]) else tuple(value)
    if len(groups) != directions or not all(_is_group(group, 2, len(functions)) for group in groups):
        raise ValueError(f"{expected}; got {value!r}")
    found = (tuple(activation(item) for item in group) for group in groups)
    return tuple((group + group[-1:])[: len(functions)] for group in found)


def linear_activations(value):
    """The activation of a Linear, in the form of `cell_activations`; None is none, "linear"."""
    return _nonlinearities("linear" if value is None else value, 1, "activation", rows=True)


def _nonlinearities(value, directions, what="nonlinearity", rows=False):
    if _is_activation(value) or isinstance(value, str) or not isinstance(value, Sequence):
        return ((activation(value, what, rows=rows),),) * directions
    each = [part[0] if _is_group(part, 1, 1) and not _is_activation(part) else part for part in value]
    if len(each) != directions:
        count = "are 2" if directions == 2 else "is 1"
        raise ValueError(
            f"{what} must be one activation, or one per direction (there {count}); got {value!r}"
        )
    return tuple((activation(part, what, rows=rows),) for part in each)


def _form(letters):
    return f"({', '.join(letters)})"


def _is_activation(part):
    """A name, or (name, numbers): not a sequence of such."""
    if isinstance(part, str):
        return True
    named = isinstance(part, Sequence) and len(part) > 0 and isinstance(part[0], str)
    return named and all(isinstance(number, Real) for number in part[1:])


def _is_group(part, least, most):
    return isinstance(part, Sequence) and not isinstance(part, str) and least <= len(part) <= most


def shown(groups):
    """What `cell_activations` takes, as short as possible, for the groups that it returned."""
    short = tuple(_short_group(tuple(_short(item) for item in group)) for group in groups)
    return short[0] if len(set(short)) == 1 else short


def _short_group(group):
    if len(group) == 1:
        return group[0]
    return group[:2] if group[2:] == group[1:2] else group


def _short(item):
    return item.name if item.is_usual else (item.name, *item.numbers)


def code(item):
    """(kind, alpha, beta) for the engines."""
    return [*DEFAULTS, *ROW_FUNCTIONS].index(item.name), item.alpha, item.beta
