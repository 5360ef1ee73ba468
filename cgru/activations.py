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
        A key of `DEFAULTS`.
    alpha, beta : float
        Parameters, see `DEFAULTS`; 0 where the function takes none.
    """

    name: str
    alpha: float = 0.0
    beta: float = 0.0


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
}
_PARAMETERS = {
    "hard_sigmoid": 2, "linear": 2, "leaky_relu": 1, "elu": 1, "scaled_tanh": 2,
}  # fmt: skip

PLAIN = (Activation("sigmoid"), Activation("tanh"))


def activation(value):
    """`value` as an Activation: a name, or a sequence of name, alpha, beta.

    Raises
    ------
    TypeError, ValueError
        An unknown name, parameters that the function does not take, or that are not finite numbers.
    """
    parts = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, Sequence) else ()
    if not parts or not isinstance(parts[0], str) or parts[0] not in DEFAULTS:
        raise ValueError(f"activation must be one of {', '.join(DEFAULTS)}, or (name, alpha, beta); got {value!r}")
    if not all(isinstance(number, Real) for number in parts[1:]):
        raise TypeError(f"the parameters of activation {parts[0]} must be real numbers; got {value!r}")
    name, given = parts[0], [float(number) for number in parts[1:]]
    taken = _PARAMETERS.get(name, 0)
    if len(given) > 2 or any(given[taken:]) or not np.isfinite(given).all():
        raise ValueError(f"activation {name} takes {taken} finite parameters; got {value!r}")
    return Activation(name, *(given + list(DEFAULTS[name][len(given) :]))[:2])


def gate_activations(value, directions):
    """One (f, g) pair per direction: f for the gates r and z, g for the candidate n.

    Parameters
    ----------
    value : None, (f, g), or one such pair per direction
        f and g as for `activation`; None is sigmoid and tanh.
    directions : int
        1 or 2.
    """
    if value is None:
        return (PLAIN,) * directions
    count = "are 2" if directions == 2 else "is 1"
    expected = f"activations must be (f, g), or one such pair per direction (there {count})"
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise TypeError(f"{expected}; got {value!r}")
    pairs = (value,) * directions if len(value) and _is_activation(value[0]) else tuple(value)
    if len(pairs) != directions or not all(_is_pair(pair) for pair in pairs):
        raise ValueError(f"{expected}; got {value!r}")
    return tuple((activation(f), activation(g)) for f, g in pairs)


def _is_activation(part):
    """A name, or (name, numbers): not a pair of such."""
    if isinstance(part, str):
        return True
    named = isinstance(part, Sequence) and len(part) > 0 and isinstance(part[0], str)
    return named and all(isinstance(number, Real) for number in part[1:])


def _is_pair(part):
    return isinstance(part, Sequence) and not isinstance(part, str) and len(part) == 2


def shown(pairs):
    """What `gate_activations` takes, as short as possible, for the pairs that it returned."""
    short = tuple(tuple(_short(item) for item in pair) for pair in pairs)
    return short[0] if len(set(short)) == 1 else short


def _short(item):
    return item.name if item[1:] == DEFAULTS[item.name] else (item.name, *item[1 : 1 + _PARAMETERS[item.name]])


def code(item):
    """(kind, alpha, beta) for the engines."""
    return list(DEFAULTS).index(item.name), item.alpha, item.beta


def rnn_activations(nonlinearity):
    """The (f, g) pair of an RNN, which uses g alone: "tanh" or "relu"."""
    if nonlinearity not in ("tanh", "relu"):
        raise ValueError(f"nonlinearity must be 'tanh' or 'relu'; got {nonlinearity!r}")
    return ("sigmoid", nonlinearity)
