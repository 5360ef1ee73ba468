"""Whole networks from the second form of RTNeural's JSON: a state dict of PyTorch.

Beside "model_data" it is what Automated-GuitarAmpModelling writes (CoreAudioML's networks.py), and NeuralPi reads:
"SimpleRNN" is `rec` and then `lin`; "RecNet" the same in blocks, each with a skip of its own. A "skip" of k adds the
first k features of x to y, and is 1 where it is left out. Without "model_data" a state dict holds no order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from numbers import Integral
from typing import TYPE_CHECKING, Any

from cgru.checks import real_array
from cgru.convert.chains import ChainBuilder, NotAChain
from cgru.convert.torch import weights_from_torch

if TYPE_CHECKING:
    import numpy as np

    from cgru.weights import Weights


def layers_of_state_dict(
    model: Mapping[str, Any], tensors: Mapping[str, Any], layers: Iterable[str] | None
) -> tuple[ChainBuilder, bool]:
    """The builder with all layers, and whether x is added to y.

    Parameters
    ----------
    model : dict
        What stands in the JSON, for its "model_data".
    tensors : dict of str to list
        Its tensors, by their full names.
    layers : iterable of str, optional
        Prefixes in their order; by default as "model_data" has it.

    Raises
    ------
    NotAChain, ValueError
        As of `chain_from_rtneural`.
    """
    facts = model.get("model_data")
    facts = facts if isinstance(facts, Mapping) else {}
    arrays = {}
    if layers is None:
        prefixes, adds = _known_order(model, facts, list(tensors))
    else:
        prefixes, adds = [layers] if isinstance(layers, str) else list(layers), 0
    if not prefixes or not all(isinstance(prefix, str) for prefix in prefixes):
        raise ValueError(f"layers must be the prefixes of layers in their order; got {layers!r}")
    try:
        arrays = {name: real_array(name, value) for name, value in tensors.items()}
    except TypeError as error:
        raise ValueError(str(error)) from error
    builder, size = ChainBuilder(), 0
    for number, prefix in enumerate(prefixes):
        takes = _add(builder, arrays, prefix, facts if layers is None and number == 0 else {})
        size = size or takes
    if layers is None and facts.get("output_size", builder.features) != builder.features:
        raise _other(facts, "output_size", builder.features)
    adds = min(adds, size)
    if adds not in (0, builder.features):
        raise NotAChain(
            f"model_data: the first {adds} features of x are added to {builder.features} outputs, and a skip adds as "
            f"many as there are; take skip out of it, and by hand: y = y + x[..., :{adds}]"
        )
    return builder, adds > 0


def check_fits(features: int, before: int | None) -> None:
    """Refuse a layer whose weights take another number of features than there are before it."""
    if before not in (None, features):
        raise ValueError(f"its weights take {features} features, and there are {before} before it")


def _add(builder: ChainBuilder, arrays: Mapping[str, np.ndarray], prefix: str, facts: Mapping[str, Any]) -> int:
    """Add the layer at a prefix; the number of features that it takes."""
    prefix = prefix if prefix == "" or prefix.endswith(".") else f"{prefix}."
    own = {name[len(prefix) :]: array for name, array in arrays.items() if name.startswith(prefix)}
    try:
        if not own:
            held = ", ".join(dict.fromkeys(repr(name.rpartition(".")[0]) for name in arrays))
            raise ValueError(f"there is no such layer; there are: {held}")
        if "weight" in own:
            features = real_array("weight", own["weight"], (None, None)).shape[1]
            check_fits(features, builder.features)
            builder.dense(own["weight"], own.get("bias"))
            return features
        weights = weights_from_torch(own, prefix="", option="layers")
        check_fits(weights.config.input_size, builder.features)
        _check_facts(facts, weights)
        builder.recurrent(weights)
        return weights.config.input_size
    except (ValueError, TypeError) as error:
        raise ValueError(f"layer {prefix.removesuffix('.')!r}: {error}") from error


def _check_facts(facts: Mapping[str, Any], weights: Weights) -> None:
    """Refuse arrays of other sizes than the model says that it has."""
    config = weights.config
    for name in ("input_size", "hidden_size", "num_layers"):
        if facts.get(name, getattr(config, name)) != getattr(config, name):
            raise _other(facts, name, getattr(config, name))
    if str(facts.get("unit_type", config.cell.name)).upper() != config.cell.name:
        raise _other(facts, "unit_type", config.cell.name)


def _other(facts, name, found):
    return ValueError(f"model_data says {name}={facts[name]!r}, and the arrays are those of {found!r}")


def _known_order(model, facts, names):
    """(prefixes in their order, how many features the skip adds) of a network that says what it is."""
    above = "state_dict." if all(name.startswith("state_dict.") for name in names) else ""
    prefixes = dict.fromkeys(name.rpartition(".")[0] for name in names)
    if not facts and len(prefixes) == 1:        # a layer alone needs none
        return [f"{prefix}." if prefix else "" for prefix in prefixes], 0
    if not facts:
        held = ", ".join(dict.fromkeys(repr(name.rpartition(".")[0]) for name in names))
        raise NotAChain(f"a state dict holds no order of its layers: give their prefixes in it as layers=, of {held}")
    network = facts.get("model", "SimpleRNN")
    if network == "SimpleRNN":
        return [f"{above}rec", f"{above}lin"], _count(facts.get("skip", 1), "skip")
    if network != "RecNet":
        raise NotAChain(
            f"the model {network!r} is no chain of recurrent and dense layers, as SimpleRNN is; run it where it was "
            "trained"
        )
    blocks = model.get("blocks")
    if not isinstance(blocks, Mapping) or not blocks or not all(isinstance(b, Mapping) for b in blocks.values()):
        raise ValueError("the RecNet has no blocks")
    inner = [_count(block.get("skip", 1), "skip of a block") for block in blocks.values()]
    outer = _count(facts.get("skip", 0), "skip")
    if any(inner) and (outer or len(inner) > 1):
        raise NotAChain(
            "RecNet: its blocks add their own inputs, and a network has one skip, around all of it; read them one by "
            "one with layers=, and by hand: y = block(x) + x[..., :skip]"
        )
    parts = [f"{above}layers.block_{n + 1}.{part}" for n in range(len(inner)) for part in ("rec", "lin")]
    return parts, outer or inner[0]


def _count(value, name):
    if not isinstance(value, Integral) or value < 0:
        raise ValueError(f"model_data: {name} must be a number of features; got {value!r}")
    return int(value)
