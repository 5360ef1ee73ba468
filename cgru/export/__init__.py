"""Models as C: one self-contained file, its header and its own test."""

from __future__ import annotations

import contextlib
import os
import re
from typing import Any

import numpy as np

from cgru import engines
from cgru.chain import Chain, as_chain
from cgru.export import text
from cgru.export.layers import LARGEST, layers_of
from cgru.export.sections import named
from cgru.files import whole_file
from cgru.weights import Weights

_STEPS = 7                                                  # of the test
_TOLERANCE = {"float32": 1e-5, "bfloat16": 1e-5, "int8": 5e-2}     # of the largest output, without fused multiply-adds
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def write_c(model: Any, path: str | os.PathLike[str], *, name: str | None = None) -> None:
    """Write a model as C: name.c, name.h and name_test.c; see `GRU.to_c`.

    Parameters
    ----------
    model : GRU, LSTM, RNN, Linear or Sequential
    path : path
        Of the .c file; the others are put beside it, and what is there is replaced. All are written or none.
    name : str, optional
        What functions and files of the test and the header are called; by default the name of the file.

    Raises
    ------
    ValueError
        A layer that runs backwards, alone or beside forwards; a float64 model; NaN or infinity in the weights; a path
        that does not end in .c; a name that is none in C, or that ends as the test of another model does.
    TypeError
        `model` is none of these; `name` is no string.
    OSError
        A file cannot be written.
    """
    path = os.fsdecode(path)
    stem, name = _names(path, name)
    chain = _chain_of(model)
    layers = layers_of(chain)
    x = np.random.default_rng(0).standard_normal((_STEPS, chain.input_size)).astype(np.float32)
    y = _outputs(model, x)
    if not np.isfinite(y).all():
        raise ValueError("the model gives NaN or infinity for ordinary inputs, which its test cannot hold")
    tolerance = max(_TOLERANCE[kind] for layer in chain.layers for kind in layer.weight_dtypes)
    tolerance *= max(float(np.abs(y).max()), 1e-3)
    summary = repr(model)
    made = {
        f"{stem}.c": text.code_text(summary, chain, layers),
        f"{name}.h": text.header_text(summary, chain, layers),
        f"{name}_test.c": text.test_text(summary, x, y, tolerance, _fused()),
    }
    with contextlib.ExitStack() as stack:
        for file, content in made.items():
            out = stack.enter_context(whole_file(os.path.join(os.path.dirname(path), file)))
            out.write(named(content, name).encode())


def _names(path: str, name: str | None) -> tuple[str, str]:
    """The stem of the .c file, and what everything in it is called."""
    stem, suffix = os.path.splitext(os.path.basename(path))
    if suffix != ".c":
        raise ValueError(f"path must end in .c; got {path!r}")
    if name is None:
        name = stem
    if not isinstance(name, str):
        raise TypeError(f"name must be a string; got {name!r}")
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"name must be a C identifier, letters, digits and _ after a letter; got {name!r}: "
            + ("give one, name=..." if name == stem else "take another")
        )
    if stem.endswith("_test"):
        raise ValueError(
            f"path must not end in _test.c, where the test of {stem.removesuffix('_test')}.c stands; got {path!r}"
        )
    return stem, name


def _chain_of(model: Any) -> Chain:
    """What a model computes; refuses what is no model, and what C cannot have."""
    network = getattr(model, "chain", None) or getattr(model, "weights", None)
    if not isinstance(network, Chain | Weights):
        raise TypeError(f"model must be a GRU, LSTM, RNN, Linear or Sequential; got {type(model).__name__}")
    chain = as_chain(network)
    for number, layer in enumerate(chain.layers):
        config = layer.config
        if not config.one_way:
            way = "bidirectional" if config.bidirectional else "reversed"
            where = f"layer {number}: " if len(chain.layers) > 1 else ""
            raise ValueError(
                f"{where}a {way} {config.cell.name} cannot be written as C, which goes step by step and does not "
                "know the steps to come: write a model of one direction, forwards"
            )
        numbers = [number for group in config.activations for one in group for number in one.numbers]
        if any(abs(number) > LARGEST for number in numbers):
            raise ValueError(f"an activation's parameter is beyond float32; got {max(numbers, key=abs):g}")
    if chain.dtype != np.float32:
        raise ValueError(f"C is written for float32; this is {chain.dtype}: use astype('float32') first")
    odd = [name for name, values in chain.tensors.items() if not np.isfinite(values).all()]
    if odd:
        raise ValueError(f"NaN or infinity in {', '.join(odd)}, for which C has no constant")
    return chain


def _outputs(model, x):
    """(T, O), every step's y, as the engine packed computes it."""
    packed = model if getattr(model, "engine", None) == "packed" else model.replace(engine="packed")
    return packed.stream().run(x) if hasattr(packed, "stream") else packed(x)


def _fused():
    """Whether the engine packed has the fused multiply-add here: else the test expects what is near to it."""
    return engines.load("packed").FUSED
