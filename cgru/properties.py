"""What a model says about itself: sizes, options, the type of its weights, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cgru.activations import plain, shown
from cgru.config import Config
from cgru.summary import summary_lines, text_of

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    import numpy as np

    from cgru.activations import Activation
    from cgru.weights import Weights


class Constant:
    """Base of what never changes: models and networks."""

    __slots__ = ()

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable; build another one instead of setting {name}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable; {name} stays")


def common_type(names: Iterable[str]) -> str:
    """The one name among these, or "mixed"."""
    found = set(names)
    return found.pop() if len(found) == 1 else "mixed"


class Exported(Constant):
    """Base of what can be written as C."""

    __slots__ = ()

    def to_c(self, path: str | os.PathLike[str], *, name: str | None = None) -> None:
        """Write it as C: one self-contained file, its header, and its own test.

        The code needs no library and allocates nothing; with fused multiply-adds it computes the bits of the engine
        packed, without them numbers within 2e-6 for outputs of order 1 (float32 and bfloat16 weights). It goes step by
        step, so every step has its y, whatever a network's `last` says. The header says how to compile and to call it.

        Parameters
        ----------
        path : str or path-like
            ``amp.c``; ``amp.h`` and ``amp_test.c`` are put beside it, and replace what has these names. Written
            atomically.
        name : str, optional
            What the functions begin with, and the other two files: by default the name of the file, here ``amp``.

        Raises
        ------
        ValueError
            A layer that is bidirectional or reversed; a float64 model; NaN or infinity in the weights; a path that
            does not end in .c, or ends in _test.c; a name that is none in C.
        TypeError
            `name` is no string.
        OSError
            A file cannot be written.
        """
        from cgru.export import write_c

        write_c(self, path, name=name)


class Properties(Exported):
    """Base of `Model`: everything that can be asked of it and follows from its weights."""

    __slots__ = ()

    config: Config
    weights: Weights
    dtype: np.dtype
    engine: str

    @property
    def input_size(self) -> int:
        """Features of x."""
        return self.config.input_size

    @property
    def weight_dtype(self) -> str:
        """The type of its matrices: "float32", "float64", "bfloat16", "int8", or "mixed" where layers differ."""
        return common_type(self.weight_dtypes)

    @property
    def weight_dtypes(self) -> tuple[str, ...]:
        """The type of each layer's matrices."""
        return self.weights.weight_dtypes

    @property
    def num_parameters(self) -> int:
        """How many numbers the model has learnt, biases and a stored initial state included."""
        return sum(value.size for value in self.weights.stored.values())

    @property
    def nbytes(self) -> int:
        """Bytes of the parameters, and of quantised ones' scales; an engine may keep a packed copy beside them."""
        return sum(value.nbytes for value in self.weights.stored.values())

    def summary(self) -> str:
        """Sizes, parameters, the cost of a step and conventions, in lines: what ``cgru info`` prints."""
        return text_of(summary_lines(self))

    def __repr__(self) -> str:
        config, fields = self.config, Config.__dataclass_fields__
        words = [f"{config.input_size}, {config.hidden_size}"]
        words += [
            f"{name}={getattr(config, name)!r}"
            for name in fields
            if name not in ("input_size", "hidden_size", "kind", "activations")
            and getattr(config, name) != fields[name].default
        ]
        if not config.recurrent:
            words += [f"activation={shown(config.activations)!r}"] if shown(config.activations) != "linear" else []
        elif "activations" in config.cell.options and set(config.activations) != {plain(config.cell.functions)}:
            words.append(f"activations={shown(config.activations)!r}")
        if "nonlinearity" in config.cell.options:
            words.append(f"nonlinearity={config.nonlinearity!r}")
        words += [f"dtype={self.dtype}", f"engine={self.engine!r}"]
        if self.weight_dtype != str(self.dtype):
            words.append(f"weight_dtype={self.weight_dtype!r}")
        return f"{type(self).__name__}({', '.join(words)})"


class RecurrentProperties(Properties):
    """Base of `Recurrent`: what only recurrent models have."""

    __slots__ = ()

    @property
    def hidden_size(self) -> int:
        """Hidden units H per direction."""
        return self.config.hidden_size

    @property
    def num_layers(self) -> int:
        """Stacked layers."""
        return self.config.num_layers

    @property
    def bias(self) -> bool:
        """Whether there are bias parameters."""
        return self.config.bias

    @property
    def batch_first(self) -> bool:
        """Whether x is (N, T, I)."""
        return self.config.batch_first

    @property
    def bidirectional(self) -> bool:
        """Whether there are two directions."""
        return self.config.bidirectional

    @property
    def activations(self) -> tuple[tuple[Activation, ...], ...]:
        """For each direction an `Activation` for each function: (f, g), of an LSTM (f, g, h), of an RNN (g,)."""
        return self.config.activations

    @property
    def clip(self) -> float | None:
        """What the activations' arguments are clamped to, or None."""
        return self.config.clip

    @property
    def reverse(self) -> bool:
        """Whether the only direction runs from the end to the start, with y in order."""
        return self.config.reverse

    @property
    def go_backwards(self) -> bool:
        """Whether it does, each layer's output left in reversed order."""
        return self.config.go_backwards

    @property
    def merge_mode(self) -> str:
        """How y is made of the two directions: "concat", "sum", "mul" or "ave"."""
        return self.config.merge_mode
