"""What every recurrent model here shares: layers, directions, lengths, layouts, parameters, files.

A model is immutable: configuration and weights are fixed at construction, and the compiled layers hold what they
derived from them. State lives with the caller.
"""

from __future__ import annotations

import os
from typing import Any, ClassVar, NamedTuple

import numpy as np

from cgru import engines, files
from cgru._arguments import input_array, lengths_array, output_array, state_array
from cgru._threads import in_threads, row_groups
from cgru.activations import PLAIN, shown
from cgru.gradients import record
from cgru.weights import BLAS_LIMIT, Config, Weights, check_dtype, check_size, weights_from_state_dict

StrPath = str | os.PathLike[str]


class Inputs(NamedTuple):
    """What a forward pass works on, once checked."""

    x: np.ndarray               # (T, N, I), a view of the caller's array where possible
    states: tuple               # h_0 (and c_0), (L*D, N, H), new arrays
    lengths: np.ndarray | None  # (N,) intp
    batched: bool
    x_shape: tuple              # as the caller gave it


class Recurrent:
    """Base of the recurrent models; use a subclass."""

    __slots__ = ("_cells", "_dtype", "_engine", "_weights")
    _cell: ClassVar[str]
    _cells: tuple[Any, ...]     # the engine's layers, in the order of h_n
    _dtype: np.dtype
    _engine: str
    _weights: Weights

    # ---- construction

    def _draw(self, config, dtype, engine, rng):
        """Parameters uniform in +-1/sqrt(hidden_size), as PyTorch draws them."""
        dtype = check_dtype(dtype)
        try:
            rng = np.random.default_rng(rng)
        except (TypeError, ValueError) as error:
            raise type(error)(f"rng must be a seed or a numpy.random.Generator; got {rng!r}: {error}") from error
        bound = 1.0 / np.sqrt(config.hidden_size)
        tensors = {
            name: rng.uniform(-bound, bound, shape).astype(dtype, copy=False)
            for name, shape in config.shapes().items()
        }
        self._build(Weights(config, tensors), engine)

    def _build(self, weights, engine):
        engine = engines.choose(engine, weights.dtype, weights.config.cell)
        module = engines.load(engine)
        cells = tuple(
            module.Layer(*weights.cell(suffix), **self._cell_options(weights.config, direction))
            for _, direction, suffix in weights.config.cells()
        )
        parts = {"_weights": weights, "_dtype": weights.dtype, "_engine": engine, "_cells": cells}
        for name, value in parts.items():
            object.__setattr__(self, name, value)

    @staticmethod
    def _cell_options(config, direction):
        return {}

    @classmethod
    def _from_weights(cls, weights, engine="auto"):
        model = cls.__new__(cls)
        model._build(weights, engine)
        return model

    @classmethod
    def _from_state_dict(cls, mapping, *, prefix, dtype, engine, **options):
        engines.check_engine(engine)
        weights = weights_from_state_dict(mapping, prefix=prefix, dtype=dtype, cell=cls._cell, **options)
        return cls._from_weights(weights, engine)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a {type(self).__name__} is immutable; build another one instead of setting {name}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a {type(self).__name__} is immutable; {name} stays")

    def __reduce__(self):
        engine = self._engine
        return _rebuild, (type(self), self._weights.config, self._weights.tensors, engine)

    # ---- what the model is

    @property
    def input_size(self) -> int:
        """Features of x."""
        return self._weights.config.input_size

    @property
    def hidden_size(self) -> int:
        """Hidden units H per direction."""
        return self._weights.config.hidden_size

    @property
    def num_layers(self) -> int:
        """Stacked layers."""
        return self._weights.config.num_layers

    @property
    def bias(self) -> bool:
        """Whether there are bias parameters."""
        return self._weights.config.bias

    @property
    def batch_first(self) -> bool:
        """Whether x is (N, T, I)."""
        return self._weights.config.batch_first

    @property
    def bidirectional(self) -> bool:
        """Whether there are two directions."""
        return self._weights.config.bidirectional

    @property
    def dtype(self) -> np.dtype:
        """numpy.dtype, float32 or float64."""
        return self._dtype

    @property
    def engine(self) -> str:
        """Name of the engine that computes."""
        return self._engine

    def __repr__(self) -> str:
        config = self._weights.config
        words = [f"{config.input_size}, {config.hidden_size}"]
        words += [
            f"{name}={getattr(config, name)!r}"
            for name, field in Config.__dataclass_fields__.items()
            if name not in ("input_size", "hidden_size", "cell", "activations")
            and getattr(config, name) != field.default
        ]
        if config.cell == "gru" and set(config.activations) != {PLAIN}:
            words.append(f"activations={shown(config.activations)!r}")
        if config.cell == "rnn":
            words.append(f"nonlinearity={config.nonlinearity!r}")
        words += [f"dtype={self.dtype}", f"engine={self.engine!r}"]
        return f"{type(self).__name__}({', '.join(words)})"

    def state_dict(self) -> dict[str, np.ndarray]:
        """The parameters under PyTorch's names, as new arrays.

        Returns
        -------
        dict of str to ndarray
            ``weight_ih_l{k}[_reverse]`` (G, I or D*H), ``weight_hh_l{k}`` (G, H), ``bias_ih_l{k}``,
            ``bias_hh_l{k}`` (G,); for a GRU G = 3H, gate order r, z, n; RNN H; LSTM 4H, i, f, g, o.
        """
        return {name: array.copy() for name, array in self._weights.tensors.items()}

    def save(self, path: StrPath) -> None:
        """Write the model to a safetensors file, configuration in its metadata; read it with `cgru.load`.

        The file appears under its name only when it is complete.

        Parameters
        ----------
        path : str or path-like

        Raises
        ------
        OSError
            The file cannot be written.
        """
        files.save(path, self._weights)

    # ---- computing

    def _prepare(self, x, states, lengths):
        """Checks and layouts of what a forward pass is given; nothing is computed or written yet.

        `states` maps "h_0" (and "c_0") to what the caller gave, or None.
        """
        config, dtype = self._weights.config, self._dtype
        x = input_array("x", x, dtype, config.input_size, "input_size")
        if x.ndim not in (2, 3):
            layout = "(N, T, I)" if config.batch_first else "(T, N, I)"
            raise ValueError(f"x has {x.ndim} dimensions (shape {x.shape}), expected {layout} or unbatched (T, I)")
        batched, x_shape = x.ndim == 3, x.shape
        if batched and config.batch_first:
            x = x.swapaxes(0, 1)
        elif not batched:
            x = x[:, None]
        T, N = x.shape[:2]
        if N > BLAS_LIMIT:
            raise ValueError(f"x has {N} rows, above the limit of BLAS's integers ({BLAS_LIMIT}); split the batch")
        cells = len(self._cells)
        shape = (cells, N, config.hidden_size)
        initial = []
        for name, state in states.items():
            if state is not None:
                state = state_array(name, state, dtype, shape if batched else (cells, config.hidden_size))
            initial.append(self._start(shape) if state is None else state.reshape(shape).copy())
        if lengths is not None:
            if not batched:
                raise ValueError(f"lengths needs a batch, and x is unbatched: (T, I) = ({T}, {x.shape[2]}); drop it")
            lengths = lengths_array(lengths, T, N)
        return Inputs(x, tuple(initial), lengths, batched, x_shape)

    def _forward(self, x, states, lengths, out, threads):
        """Checks, layouts and outputs around the layers: y in the caller's layout, and the final states."""
        config, dtype = self._weights.config, self._dtype
        threads = check_size("threads", threads)
        inputs = self._prepare(x, states, lengths)
        y_shape = (*inputs.x_shape[:-1], config.output_size)
        if out is None:
            y = np.empty(y_shape, dtype)
        else:
            y = output_array(out, dtype, y_shape, (("x", x), *states.items()))
        return self._compute(inputs, y, threads)

    def _compute(self, inputs, y, threads=1, tapes=None):
        """Run on checked inputs into y, in the caller's layout; y and the final states are returned.

        `tapes`, where given, is an array (L*D, T, N, tape_width * H) of zeros for what the engines keep of each step.
        """
        x, final, lengths, batched, _ = inputs
        T, N = x.shape[:2]
        if T and N:
            view = y if batched else y[:, None]
            view = view.swapaxes(0, 1) if batched and self.batch_first else view
            if min(threads, N) == 1:
                self._run(x, view, final, lengths, tapes)
            else:
                self._run_in_threads(x, view, final, lengths, tapes, threads)
        return y, final if batched else tuple(state[:, 0] for state in final)

    def _forward_with_tape(self, x, states, lengths, tape):
        """y, final states (the array, or the tuple where there are two) and, where asked for, the tape."""
        if not tape:
            y, final = self._forward(x, states, lengths, None, 1)
            return y, final[0] if len(final) == 1 else final
        inputs = self._prepare(x, states, lengths)
        y, final, tape = record(self, inputs)
        if not inputs.batched:
            y, final = y[:, 0], tuple(state[:, 0] for state in final)
        elif self.batch_first:
            y = y.swapaxes(0, 1)
        y = np.array(y, order="C")
        return y, final[0] if len(final) == 1 else final, tape

    def _start(self, shape):
        """A new h_0 (L*D, N, H): the one stored with the model for every row, or zeros."""
        h = np.zeros(shape, self.dtype)
        if self._weights.config.initial_state:
            h[:] = self._weights.tensors["h_0"][:, None]
        return h

    def _run_in_threads(self, x, y, states, lengths, tapes, threads):
        """`_run` with the batch rows split over threads."""
        jobs = [
            (
                x[:, r],
                y[:, r],
                [state[:, r] for state in states],
                None if lengths is None else lengths[r],
                None if tapes is None else tapes[:, :, r],
            )
            for r in row_groups(x.shape[1], lengths, threads)
        ]
        in_threads(self._run, jobs)

    def _run(self, x, y, states, lengths, tapes):
        """Run all layers on x (T, N, I) into y (T, N, output_size); `states` (L*D, N, H) go from h_0 to h_n."""
        config = self._weights.config
        H, directions = config.hidden_size, config.directions
        order = None if lengths is None else np.argsort(-lengths, kind="stable")
        last = len(self._cells) - directions
        for first in range(0, len(self._cells), directions):
            whole = first == last and config.merge_mode == "concat"
            target = y if whole else np.empty((*x.shape[:2], directions * H), x.dtype)
            # go_backwards leaves the steps in the order of computation: the same pass into a flipped view, and the next
            # layer, which goes backwards over that, forwards over the view, where rows of any length begin at 0
            backwards, turned = config.go_backwards and not first % 2, config.go_backwards and first % 2
            source = x[::-1] if turned else x
            steps = target[::-1] if backwards else target
            for d in range(directions):
                half = steps if directions == 1 else steps[:, :, d * H : (d + 1) * H]
                h, *c = (state[first + d] for state in states)
                backward = d == 1 or config.reverse or backwards
                tape = None if tapes is None else tapes[first + d, ::-1] if turned else tapes[first + d]
                self._cells[first + d].run(source, h, half, h, lengths, order, backward, tape, *c)
            x = target
        if config.merge_mode != "concat":
            _merge(x[:, :, :H], x[:, :, H:], config.merge_mode, y)


def _merge(forward, backward, mode, out):
    """Put the two directions' outputs together as one of `cgru.weights.MERGE_MODES`, other than concat."""
    if mode == "mul":
        np.multiply(forward, backward, out=out)
        return
    np.add(forward, backward, out=out)
    if mode == "ave":
        out *= 0.5


def _rebuild(cls, config, tensors, engine):
    """Unpickle; an engine that this machine lacks is replaced by the automatic choice."""
    if engine not in engines.ENGINES:
        engine = "auto"
    return cls._from_weights(Weights(config, tensors), engine)
