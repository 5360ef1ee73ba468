"""Models as C: one self-contained file, its header and its own test."""

from __future__ import annotations

import contextlib
import os
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from cgru import engines
from cgru.chain import as_chain, network_of
from cgru.export import text
from cgru.export.layers import layers_of
from cgru.export.sections import named
from cgru.files import whole_file

if TYPE_CHECKING:
    from cgru.chain import Chain

_STEPS = 7                                                  # of the test
_TOLERANCE = {"float32": 2e-6, "bfloat16": 2e-6, "int8": 2e-2}     # where no multiply-add is fused
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
        that does not end in .c; a name that is none in C.
    TypeError
        `name` is no string.
    OSError
        A file cannot be written.
    """
    path = os.fspath(path)
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
    if stem == f"{name}_test":
        raise ValueError(f"path must not be that of the test, {name}_test.c; got {path!r}")
    chain = as_chain(network_of(model))
    _check(chain)
    layers = layers_of(chain)
    x = np.random.default_rng(0).standard_normal((_STEPS, chain.input_size)).astype(np.float32)
    tolerance = max(_TOLERANCE[kind] for layer in chain.layers for kind in layer.weight_dtypes)
    summary = repr(model)
    made = {
        f"{name}.h": text.header_text(summary, chain, layers),
        f"{name}_test.c": text.test_text(summary, x, _outputs(model, x), tolerance, _fused()),
        f"{stem}.c": text.code_text(summary, chain, layers),
    }
    with contextlib.ExitStack() as stack:
        for file, content in made.items():
            out = stack.enter_context(whole_file(os.path.join(os.path.dirname(path), file)))
            out.write(named(content, name).encode())


def _check(chain: Chain) -> None:
    try:
        chain.check_one_way()
    except ValueError as error:
        raise ValueError(f"cannot be written as C, which goes step by step: {error}") from None
    if chain.dtype != np.float32:
        raise ValueError(f"C is written for float32; this is {chain.dtype}: use astype('float32') first")
    odd = [name for name, values in chain.tensors.items() if not np.isfinite(values).all()]
    if odd:
        raise ValueError(f"NaN or infinity in {', '.join(odd)}, for which C has no constant")


def _packed(model):
    return model if getattr(model, "engine", None) == "packed" else model.replace(engine="packed")


def _outputs(model, x):
    """(T, O), every step's y, as the engine packed computes it."""
    packed = _packed(model)
    return packed.stream().run(x) if hasattr(packed, "stream") else packed(x)


def _fused():
    """Whether the engine packed has the fused multiply-add here: else the test expects what is near to it."""
    return engines.load("packed").FUSED
