"""Functions of single numbers in an ONNX graph: activations, affine maps, and what exporters write in several nodes.

GELU, SiLU and others come as ten spellings of Erf, Tanh, Mul and Add. None is looked for by its spelling: the nodes
between a value and a later one are a function of one number, which is computed in float64 at many points and compared
with the activations that there are.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from cgru.convert._errors import NotAChain
from cgru.convert.onnx_axes import Link, named
from cgru.convert.onnx_values import attribute

Function = Callable[..., Any]

_erf = np.vectorize(math.erf, otypes=[float])
_erfc = np.vectorize(math.erfc, otypes=[float])


def _sigmoid(x):
    return 0.5 + 0.5 * np.tanh(0.5 * x)


#: Of names in `cgru.activations`, in float64.
_FUNCTIONS: dict[str, Function] = {
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": _sigmoid,
    "tanh": np.tanh,
    "silu": lambda x: x * _sigmoid(x),
    "gelu": lambda x: 0.5 * x * (1 + _erf(x / math.sqrt(2))),
    "gelu_tanh": lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "softplus": lambda x: np.logaddexp(0, x),
    "softsign": lambda x: x / (1 + abs(x)),
    "elu": lambda x, alpha=1.0: np.where(x >= 0, x, alpha * np.expm1(np.minimum(x, 0))),
    "leaky_relu": lambda x, alpha=0.01: np.where(x >= 0, x, alpha * x),
    "hard_sigmoid": lambda x, alpha=0.2, beta=0.5: np.clip(alpha * x + beta, 0, 1),
}


class Pointwise(NamedTuple):
    """What a pointwise link computes.

    Attributes
    ----------
    function : callable or None
        Of float64 numbers; None where features are treated differently. With `sides`, of two of them.
    affine : tuple or None
        (scale, shift), numbers or arrays of one for each feature.
    activation : tuple or None
        As `cgru.activations` has it.
    sides : tuple of Link or None
        The two values that the node joins; both are functions of the link's `prev`.
    """

    function: Function | None
    affine: tuple | None = None
    activation: tuple | None = None
    sides: tuple[Link, Link] | None = None


def _activation(name, *numbers):
    function = _FUNCTIONS[name]
    return [Pointwise(lambda x: function(x, *numbers), activation=(name, *numbers))]


def affine(scale, shift) -> Pointwise:
    """y = scale * x + shift."""
    same = np.ndim(scale) == 0 and np.ndim(shift) == 0
    return Pointwise((lambda x: scale * x + shift) if same else None, affine=(scale, shift))


def _gelu(node):
    form = attribute(node, "approximate", "none")
    if form not in ("none", "tanh"):
        raise ValueError(f"{named(node)} has approximate={form!r}, expected 'none' or 'tanh'")
    return _activation("gelu" if form == "none" else "gelu_tanh")


def _celu(node):
    alpha = attribute(node, "alpha", 1.0)
    if not alpha > 0:
        raise ValueError(f"{named(node)} has alpha={alpha}, expected a positive number")
    return [affine(1 / alpha, 0.0), *_activation("elu", 1.0), affine(alpha, 0.0)]


def _selu(node):
    alpha, gamma = attribute(node, "alpha", 1.6732632423543772), attribute(node, "gamma", 1.0507009873554805)
    return [*_activation("elu", alpha), affine(gamma, 0.0)]


def _swish(node):
    alpha = attribute(node, "alpha", 1.0)
    if alpha == 0:
        raise ValueError(f"{named(node)} has alpha=0")
    return [affine(alpha, 0.0), *_activation("silu"), affine(1 / alpha, 0.0)]


def _plain(function):
    return lambda node: [Pointwise(function)]


#: Of one input; each gives the steps that it is.
UNARY: dict[str, Callable[[Any], list[Pointwise]]] = {
    "Relu": lambda node: _activation("relu"),
    "Tanh": lambda node: _activation("tanh"),
    "Sigmoid": lambda node: _activation("sigmoid"),
    "Softplus": lambda node: _activation("softplus"),
    "Softsign": lambda node: _activation("softsign"),
    "Elu": lambda node: _activation("elu", attribute(node, "alpha", 1.0)),
    "LeakyRelu": lambda node: _activation("leaky_relu", attribute(node, "alpha", 0.01)),
    "HardSigmoid": lambda node: _activation(
        "hard_sigmoid", attribute(node, "alpha", 0.2), attribute(node, "beta", 0.5)
    ),
    "Gelu": _gelu,
    "Celu": _celu,
    "Selu": _selu,
    "Swish": _swish,
    "Neg": lambda node: [affine(-1.0, 0.0)],
    "Erf": _plain(_erf),
    "Erfc": _plain(_erfc),
    "Exp": _plain(np.exp),
    "Log": _plain(np.log),
    "Abs": _plain(np.abs),
    "Sqrt": _plain(np.sqrt),
    "Reciprocal": _plain(lambda x: 1 / x),
    "HardSwish": _plain(lambda x: x * np.clip(x / 6 + 0.5, 0, 1)),
    "Mish": _plain(lambda x: x * np.tanh(np.logaddexp(0, x))),
}

#: Of two inputs.
BINARY: dict[str, Function] = {
    "Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide, "Pow": np.power,
    "Max": np.maximum, "Min": np.minimum,
}  # fmt: skip


def with_constant(op: str, number, first: bool) -> Pointwise | None:
    """``op(number, x)``, or ``op(x, number)``; None where it goes over features and is no affine map."""
    number = np.asarray(number, np.float64)
    number = float(number.reshape(())) if number.size == 1 else number.reshape(-1)
    if op == "Add":
        return affine(1.0, number)
    if op == "Mul":
        return affine(number, 0.0)
    if op == "Sub":
        return affine(-1.0, number) if first else affine(1.0, -number)
    if op == "Div" and not first:
        if not np.all(number):
            raise ValueError("it divides by 0")
        return affine(1 / number, 0.0)
    if not isinstance(number, float):
        return None
    function = BINARY[op]
    return Pointwise((lambda x: function(number, x)) if first else (lambda x: function(x, number)))


# ---- from links to affine maps and activations

_MOST = 64     # nodes that one activation may be spelt in
_POINTS = np.concatenate([np.linspace(-9, 9, 361), [-60.0, -30.0, -15.0, 15.0, 30.0, 60.0, 1e-4, -1e-4]])
_ACCURACY = 2e-6


def recent(link: Link) -> list[Link]:
    """A link and those before it of which it is a function, number by number; the one that it starts from is last."""
    found = [link]
    while link.kind == "pointwise" and link.data.function is not None and link.prev and len(found) < _MOST:
        link = link.prev
        found.append(link)
    return found


def spelt(run: list[Link]) -> list[tuple[str, Any]]:
    """A run of pointwise links as ("affine", (scale, shift)) and ("activation", ...) in order.

    Raises
    ------
    NotAChain
        No activation that there is does what one of the nodes does.
    """
    found: list[tuple[str, Any]] = []
    k = 0
    while k < len(run):
        window = next((end for end in range(min(len(run), k + _MOST), k, -1) if _odd(run[k:end])
                       and (match := _match(run[k:end])) is not None), None)  # fmt: skip
        if window is not None:
            found += match
            k = window
            continue
        step = run[k].data
        if step.activation is None and step.affine is None:
            raise NotAChain(
                f"{named(run[k].node)} is part of a function that is none of the activations here: apply it by hand, "
                f"{_by_hand(run[k].node)}, between two networks, or after this one"
            )
        found.append(("affine", step.affine) if step.affine else ("activation", step.activation))
        k += 1
    return _joined(found)


def _by_hand(node):
    spelled = {
        "HardSwish": "y * np.clip(y / 6 + 0.5, 0, 1)", "Mish": "y * np.tanh(np.log1p(np.exp(y)))",
        "Clip": "np.clip(y, low, high)", "Abs": "np.abs(y)", "Exp": "np.exp(y)", "Log": "np.log(y)",
        "Pow": "y ** exponent", "Sqrt": "np.sqrt(y)", "Reciprocal": "1 / y",
        "Add": "a + b", "Sub": "a - b", "Mul": "a * b", "Div": "a / b",
    }  # fmt: skip
    return f"y = {spelled.get(node.op_type, f'{node.op_type}(y), as ONNX has it')}"


def _odd(window):
    return any(link.data.activation is None and link.data.affine is None for link in window)


def _joined(steps):
    """Affine maps that follow each other as one; none where it changes nothing."""
    found: list = []
    for kind, what in [*steps, ("end", None)]:
        if kind == "affine" and found and found[-1][0] == "affine":
            (scale, shift), (more, add) = found.pop()[1], what
            found.append(("affine", (scale * more, shift * more + add)))
        else:
            if found and found[-1][0] == "affine" and _nothing(*found[-1][1]):
                found.pop()
            found.append((kind, what))
    return found[:-1]


def _nothing(scale, shift):
    return bool(np.all(abs(np.asarray(scale) - 1) < 1e-9) and not np.any(shift))


def _match(window):
    """The activation, and what it is multiplied by, that a window of links computes; None where there is none."""
    with np.errstate(all="ignore"):
        values = _computed(window[-1], window[0].prev, {id(window[0].prev): _POINTS})
        if values is None or not np.isfinite(values).all():
            return None
        for factor in (1.0, 2.0, 0.5, -1.0):
            for name, *numbers in _candidates(values / factor):
                error = abs(_FUNCTIONS[name](_POINTS, *numbers) - values / factor)
                if (error <= _ACCURACY * np.maximum(1, abs(_POINTS))).all():
                    return [("activation", (name, *numbers)), ("affine", (factor, 0.0))]
    return None


def _candidates(values):
    """Every activation; those with numbers with the ones that these values would give them."""
    yield from ((name,) for name in _FUNCTIONS if name not in ("elu", "leaky_relu", "hard_sigmoid"))
    at = {point: float(values[np.argmin(abs(_POINTS - point))]) for point in (-9.0, -1.0, -0.5, 0.0, 0.5)}
    yield "leaky_relu", round(-at[-1.0], 7)
    yield "elu", round(-at[-1.0] / (1 - math.exp(-1)), 7)
    for slope in (at[0.5] - at[-0.5], 0.2, 1 / 6):
        yield "hard_sigmoid", slope, at[0.0]


def _computed(link, base, known):
    """The values of a link at the points that `base` has; None where it takes too many nodes."""
    waiting = [link]
    while waiting:
        one = waiting[-1]
        if id(one) in known:
            waiting.pop()
            continue
        if one.kind != "pointwise" or one.data.function is None or len(known) > _MOST:
            return None
        before = one.data.sides or (one.prev,)
        missing = [side for side in before if id(side) not in known]
        if len(waiting) > _MOST:
            return None
        if missing:
            waiting += missing
            continue
        known[id(one)] = one.data.function(*(known[id(side)] for side in before))
        waiting.pop()
    return known[id(link)]
