"""Engines: the compiled time loops, one build per instruction set, chosen once.

An engine module offers ``Layer(w_ih, w_hh, b_ih, b_hh, reset_after=...)`` with
``run(x, h_0, y, h_n, lengths, order, reverse, tape, c)``. It knows pointers and sizes; users, layers and checks are the
business of `cgru.recurrent`.
"""

import importlib
import importlib.util
import os

import numpy as np

from cgru.engines._cpu import x86_level

ENGINES = ("blas", "packed")

_LEVELS = {"x86-64-v2": 2, "x86-64-v3": 3, "x86-64-v4": 4}


def _module_name(engine, isa):
    return f"cgru.engines._{engine}_{isa.replace('-', '_')}"


def isas_built():
    """The instruction sets that this installation has modules for, best first."""
    return tuple(
        isa
        for isa in (*sorted(_LEVELS, reverse=True), "baseline")
        if importlib.util.find_spec(_module_name(ENGINES[0], isa)) is not None
    )


def isas_usable():
    """The built instruction sets that this machine can run, best first."""
    level = x86_level()
    return tuple(isa for isa in isas_built() if _LEVELS.get(isa, 0) <= level)


def choose_isa():
    """The best usable instruction set, or the one that the environment variable CGRU_ISA asks for.

    Raises
    ------
    ValueError
        CGRU_ISA names no instruction set that is built here and that this machine can run.
    RuntimeError
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
        raise RuntimeError(
            f"cgru was built for {', '.join(isas_built()) or 'no instruction set'}, and this machine can run none "
            "of them; build it from source here"
        )
    return usable[0]


ISA = choose_isa()


def check_engine(engine):
    """Raise ValueError unless `engine` is "auto" or the name of an engine."""
    if engine not in ("auto", *ENGINES):
        names = ", ".join(repr(name) for name in ("auto", *ENGINES))
        raise ValueError(f"engine must be one of {names}; got {engine!r}")


def choose(engine, dtype, cell="gru"):
    """The engine that computes: "auto" is "packed" for a GRU in float32 on an FMA-class ISA, else "blas".

    Raises
    ------
    ValueError
        There is no such engine, or it does not compute in `dtype`, or not this cell.
    """
    check_engine(engine)
    if cell != "gru":
        if engine == "packed":
            raise ValueError(f"engine 'packed' computes GRUs only; for an {cell.upper()} take 'blas' or 'auto'")
        return "blas"
    if engine == "auto":
        return "packed" if dtype == np.float32 and load("packed").FUSED else "blas"
    if engine == "packed" and dtype != np.float32:
        raise ValueError(f"engine 'packed' computes in float32 only; for {dtype} take 'blas' or 'auto'")
    return engine


def load(engine):
    """The module of an engine for the chosen instruction set; imported when first needed."""
    return importlib.import_module(_module_name(engine, ISA))
