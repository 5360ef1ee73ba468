"""What another system was given and computed, and how far a model is from it, for `cgru.check`."""

import dataclasses
from typing import Any, NamedTuple

import numpy as np

from cgru.chain import network_of
from cgru.forward import named_planes
from cgru.study.networks import form_of
from cgru.weights import Weights

_ROWS, _STEPS = 4, 8      # of the batch that the search looks at


class Difference(NamedTuple):
    """The first value that differs, in the order of time.

    Attributes
    ----------
    step, row, unit : int
        Where; an unbatched sequence has row 0, and y that is the last step alone has step -1.
    got, expected : float
    """

    step: int
    row: int
    unit: int
    got: float
    expected: float

    def __str__(self):
        where = "in the last step at" if self.step < 0 else f"at step {self.step},"
        return (
            f"The difference begins {where} row {self.row}, unit {self.unit}, where the model gives "
            f"{self.got:.6g} and {self.expected:.6g} was expected."
        )


@dataclasses.dataclass(frozen=True)
class Recorded:
    """What the other system was given, and what it computed."""

    x: np.ndarray
    y: np.ndarray
    hx: Any
    lengths: Any

    def error(self, model):
        """Largest absolute error of a model at valid steps; None where the shapes differ."""
        got, _ = model(self.x, self.hx, lengths=self.lengths)
        if got.shape != self.y.shape:
            return None
        valid = self.valid(network_of(model))
        worst = float(np.abs(got[valid].astype(np.float64) - self.y[valid]).max(initial=0.0))
        return np.inf if np.isnan(worst) else worst

    def comparable(self, network):
        """The valid values of y, all of them finite.

        Raises
        ------
        ValueError
            There are none, or one is not finite.
        """
        y, valid, form = self.y, self.valid(network), form_of(network)
        values = y[valid]
        if not values.size:
            raise ValueError(f"there is nothing to compare: y_expected has shape {y.shape} and no valid step")
        bad = ~np.isfinite(y) & valid[..., None]
        if bad.any() and y.ndim in ((1, 2) if form.last else (2, 3)):      # others are of no model's shape
            step, row, unit = _first_of(bad, form)
            at = "" if form.last else f"step {step}, "
            raise ValueError(
                "y_expected holds NaN or infinity, which nothing can be compared with, first at "
                f"{at}row {row}, unit {unit}; leave such rows out, or give lengths"
            )
        return values

    def valid(self, network):
        """Which of y's steps and rows are compared; of arguments that fit no layout, all."""
        y, lengths, form = self.y, np.asarray(self.lengths), form_of(network)
        valid = np.ones(y.shape[:-1], bool)
        if form.last:       # a row without steps has no last one
            return lengths > 0 if valid.ndim == 1 and lengths.shape == valid.shape else valid
        if y.ndim != 3 or lengths.ndim != 1 or lengths.dtype.kind not in "iu":
            return valid
        fitting = [axis for axis in (0, 1) if y.shape[axis] == lengths.size]
        if fitting:     # both where T is N: then the model's layout decides
            rows = fitting[0 if form.batch_first else -1]
            steps = np.arange(y.shape[1 - rows])
            if form.padded_first:
                steps = steps[::-1]
            valid = steps < lengths[:, None] if rows == 0 else steps[:, None] < lengths
        return valid

    def first(self, model, limit):
        """The first `Difference` above `limit`."""
        got, _ = model(self.x, self.hx, lengths=self.lengths)
        with np.errstate(invalid="ignore"):      # past a row's length anything may stand
            wrong = ~(np.abs(got.astype(np.float64) - self.y) <= limit)
        network = network_of(model)
        form = form_of(network)
        wrong[~self.valid(network)] = False
        step, row, unit = _first_of(wrong, form)
        if form.last:
            place = (row, unit)[-got.ndim :]
        else:
            place = (step, unit) if got.ndim < 3 else (row, step, unit) if form.batch_first else (step, row, unit)
        return Difference(step, row, unit, float(got[place]), float(self.y[place]))

    def with_layout(self, chosen):
        """The same with the axes of y exchanged, where a change says that they are."""
        if not any(change.swap_y for change in chosen):
            return self
        return dataclasses.replace(self, y=self.y.swapaxes(0, 1))

    def excerpt(self, network):
        """The first rows, and the first steps where the later ones cannot matter."""
        x, y, hx, lengths, form = self.x, self.y, self.hx, self.lengths, form_of(network)
        if x.ndim == 3:
            rows = np.s_[:_ROWS] if form.batch_first else np.s_[:, :_ROWS]
            x, y = x[rows], y[:_ROWS] if form.last else y[rows]
            hx = _first_rows(network, hx)
            lengths = None if lengths is None else np.asarray(lengths)[:_ROWS]
        if lengths is None and form.one_way and not form.last:
            steps = np.s_[:, :_STEPS] if x.ndim == 3 and form.batch_first else np.s_[:_STEPS]
            x, y = x[steps], y[steps]
        return Recorded(x, y, hx, lengths)


def _first_rows(network, hx):
    """The state of the first rows."""
    if not isinstance(network, Weights):
        layers = [network.layers[place] for place in network.recurrent]
        return None if hx is None else tuple(_first_rows(layer, part) for layer, part in zip(layers, hx, strict=True))
    planes = [
        None if plane is None else np.asarray(plane)[:, :_ROWS]
        for _, plane in named_planes(network.config.cell, "hx", hx)
    ]
    return planes[0] if len(planes) == 1 else tuple(planes)


def _first_of(where, form):
    """(step, row, unit) of the first True in an array shaped as y; the last step is -1."""
    if form.last:
        row, unit = np.unravel_index(np.argmax(where), (where.size // where.shape[-1], where.shape[-1]))
        return -1, int(row), int(unit)
    if where.ndim < 3:
        where = where[:, None]
    elif form.batch_first:
        where = where.swapaxes(0, 1)
    return tuple(int(index) for index in np.unravel_index(np.argmax(where), where.shape))
