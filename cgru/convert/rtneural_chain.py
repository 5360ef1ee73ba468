"""Whole networks from RTNeural's JSON, in the forms that its loaders and those who train for them have.

Layers, as RTNeural's `json_parser` reads them (model_loader.h) and its Keras exporter writes them (model_utils.py):

* ``{"in_shape": [..., I], "layers": [{"type", "activation", "shape": [..., O], "weights"}, ...]}``
* dense, time-distributed-dense: kernel (I, O), bias (O,), then the activation; gru and lstm as in `rtneural`, whose own
  "activation" RTNeural does not look at: it is tanh
* activation: its name alone; prelu: ``[[slopes]]``, one for all or one for each feature
* batchnorm: gamma, beta, mean, variance, or mean, variance; and "epsilon"

AIDA-X (aidadsp-plugin.cpp) has around them, with g = 10^(dB / 20), or 0 from -90 dB down: the first feature times the
gain "in_gain"; with "in_skip": 1 that product added to the output; then all of it times "out_gain". The sample rate and
recorded batches stand beside.

The second form, a state dict of PyTorch, is read by `rtneural_state`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np

from cgru.checks import check_dtype, real_array
from cgru.convert._errors import naming
from cgru.convert.chains import ChainBuilder, NotAChain, check_claimed
from cgru.convert.json_files import json_object
from cgru.convert.rtneural import BIASES, entries_in, layer_weights, tensors_in
from cgru.convert.rtneural_state import check_fits, layers_of_state_dict

if TYPE_CHECKING:
    import os

    from numpy.typing import DTypeLike

    from cgru.chain import Chain

#: RTNeural's names -> those here; what its exporter writes for none is empty.
ACTIVATIONS = {"": None, "linear": None, "tanh": "tanh", "relu": "relu", "sigmoid": "sigmoid", "softmax": "softmax",
               "elu": "elu"}  # fmt: skip
_SILENCE = -90.0        # dB, from which down AIDA-X's gain is 0

_BY_HAND = {
    "conv1d": "p = numpy.pad(x, (((K - 1) * dilation, 0), (0, 0))); y = sum(p[k * dilation :][: len(x)] @ kernel[k] "
    "for k in range(K)) + bias, with one group",
    "conv2d": "y[t, f] = sum(x[t - (K - 1 - i) * dilation, f * stride + j] @ kernel[i, j] for i in range(K) for j in "
    "range(L)) + bias, without padding",
    "batchnorm2d": "y = gamma * (x - mean) / numpy.sqrt(variance + epsilon) + beta",
    "prelu": "y = numpy.where(x >= 0, x, slopes * x)",
}


def chain_from_rtneural(
    source: Mapping[str, Any] | str | os.PathLike[str],
    *,
    dtype: DTypeLike | None = None,
    batch_first: bool = False,
    layers: Iterable[str] | None = None,
    skip: bool | None = None,
) -> Chain:
    """The network in RTNeural's JSON: with layers, those of AIDA-X, or a state dict of PyTorch as GuitarML writes it.

    Dense layers, GRUs, LSTMs, activations, PReLUs with one slope and batch normalisation; gains and skips. Gains are
    multiplied into the weights beside them.

    Parameters
    ----------
    source : path or dict
        The file, or what `json.load` makes of it.
    dtype : dtype, default float32
    batch_first : bool, default False
    layers : iterable of str, optional
        Of a state dict that does not say what network it is: the prefixes of its layers in their order, such as
        ``("gru", "dense")``.
    skip : bool, optional
        Whether x is added to y; by default as the file says.

    Raises
    ------
    TypeError
        Neither a path nor a dict.
    NotAChain
        A ValueError: layers that this package has not, by their numbers, with the line of NumPy that computes them.
    ValueError
        No JSON; arrays that are not there or do not fit.
    OSError
        The file cannot be read.
    """
    dtype = check_dtype("float32" if dtype is None else dtype)
    for name, flag in (("batch_first", batch_first), ("skip", skip)):
        if flag is not None and not isinstance(flag, bool | np.bool_):
            raise TypeError(f"{name} must be True or False; got {flag!r}")
    with naming(source):
        model = json_object(source, "a dict with layers")
        tensors = {} if "layers" in model else tensors_in(model)
        if tensors:
            builder, found = layers_of_state_dict(model, tensors, layers)
        elif layers is not None:
            raise ValueError("layers= is for a state dict of PyTorch; this model says the order of its layers itself")
        else:
            builder, found = _of_layers(model)
        return builder.chain(skip=found if skip is None else skip, batch_first=batch_first, dtype=dtype)


@contextlib.contextmanager
def _layer(number: int, kind: Any) -> Iterator[None]:
    """Make errors say which layer they are about."""
    try:
        yield
    except (ValueError, TypeError) as error:
        refused = NotAChain if isinstance(error, NotAChain) else ValueError
        raise refused(f"layer {number} ({kind}): {error}") from error


# ---- the first form


def _of_layers(model):
    """(the builder with all layers, whether there is a skip)."""
    entries = entries_in(model)
    if not entries:
        raise ValueError("the model has no layers")
    builder, size = ChainBuilder(), _last(model.get("in_shape"), "in_shape")
    skip, gain, out_gain = _around(model)
    if gain != 1 and entries[0].get("type") in BIASES:
        entries = [_with_gain(entries[0], gain), *entries[1:]]
    elif gain != 1:
        if size is None:
            raise ValueError("in_shape is not there, and how many features in_gain goes over is not known")
        check_claimed(size)
        builder.affine([gain] + [1.0] * (size - 1), 0.0, size)
    for number, entry in enumerate(entries):
        kind = entry.get("type")
        with _layer(number, kind):
            if kind not in _ADD:
                raise NotAChain(_refusal(kind))
            _ADD[kind](builder, entry, size if builder.features is None else builder.features)
            told = _last(entry.get("shape"), "shape")
            if told not in (None, builder.features):
                raise ValueError(f"its shape ends in {told}, and its weights give {builder.features} features")
    if skip and builder.features != 1:
        raise NotAChain(
            f"in_skip adds the first input to one output, and the layers give {builder.features}; take it out of the "
            "model, and by hand: y = y + x[..., :1]"
        )
    if out_gain != 1:
        builder.affine(out_gain, 0.0)
    return builder, skip


def _refusal(kind):
    if kind in _BY_HAND:
        return f"this package has no such layer; in NumPy it is {_BY_HAND[kind]}"
    return (
        "this is what RTNeural's exporter writes for a layer that it does not know, and RTNeural passes it over: take "
        "it out of layers where it was one that does nothing, such as a Dropout"
        if kind == "unknown" else f"there is no such layer; there are: {', '.join(_ADD)}"
    )  # fmt: skip


def _last(shape, name):
    """The last number of a shape; None where there is no shape."""
    if shape is None:
        return None
    last = shape[-1] if isinstance(shape, list | tuple) and shape else None
    if not isinstance(last, Integral) or isinstance(last, bool) or last < 1:
        raise ValueError(f"{name} must end in the number of features; got {shape!r}")
    return int(last)


def _around(model):
    """(skip, gain of the input, gain of the output), as AIDA-X has them."""
    skip, *levels = (model.get(name) for name in ("in_skip", "in_gain", "out_gain"))
    skip = 0 if skip is None else skip
    if isinstance(skip, bool) or skip not in (0, 1):
        raise ValueError(f"in_skip must be 0 or 1; got {skip!r}")
    levels = [0.0 if level is None else level for level in levels]
    for name, level in zip(("in_gain", "out_gain"), levels, strict=True):
        if isinstance(level, bool) or not isinstance(level, Real) or not abs(float(level)) < 1000:
            raise ValueError(f"{name} must be a number of dB; got {level!r}")
    gain, out_gain = (10 ** (level / 20) if level > _SILENCE else 0.0 for level in levels)
    if skip and abs(gain * out_gain - 1) > 1e-9:
        raise NotAChain(
            f"in_skip adds x times the gains of {levels[0]:g} and {levels[1]:g} dB to y, and a skip adds x itself: "
            f"take in_gain and out_gain out of the model, and by hand: y = {out_gain:.9g} * net({gain:.9g} * x)"
        )
    return bool(skip), gain, out_gain


def _with_gain(entry, gain):
    """A recurrent layer whose first feature is multiplied by `gain` before it comes in."""
    with _layer(0, entry["type"]):
        if not isinstance(entry.get("weights"), list) or not entry["weights"]:
            raise ValueError("it has no weights")
        kernel = np.array(real_array("kernel", entry["weights"][0], (None, None)), np.float64)
        kernel[:1] *= gain
        return {**entry, "weights": [kernel, *entry["weights"][1:]]}


def _arrays(entry, *counts):
    arrays = entry.get("weights")
    if not isinstance(arrays, list) or len(arrays) not in counts:
        count = len(arrays) if isinstance(arrays, list) else "no"
        raise ValueError(f"it has {count} weights, expected {' or '.join(map(str, counts))}")
    return arrays


def _function(entry):
    name = entry.get("activation") or ""
    if name not in ACTIVATIONS:
        known = ", ".join(name for name, here in ACTIVATIONS.items() if here)
        raise NotAChain(f"the activation {name!r} is none of RTNeural's, which are {known}")
    return ACTIVATIONS[name]


def _add_dense(builder, entry, before):
    kernel, *bias = _arrays(entry, 1, 2)
    kernel = real_array("kernel", kernel, (None, None))
    check_fits(len(kernel), before)
    builder.dense(kernel.T, *bias, activation=_function(entry))


def _add_recurrent(builder, entry, before):
    if entry.get("activation") not in (None, "", "tanh"):
        raise NotAChain(
            f"its activation is {entry['activation']!r}, at which RTNeural does not look: it runs tanh; set it to "
            "'tanh' to read what RTNeural computes"
        )
    weights = layer_weights(entry)
    check_fits(weights.config.input_size, before)
    builder.recurrent(weights)


def _add_activation(builder, entry, before):
    told = _last(entry.get("shape"), "shape")
    builder.activation(_function(entry) or "linear", before if told is None else told)


def _add_prelu(builder, entry, before):
    (slopes,) = _arrays(entry, 1)
    slopes = real_array("slopes", slopes).reshape(-1)
    if len(slopes) == 0 or np.any(slopes != slopes[0]):
        raise NotAChain(f"it has several slopes; in NumPy it is {_BY_HAND['prelu']}")
    builder.activation(("leaky_relu", float(slopes[0])), before)


def _add_batchnorm(builder, entry, before):
    arrays = _arrays(entry, 2, 4)
    names = ("gamma", "beta", "mean", "variance")[-len(arrays) :]
    found = {name: np.asarray(real_array(name, value, (before,)), np.float64) for name, value in
             zip(names, arrays, strict=True)}  # fmt: skip
    epsilon = entry.get("epsilon")
    if isinstance(epsilon, bool) or not isinstance(epsilon, Real):
        raise ValueError(f"epsilon must be a number; got {epsilon!r}")
    variance = found["variance"] + float(epsilon)
    if not np.all(variance > 0):
        raise ValueError("variance + epsilon must be above 0")
    scale = found.get("gamma", 1.0) / np.sqrt(variance)
    builder.affine(scale, found.get("beta", 0.0) - scale * found["mean"], before)


_ADD = {
    "dense": _add_dense, "time-distributed-dense": _add_dense, **dict.fromkeys(BIASES, _add_recurrent),
    "activation": _add_activation, "prelu": _add_prelu, "batchnorm": _add_batchnorm,
}  # fmt: skip
