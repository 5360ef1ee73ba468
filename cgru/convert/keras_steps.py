"""From a Keras model's layers, in their order, to a `Chain`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from cgru.checks import real_array
from cgru.convert._errors import NotAChain
from cgru.convert.chains import ChainBuilder
from cgru.convert.keras import layer_weights
from cgru.convert.keras_activations import ACTIVATIONS, pointwise
from cgru.convert.keras_by_hand import by_hand
from cgru.convert.keras_graph import Step, head, is_taken, steps, takes_last
from cgru.convert.keras_layer import RECURRENT, TRAINING, Layer, Network, is_recurrent

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from cgru.chain import Chain


def chain_of(network: Network, dtype: DTypeLike | None = None) -> Chain:
    """The `Chain` that a whole Keras model is; see `cgru.convert.keras_chain`.

    Raises
    ------
    NotAChain
        It is none; the message names the layer.
    ValueError, KeyError, TypeError, AttributeError, IndexError
        Arrays or a configuration that are damaged.
    """
    return _Builder(network, dtype).chain()


def _input_shape(model):
    """The shape of a model's input, as far as its configuration says it; None where it does not."""
    config = model["config"]
    entries = config if isinstance(config, list) else config.get("layers", [])
    shape = None if isinstance(config, list) else config.get("build_input_shape")
    if not shape and entries:
        first = next((entry for entry in entries if entry["class_name"] == "InputLayer"), entries[0])
        inner = first["config"]
        if isinstance(inner, list) or "layers" in inner:
            return _input_shape(first)
        shape = inner.get("batch_shape", inner.get("batch_input_shape"))
    sizes = isinstance(shape, list | tuple) and all(size is None or type(size) is int for size in shape)
    return tuple(shape) if shape and sizes else None


class _Builder:
    """A network's layers, one after the other."""

    def __init__(self, network, dtype):
        self.network, self.dtype = network, dtype
        self.made = ChainBuilder()
        shape = _input_shape(network.model)
        self.rank = len(shape) if shape else None
        self.first = shape[-1] if shape else None       # features of x
        self.masked = False
        self.last = False
        self.skip = False
        self.step: Step

    @property
    def features(self):
        """As far as they are known."""
        return self.first if self.made.features is None else self.made.features

    def chain(self):
        found = steps(self.network.model)
        rank, recurrent = self.rank, any(is_recurrent(step.part) for step in found)
        for number, step in enumerate(found):
            self.step = step
            try:
                self.add(step, found[:number], found[number + 1 :])
            except ValueError as error:
                kind = NotAChain if isinstance(error, NotAChain) else ValueError
                raise kind(f"{step}: {error}") from error
        if rank is not None and rank != 3 and (recurrent or rank != 2):
            raise NotAChain(f"the model's input has {rank} axes, and a chain's has 3: (N, T, features)")
        if not len(self.made):
            raise NotAChain("no layer of the model computes anything")
        return self.made.chain(skip=self.skip, batch_first=True, dtype=self.dtype)

    def add(self, step, before, after):
        kind, config = step.part.kind, step.part.config
        if step.training and (kind in TRAINING or any(_dropout(config))):
            raise NotAChain("it is called with training=True: its result is random, or depends on the batch")
        if kind == "Masking":
            self.mask(before)
        elif step.passes:
            return
        elif step.start is not None:
            self.add_input(before, after)
        elif kind in RECURRENT and not step.part.timed:
            self.recurrent(kind, config)
        elif kind in ACTIVATIONS or kind == "Activation":
            value = config.get("activation") if kind == "Activation" else {"class_name": kind, "config": config}
            self.activate(value)
        elif kind in _LAYERS:
            _LAYERS[kind](self, config)
        else:
            raise NotAChain(f"no chain has such a layer{by_hand(kind, config)}")

    def arrays(self, least, most):
        """The layer's arrays, of which there must be so many."""
        read = self.network.arrays.get(self.step.part.path)
        found = [] if read is None else read()
        if not least <= len(found) <= most:
            none = "; the model is not built: give it an Input, or call it once" if not found else ""
            raise ValueError(f"it has {len(found)} arrays, expected {least}{none}")
        for array in found:
            if np.asarray(array).dtype.kind not in "fV" and np.ndim(array):
                raise ValueError(f"its weights are {np.asarray(array).dtype}, expected floating-point numbers")
        return found

    def recurrent(self, kind, config):
        if not is_recurrent(self.step.part):
            raise NotAChain("only GRU, LSTM and SimpleRNN, or one cell of them, are read")
        inner = config["layer"]["config"] if kind == "Bidirectional" else config
        if inner.get("time_major"):
            raise NotAChain("it has time_major=True; build it with False")
        read = self.network.arrays.get(self.step.part.path, list)
        weights = layer_weights(Layer(kind, config, read, self.network.version))
        self.made.recurrent(weights)
        if not inner.get("return_sequences", False):
            self.take_last(True if weights.config.one_way else "h_n")

    def take_last(self, how):
        self.made.last_step(how)
        self.last, self.rank = True, 2

    def dense(self, config):
        kernel, *bias = self.arrays(*[1 + bool(config.get("use_bias", config.get("bias", True)))] * 2)
        kernel = real_array("kernel", kernel, (None, None))
        units = config.get("units", config.get("output_dim"))
        if units is not None and units != kernel.shape[1]:
            raise ValueError(f"it has units={units}, but its kernel is for {kernel.shape[1]}")
        self.made.dense(kernel.T, *bias)
        self.activate(config.get("activation"))

    def activate(self, value):
        found = pointwise(value, self.network.version, self.axes())
        if found.before != 1:
            self.made.affine(found.before, 0.0, self.features)
        self.made.activation(found.function, self.features)
        if (found.behind, found.shift) != (1, 0):
            self.made.affine(found.behind, found.shift, self.features)

    def axes(self):
        """The rank of what the layer sees."""
        return self.rank and self.rank - self.step.part.timed

    def check_axis(self, axis):
        """Refuse any axis but the last one."""
        axis = axis[0] if isinstance(axis, list | tuple) and len(axis) == 1 else axis
        if axis not in (-1, (self.axes() or 3) - 1):
            raise NotAChain(f"it goes over axis={axis!r}, expected the last, -1")

    def batch_normalization(self, config):
        self.check_axis(config.get("axis", -1))
        if config.get("renorm"):
            raise NotAChain("it has renorm=True, which is not read")
        scale, center = config.get("scale", True), config.get("center", True)
        count = 2 + bool(scale) + bool(center)
        arrays = [np.asarray(real_array("weights", one, (None,)), np.float64) for one in self.arrays(count, count)]
        gamma = arrays.pop(0) if scale else 1.0
        beta = arrays.pop(0) if center else 0.0
        mean, variance = arrays
        factor = gamma / np.sqrt(variance + config.get("epsilon", 1e-3))
        self.affine(factor, beta - mean * factor)

    def normalization(self, config):
        axis = config.get("axis", -1)
        if axis not in (None, [], ()):
            self.check_axis(axis)
        if config.get("mean") is None:
            mean, variance, *_ = self.arrays(2, 3)
        else:
            mean, variance = config["mean"], config["variance"]
        mean, variance = (np.asarray(real_array("mean, variance", one), np.float64) for one in (mean, variance))
        deviation = np.maximum(np.sqrt(variance), 1e-7)      # Keras's backend.epsilon()
        if config.get("invert"):
            self.affine(deviation, mean)
        else:
            self.affine(1 / deviation, -mean / deviation)

    def rescaling(self, config):
        self.affine(*(real_array(name, config[name]) for name in ("scale", "offset")))

    def constant(self, config, name):
        """An operation with a constant: x + 2, 2 * x."""
        given = config.get("call", ())
        if len(given) != 1 or not isinstance(given[0], int | float):
            raise NotAChain(f"no chain has such a layer{by_hand(self.step.part.kind, config)}")
        self.rescaling({"scale": 1.0, "offset": 0.0, name: given[0]})

    def affine(self, scale, shift):
        self.made.affine(scale, shift, self.features)

    def reshape(self, config):
        shape = config.get("target_shape", [-1])        # Flatten has none
        sizes = list(shape) if isinstance(shape, list | tuple) else []
        whole = self.features is not None and self.rank is not None
        same = (self.features, -1) if len(sizes) == 1 else (self.features,)
        if not whole or len(sizes) != self.axes() - 1 or sizes[-1] not in same:
            raise NotAChain(f"it changes the shape of what comes in{by_hand(self.step.part.kind, config)}")

    def get_item(self, config):
        if not is_taken(self.step) or not takes_last(self.step) or head(self.step) not in (None, self.features):
            raise NotAChain("of x[...], only x[:, -1] is read, the last step")
        if self.masked:
            raise NotAChain("x[:, -1] behind a Masking layer may be padding; use return_sequences=False")
        self.take_last(True)

    def mask(self, before):
        if not all(step.passes for step in before):
            raise NotAChain("a mask of what other layers compute; only in front a mask is the lengths of a call")
        self.masked = True

    def add_input(self, before, after):
        """The input, added to the output."""
        step = self.step
        tail = next((one for one in after if not one.passes), None)
        if not all(one.passes for one in before[: step.start]) or tail is not None:
            where = f"and {tail} follows" if tail is not None else "of a layer"
            raise NotAChain(
                f"it adds an output {where}; a chain adds its input to its own output, and nothing else; by hand, in "
                "NumPy: y = a + b, between two networks"
            )
        if self.skip:
            raise NotAChain("the input is added twice")
        taken, most = self.first, head(step.taken) if step.taken is not None else None
        if taken is not None and most is not None:
            taken = min(taken, most)
        if taken is None or taken != self.made.features:
            raise NotAChain(f"it adds {taken} features of the input to the {self.made.features} of the output")
        if self.last != (step.taken is not None and takes_last(step.taken)):
            raise NotAChain("it adds all steps of the input to one step, or one to all")
        self.skip = True


def _dropout(config):
    """The rates of a recurrent layer's dropout, in a wrapper or not."""
    for name in ("layer", "cell"):
        if isinstance(config.get(name), Mapping):
            yield from _dropout(config[name]["config"])
    yield config.get("dropout")
    yield config.get("recurrent_dropout")


_LAYERS: dict[str, Callable[[_Builder, Mapping[str, Any]], None]] = {
    "Add": partial(_Builder.constant, name="offset"),
    "Multiply": partial(_Builder.constant, name="scale"),
    "Dense": _Builder.dense,
    "BatchNormalization": _Builder.batch_normalization,
    "Normalization": _Builder.normalization,
    "Rescaling": _Builder.rescaling,
    "Flatten": _Builder.reshape,
    "Reshape": _Builder.reshape,
    "GetItem": _Builder.get_item,
}
