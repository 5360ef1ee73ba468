"""What another system was given and computed, and how far a model is from it, for `cgru.check`."""

import dataclasses
from typing import Any, NamedTuple

import numpy as np

from cgru.forward import named_planes

_ROWS, _STEPS = 4, 8      # of the batch that the search looks at


class Difference(NamedTuple):
    """The first value that differs, in the order of time.

    Attributes
    ----------
    step, row, unit : int
        Where; an unbatched sequence has row 0.
    got, expected : float
    """

    step: int
    row: int
    unit: int
    got: float
    expected: float

    def __str__(self):
        return (
            f"The difference begins at step {self.step}, row {self.row}, unit {self.unit}, where the model gives "
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
        valid = self.valid(model.config)
        worst = float(np.abs(got[valid].astype(np.float64) - self.y[valid]).max(initial=0.0))
        return np.inf if np.isnan(worst) else worst

    def comparable(self, config):
        """The valid values of y, all of them finite.

        Raises
        ------
        ValueError
            There are none, or one is not finite.
        """
        y, valid = self.y, self.valid(config)
        values = y[valid]
        if not values.size:
            raise ValueError(f"there is nothing to compare: y_expected has shape {y.shape} and no valid step")
        bad = ~np.isfinite(y) & valid[..., None]
        if bad.any() and y.ndim in (2, 3):      # others are of no model's shape
            step, row, unit = _first_of(bad, config.batch_first)
            raise ValueError(
                "y_expected holds NaN or infinity, which nothing can be compared with, first at "
                f"step {step}, row {row}, unit {unit}; leave such rows out, or give lengths"
            )
        return values

    def valid(self, config):
        """Which of y's steps and rows are compared; of arguments that fit no layout, all."""
        y, lengths = self.y, np.asarray(self.lengths)
        valid = np.ones(y.shape[:-1], bool)
        if y.ndim != 3 or lengths.ndim != 1 or lengths.dtype.kind not in "iu":
            return valid
        fitting = [axis for axis in (0, 1) if y.shape[axis] == lengths.size]
        if fitting:     # both where T is N: then the model's layout decides
            rows = fitting[0 if config.batch_first else -1]
            steps = np.arange(y.shape[1 - rows])
            if config.go_backwards and config.num_layers % 2:      # the padding comes first
                steps = steps[::-1]
            valid = steps < lengths[:, None] if rows == 0 else steps[:, None] < lengths
        return valid

    def first(self, model, limit):
        """The first `Difference` above `limit`."""
        got, _ = model(self.x, self.hx, lengths=self.lengths)
        with np.errstate(invalid="ignore"):      # past a row's length anything may stand
            wrong = ~(np.abs(got.astype(np.float64) - self.y) <= limit)
        wrong[~self.valid(model.config)] = False
        step, row, unit = _first_of(wrong, model.batch_first)
        place = (step, unit) if got.ndim < 3 else (row, step, unit) if model.batch_first else (step, row, unit)
        return Difference(step, row, unit, float(got[place]), float(self.y[place]))

    def with_layout(self, chosen):
        """The same with the axes of y exchanged, where a change says that they are."""
        if not any(change.swap_y for change in chosen):
            return self
        return dataclasses.replace(self, y=self.y.swapaxes(0, 1))

    def excerpt(self, config):
        """The first rows, and the first steps where the later ones cannot matter."""
        x, y, hx, lengths = self.x, self.y, self.hx, self.lengths
        if x.ndim == 3:
            rows = np.s_[:_ROWS] if config.batch_first else np.s_[:, :_ROWS]
            x, y = x[rows], y[rows]
            planes = [
                None if plane is None else np.asarray(plane)[:, :_ROWS]
                for _, plane in named_planes(config.cell, "hx", hx)
            ]
            hx = planes[0] if len(planes) == 1 else tuple(planes)
            lengths = None if lengths is None else np.asarray(lengths)[:_ROWS]
        if lengths is None and config.one_way:
            steps = np.s_[:, :_STEPS] if x.ndim == 3 and config.batch_first else np.s_[:_STEPS]
            x, y = x[steps], y[steps]
        return Recorded(x, y, hx, lengths)


def _first_of(where, batch_first):
    """(step, row, unit) of the first True in an array shaped as y."""
    if where.ndim < 3:
        where = where[:, None]
    elif batch_first:
        where = where.swapaxes(0, 1)
    return tuple(int(index) for index in np.unravel_index(np.argmax(where), where.shape))
