"""Engines: the compiled time loops, one build for each instruction set.

An engine is a module with a class `Direction` (`protocols`): the weights of one direction of a layer, and the loop over
its time steps. Engines know pointers and sizes. Layers, threads and checks of arguments are the business of
`cgru.forward`.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import importlib
import importlib.util
import os
from typing import TYPE_CHECKING, Any, Literal, cast, overload

import numpy as np

from cgru.activations import code
from cgru.engines.isas import ISAS, Isa, module_row
from cgru.engines.missing import NoEngine, NoScipy, no_scipy

try:
    from cgru.engines._cpu import features
except ModuleNotFoundError as error:
    if error.name != "cgru.engines._cpu":
        raise
    folder = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    raise ImportError(
        f"the cgru in {folder} is source without modules compiled for this Python: run Python from another folder to "
        "import the installed cgru, or compile it in place with `python setup.py build_ext --inplace`"
    ) from None

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cgru.engines.protocols import Backward, Engine
    from cgru.weights import Config

ENGINES = ("blas", "packed")


def options(config: Config, reverse: bool) -> dict[str, Any]:
    """The keyword arguments of an engine's `Direction` and of its `Adjoint`, for one direction of a model."""
    functions = map(code, config.activations[-1 if reverse else 0])
    return {
        "kind": config.cell.code,
        "reset_after": config.reset_after,
        **dict(zip(config.cell.functions, functions, strict=True)),
        "clip": config.clip or 0.0,
    }


# ---- instruction sets


def isas_built() -> tuple[str, ...]:
    """The instruction sets that this installation has modules for, best first."""
    return tuple(isa.name for isa in ISAS if importlib.util.find_spec(isa.module("packed")) is not None)


def isas_usable() -> tuple[str, ...]:
    """The built instruction sets that this machine can run, best first."""
    built, here = isas_built(), features()
    return tuple(isa.name for isa in ISAS if isa.name in built and isa.needs <= here)


def choose_isa() -> str:
    """The best usable instruction set, or the one that the environment variable CGRU_ISA asks for.

    Raises
    ------
    ValueError
        CGRU_ISA names no instruction set that is built here and that this machine can run.
    NoEngine
        This machine can run none of the modules in this installation.
    """
    usable = isas_usable()
    forced = os.environ.get("CGRU_ISA")
    if forced:
        if forced not in usable:
            raise ValueError(
                f"CGRU_ISA={forced!r}: this machine and this build of cgru offer {', '.join(usable) or 'none'}; "
                "unset CGRU_ISA to take the best"
            )
        return forced
    if not usable:
        raise NoEngine(
            f"cgru was built for {', '.join(isas_built()) or 'no instruction set'}, and this machine can run none "
            "of them; build it from source here (of x86-64, nothing runs without SSE4.2)"
        )
    return usable[0]


# Chosen when it is first asked for: a bad CGRU_ISA is then an error of a call, not of ``import cgru``, and the command
# line can say it in one line.
_default_isa = functools.cache(choose_isa)
_isa: contextvars.ContextVar[str] = contextvars.ContextVar("cgru_isa")


def isa() -> str:
    """The instruction set that models built now will run on.

    Raises
    ------
    ValueError, NoEngine
        As from `choose_isa`, where nothing was chosen with `using`.
    """
    return _isa.get(None) or _default_isa()


@contextlib.contextmanager
def using(isa: str) -> Iterator[None]:
    """Models built, and gradients computed, inside a ``with`` of this run on another instruction set.

    A model keeps the one that it was built with. Threads started inside do not inherit it, but in a Python without a
    GIL from 3.14 on (`sys.flags.thread_inherit_context`).

    Raises
    ------
    ValueError
        It is not built here, or this machine cannot run it.
    """
    usable = isas_usable()
    if isa not in usable:
        raise ValueError(f"this machine and this build of cgru offer {', '.join(usable) or 'none'}; got {isa!r}")
    token = _isa.set(isa)
    try:
        yield
    finally:
        _isa.reset(token)


# ---- engines


def check_engine(engine: object) -> None:
    """Raise ValueError unless `engine` is "auto" or the name of an engine."""
    if engine not in ("auto", *ENGINES):
        names = ", ".join(repr(name) for name in ("auto", *ENGINES))
        raise ValueError(f"engine must be one of {names}; got {engine!r}")


def choose(engine: str, dtype: Any, *, quantized: bool = False) -> str:
    """The engine that computes: "auto" is "packed" for float32 on an FMA-class ISA, else "blas".

    Parameters
    ----------
    engine : {"auto", "packed", "blas"}
    dtype : dtype
        float32 or float64, of the parameters.
    quantized : bool
        Whether there are weights in 16 or 8 bits, which only "packed" computes.

    Raises
    ------
    ValueError
        There is no such engine, or it does not compute in `dtype`.
    """
    check_engine(engine)
    if quantized:
        if engine == "blas":
            raise ValueError("engine 'blas' computes no quantised weights: take 'packed', or dequantize() the model")
        return "packed"
    if engine == "auto":
        return "packed" if dtype == np.float32 and load("packed").FUSED else "blas"
    if engine == "packed" and dtype != np.float32:
        raise ValueError(f"engine 'packed' computes in float32 only; for {dtype} take 'blas' or 'auto'")
    return engine


def row_of(name: str, weight_dtype: str = "float32") -> Isa:
    """The row of the table whose module `load` gives for these weights."""
    return module_row(isa(), name, weight_dtype)


@overload
def load(name: Literal["backward"]) -> Backward: ...  # type: ignore[overload-overlap]
@overload
def load(name: str, weight_dtype: str = ...) -> Engine: ...
def load(name: str, weight_dtype: str = "float32") -> Engine | Backward:
    """The module of an engine, or "backward", for the instruction set in force; imported when first needed.

    For int8 weights an instruction set may have a module of its own.

    Raises
    ------
    NoScipy
        It calls SciPy's BLAS, which is not there: all but "packed" do.
    """
    row = row_of(name, weight_dtype)
    try:
        if name != "packed":
            importlib.import_module("scipy.linalg.cython_blas")
        return cast("Engine | Backward", importlib.import_module(row.module(name)))
    except Exception as error:
        if name == "packed" or str(getattr(error, "name", "")).startswith("cgru."):
            raise
        raise no_scipy(name, error, row.name, load("packed").FUSED) from error


def loads(name: str) -> bool:
    """Whether `load` gives this module: False where it needs SciPy, and that is missing or cannot be used."""
    try:
        load(name)
    except NoScipy:
        return False
    return True
