"""The activations of torch.nn, read and written."""

from __future__ import annotations

import math
from typing import Any

from cgru.activations import Activation
from cgru.convert.chains import NotAChain

_HARD_SIGMOID = ("hard_sigmoid", 1 / 6, 0.5)
#: Softplus is x itself from `threshold` on: by less than float32 can tell, from here on.
_SOFTPLUS_THRESHOLD = 15.0

#: Classes without parameters -> the name here.
_PLAIN = {
    "ReLU": "relu", "Tanh": "tanh", "Sigmoid": "sigmoid", "SiLU": "silu", "Softsign": "softsign",
    "Hardsigmoid": _HARD_SIGMOID,
}  # fmt: skip
_OTHERS = ("ELU", "LeakyReLU", "PReLU", "GELU", "Softplus", "Softmax")

#: The classes of torch.nn that `read_activation` takes.
ACTIVATIONS = (*_PLAIN, *_OTHERS)


def read_activation(kind: str, module: Any) -> Any:
    """The activation, as `cgru.activations` takes it, of a module whose class is `kind`, one of `ACTIVATIONS`.

    Raises
    ------
    NotAChain
        It has parameters that no activation here has. The dimension of a Softmax is not looked at.
    """
    if kind in _PLAIN:
        return _PLAIN[kind]
    if kind == "ELU":
        return "elu", float(module.alpha)
    if kind == "LeakyReLU":
        return "leaky_relu", float(module.negative_slope)
    if kind == "PReLU":
        if module.weight.numel() != 1:
            raise NotAChain("has a slope for each feature; in NumPy: y = np.where(x < 0, weight * x, x)")
        return "leaky_relu", module.weight.item()
    if kind == "GELU":
        return "gelu_tanh" if module.approximate == "tanh" else "gelu"
    if kind == "Softplus":
        if module.beta != 1 or module.threshold < _SOFTPLUS_THRESHOLD:
            raise NotAChain(
                f"has beta={module.beta:g}, threshold={module.threshold:g}, and here beta is 1 and there is no "
                "threshold; in NumPy: y = np.logaddexp(beta * x, 0) / beta"
            )
        return "softplus"
    return "softmax"


def written_activation(torch: Any, activation: Activation) -> Any:
    """A module of torch.nn that computes it; one of its own where torch.nn has none."""
    nn, (name, alpha, beta) = torch.nn, activation
    plain = {here: kind for kind, here in _PLAIN.items() if isinstance(here, str)}
    if name in plain:
        return getattr(nn, plain[name])()
    if name == "hard_sigmoid" and math.isclose(alpha, _HARD_SIGMOID[1], rel_tol=1e-7) and beta == _HARD_SIGMOID[2]:
        return nn.Hardsigmoid()
    made = {
        "elu": lambda: nn.ELU(alpha),
        "leaky_relu": lambda: nn.LeakyReLU(alpha),
        "softplus": lambda: nn.Softplus(threshold=30.0),
        "gelu": nn.GELU,
        "gelu_tanh": lambda: nn.GELU(approximate="tanh"),
        "softmax": lambda: nn.Softmax(dim=-1),
    }
    return made[name]() if name in made else _own(torch, name, alpha, beta)


def _own(torch, name, alpha, beta):
    functions = {
        "linear": lambda x: alpha * x + beta,
        "hard_sigmoid": lambda x: (alpha * x + beta).clamp(0, 1),
        "scaled_tanh": lambda x: alpha * (beta * x).tanh(),
    }
    function = functions[name]

    class Function(torch.nn.Module):      # type: ignore[name-defined, misc]
        """An activation that torch.nn does not have."""

        def forward(self, x):
            """Each feature's."""
            return function(x)

        def extra_repr(self):
            """Name and parameters."""
            return f"{name}, {alpha:g}, {beta:g}"

    return Function()
