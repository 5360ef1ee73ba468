"""Gate activations: their names, codes for the engines, and default parameters."""

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


#: name -> (alpha, beta). The order gives each its code in the engines (_gates.pxd).
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
    parts = (value,) if isinstance(value, str) else tuple(value)
    if not parts or parts[0] not in DEFAULTS:
        raise ValueError(f"activation must be one of {', '.join(DEFAULTS)}; got {value!r}")
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
    pairs = tuple(value)
    if len(pairs) == 2 and all(_is_activation(part) for part in pairs):
        pairs = (pairs,) * directions
    if len(pairs) != directions or any(len(tuple(pair)) != 2 for pair in pairs):
        raise ValueError(f"activations must be (f, g), or one for each of {directions} directions; got {value!r}")
    return tuple((activation(f), activation(g)) for f, g in pairs)


def _is_activation(part):
    return isinstance(part, str) or (len(part) > 0 and isinstance(part[0], str) and not _is_pair_of_names(part))


def _is_pair_of_names(part):
    return len(part) == 2 and all(isinstance(name, str) for name in part)


def code(item):
    """(kind, alpha, beta) for the engines."""
    return list(DEFAULTS).index(item.name), item.alpha, item.beta
