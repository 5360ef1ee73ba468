"""The activations of ONNX's recurrent nodes, read and written."""

from typing import Any

from cgru.activations import Activation, activation
from cgru.cells import Cell
from cgru.convert.conventions import HARD_SIGMOID
from cgru.convert.onnx_values import attribute

#: ONNX's name in lower case -> (name here, takes alpha, takes beta, alpha and beta where none are given).
#: The defaults are ONNX Runtime's: 0 where the specification has none.
_ACTIVATIONS = {
    "sigmoid": ("sigmoid", False, False, ()),
    "tanh": ("tanh", False, False, ()),
    "relu": ("relu", False, False, ()),
    "softsign": ("softsign", False, False, ()),
    "softplus": ("softplus", False, False, ()),
    "hardsigmoid": ("hard_sigmoid", True, True, (HARD_SIGMOID["ONNX"], 0.5)),
    "affine": ("linear", True, True, (0.0, 0.0)),
    "scaledtanh": ("scaled_tanh", True, True, (0.0, 0.0)),
    "leakyrelu": ("leaky_relu", True, False, (0.01, 0.0)),
    "elu": ("elu", True, False, (1.0, 0.0)),
}


_COUNTS = ("", "one", "two", "three")


def read_activations(node: Any, cell: Cell, directions: int) -> tuple[tuple[Activation, ...], ...] | None:
    """One for each of `Cell.functions`, per direction; alpha and beta are consumed in order, where they are taken."""
    names = attribute(node, "activations")
    alphas, betas = iter(attribute(node, "activation_alpha", ())), iter(attribute(node, "activation_beta", ()))
    if not names:
        return None
    count = len(cell.functions)
    if len(names) != count * directions:
        raise ValueError(
            f"{node.op_type} {node.name!r} has activations {', '.join(names)}: expected {_COUNTS[count]} for each of "
            f"{directions} directions"
        )
    found = []
    for name in names:
        if name.lower() not in _ACTIVATIONS:
            known = ", ".join(_ACTIVATIONS)
            raise ValueError(f"{node.op_type} {node.name!r} has activation {name!r}; supported are {known}")
        here, alpha, beta, defaults = _ACTIVATIONS[name.lower()]
        given = [next(alphas, defaults[0])] if alpha else []
        given += [next(betas, defaults[1])] if beta else []
        found.append(activation((here, *given)))
    return tuple(tuple(found[start : start + count]) for start in range(0, len(found), count))


def written_activations(activations: tuple[tuple[Activation, ...], ...]) -> dict[str, list]:
    """ONNX's attributes for those of each direction: names, and alphas and betas where there are any."""
    foreign = {here: (name, alpha, beta) for name, (here, alpha, beta, _) in _ACTIVATIONS.items()}
    items = [item for group in activations for item in group]
    strange = sorted({item.name for item in items} - set(foreign))
    if strange:
        raise ValueError(
            f"ONNX's recurrent nodes have no activation {', '.join(strange)}; theirs are {', '.join(foreign)}"
        )
    usual = [name for group in activations for name in (*("sigmoid",) * (len(group) > 1), "tanh", "tanh")[: len(group)]]
    if [item.name for item in items] == usual:
        return {}
    spelt = {
        "hardsigmoid": "HardSigmoid", "scaledtanh": "ScaledTanh", "leakyrelu": "LeakyRelu",
    }  # fmt: skip
    names = [spelt.get(foreign[item.name][0], foreign[item.name][0].capitalize()) for item in items]
    found: dict[str, list] = {
        "activations": names,
        "activation_alpha": [item.alpha for item in items if foreign[item.name][1]],
        "activation_beta": [item.beta for item in items if foreign[item.name][2]],
    }
    return {name: values for name, values in found.items() if values}
