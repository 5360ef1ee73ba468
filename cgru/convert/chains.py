"""Networks from elsewhere: layers in their order become a `Chain`."""

from __future__ import annotations

import numpy as np

from cgru.activations import linear_activations
from cgru.chain import Chain
from cgru.checks import real_array
from cgru.convert._errors import NotAChain
from cgru.weights import Weights, linear_weights

#: Features that a source may declare without an array of so many: a diagonal Linear of them is a square matrix.
MOST_CLAIMED = 4096

__all__ = ["ChainBuilder", "NotAChain"]


class ChainBuilder:
    """Collects a network's layers, first to last; every method may raise the errors of `Weights` and `Chain`.

    What has no layer of its own joins one: an activation the Linear before it, an affine map the Linear before or after
    it. Where there is none, it becomes a diagonal Linear.
    """

    def __init__(self):
        self._layers: list[Weights | _Dense] = []
        self._last = False

    def __len__(self):
        return len(self._layers)

    @property
    def features(self):
        """What the last layer so far gives; None where there is none."""
        if not self._layers:
            return None
        layer = self._layers[-1]
        return layer.config.output_size if isinstance(layer, Weights) else len(layer.weight)

    def recurrent(self, weights: Weights) -> None:
        """A recurrent layer."""
        if self._last is not False:
            name = weights.config.cell.name
            raise NotAChain(f"a {name} behind what takes one step alone: it has one step to run over")
        self._layers.append(weights)

    def dense(self, weight, bias=None, activation=None) -> None:
        """A Linear: `weight` (O, I), `bias` (O,) or None."""
        weight = np.asarray(real_array("weight", weight, (None, None)), np.float64)
        if bias is not None:
            bias = np.asarray(real_array("bias", bias, (len(weight),)), np.float64)
        dense, below = _Dense(weight, bias), self._layers[-1] if self._layers else None
        if isinstance(below, _Dense) and below.diagonal and below.activation is None and below.fits(weight.shape[1]):
            dense.behind(below)
            self._layers.pop()
        self._layers.append(dense)
        if activation is not None:
            self.activation(activation)

    def activation(self, activation, features=None) -> None:
        """What the features go through from here on; `features` is their number where no layer stands before."""
        activation = linear_activations(activation)[0][0]
        if tuple(activation) == ("linear", 1.0, 0.0):
            return
        if not self._layers or not isinstance(self._layers[-1], _Dense) or self._layers[-1].activation is not None:
            size = self._known(features, "an activation")
            if not self._layers:
                check_claimed(size)
            self._layers.append(_Dense(np.eye(size), None, diagonal=True))
        below = self._layers[-1]
        assert isinstance(below, _Dense)
        below.activation = activation

    def affine(self, scale, shift, features=None) -> None:
        """y = scale * x + shift, for each feature; numbers where they are the same for all."""
        scale, shift = (np.asarray(real_array(name, value), np.float64) for name, value in
                        (("scale", scale), ("shift", shift)))  # fmt: skip
        if features is None and self.features is None:
            features = max(scale.size, shift.size)
        size = self._known(features, "a normaliser")
        if not self._layers and size not in (scale.size, shift.size):
            check_claimed(size)
        scale, shift = (np.broadcast_to(value.reshape(-1), (size,)) for value in (scale, shift))
        below = self._layers[-1] if self._layers else None
        if isinstance(below, _Dense) and below.activation is None:
            below.ahead(scale, shift)
        else:
            self._layers.append(_Dense(np.diag(scale), shift.copy(), diagonal=True))

    def last_step(self, how=True) -> None:
        """From here on there is one step: each row's last (True), or the recurrent layer's final state ("h_n")."""
        if self._last is not False:
            raise NotAChain("the last step is taken twice")
        self._last = how

    def chain(self, *, skip=False, batch_first=False, dtype=None) -> Chain:
        """All of it. `dtype` is float64 where it is None and every recurrent layer is, else float32."""
        layers = self._layers
        if dtype is None:
            found = [layer.dtype for layer in layers if isinstance(layer, Weights)]
            dtype = np.float64 if found and all(one == np.float64 for one in found) else np.float32
        made = [layer.astype(dtype) if isinstance(layer, Weights) else layer.weights(dtype) for layer in layers]
        return Chain(
            tuple(one.replace(batch_first=batch_first) if one.config.recurrent else one for one in made),
            last=self._last, skip=skip, batch_first=batch_first,
        )  # fmt: skip

    def _known(self, features, what):
        if self.features is None and features is None:
            raise NotAChain(f"{what} stands first, and how many features it goes over is not known")
        if None not in (self.features, features) and self.features != features:
            raise ValueError(f"{what} goes over {features} features, and what is before it gives {self.features}")
        return features if self.features is None else self.features


def check_claimed(features: int) -> None:
    """Refuse a number of features that a source declares, of which no array is there and a square one would be made.

    Raises
    ------
    ValueError
    """
    if features > MOST_CLAIMED:
        raise ValueError(f"it declares {features} features without weights for them; {MOST_CLAIMED} are the most")


class _Dense:
    """A Linear that is still being made, in float64."""

    def __init__(self, weight, bias, *, diagonal=False):
        self.weight, self.bias, self.diagonal, self.activation = weight, bias, diagonal, None

    def fits(self, features):
        return len(self.weight) == features

    def behind(self, below):
        """Take over a diagonal one before it: W (D x + d) + b."""
        scale = np.diagonal(below.weight)
        if below.bias is not None:
            shift = (self.weight * below.bias).sum(axis=1)
            self.bias = shift if self.bias is None else self.bias + shift
        self.weight = self.weight * scale
        self.diagonal = False

    def ahead(self, scale, shift):
        """Take over an affine map behind it: D (W x + b) + d."""
        self.weight = self.weight * scale[:, None]
        self.bias = shift + (0 if self.bias is None else self.bias * scale)

    def weights(self, dtype):
        return linear_weights(self.weight, self.bias, self.activation, dtype=dtype)
