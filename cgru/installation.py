"""What this installation of cgru is made of and runs on, and whether it computes what it should."""

import collections
import os
import platform
from typing import Any

import numpy as np

from cgru import engines, fixed_run
from cgru._version import __version__


def get_include() -> str:
    """The folder of the header cgru.h, with which C, C++ and Cython step models without the GIL.

    Cython finds what ``cimport cgru`` names without it, and wants it for the C compiler.

    Returns
    -------
    str
        For the `include_dirs` of an extension, or a compiler's -I.

    Examples
    --------
    >>> import cgru, os
    >>> os.path.isfile(os.path.join(cgru.get_include(), "cgru.h"))
    True
    """
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), "include")


def show_config(mode: str = "stdout") -> dict[str, Any] | None:
    """Print, or return, the version, the instruction sets built and chosen, the engines, BLAS and the processor.

    Without SciPy it says so in the place of what needs it.

    Parameters
    ----------
    mode : {"stdout", "dicts"}, default "stdout"
        Print it, or return it as a dictionary.

    Raises
    ------
    ValueError
        Another mode.

    Examples
    --------
    >>> import cgru
    >>> cgru.show_config(mode="dicts")["engines"]["float64"]
    'blas'
    """
    _check(mode)
    config = {
        "cgru": __version__,
        "isa": {
            "built": list(engines.isas_built()),
            "usable": list(engines.isas_usable()),
            "chosen": engines.isa(),
            "CGRU_ISA": os.environ.get("CGRU_ISA", "not set"),
        },
        "engines": {dtype: _engine(np.dtype(dtype)) for dtype in ("float32", "float64")},
        "blas": _blas(),
        "cpu": _cpu(),
        "python": platform.python_version(),
    }
    if mode == "dicts":
        return config
    for name, value in config.items():
        if isinstance(value, dict):
            print(f"{name}:")
            for key, item in value.items():
                print(f"  {key + ':':<11}{', '.join(item) if isinstance(item, list) else item}")
        else:
            print(f"{name}: {value}")
    return None


def self_test(mode: str = "stdout") -> bool | dict[str, Any]:
    """Compute a small fixed run of every cell and of a network here, and compare the results with the published ones.

    Engine "packed" gives the same bits on every processor with fused multiply-adds: the SHA-256 of its outputs must be
    the one in `cgru/fixed_run/hashes.md`. Every instruction set that this machine can run is tried with every type of
    weights that it has modules for, in one call, with two threads and step by step. One without fused multiply-adds has
    other bits, and must come within 2e-6 of outputs that are stored, with int8 weights within 2e-2. SciPy is not
    needed, and nothing is written. ``cgru self-test`` does the same.

    Parameters
    ----------
    mode : {"stdout", "dicts"}, default "stdout"
        Print what was found, or return it as a dictionary.

    Returns
    -------
    bool or dict
        Whether everything is as it should be; with "dicts" that is the item "passed", and "rows" has for each cell and
        instruction set what was expected and found.

    Raises
    ------
    ValueError
        Another mode; CGRU_ISA names an instruction set that this machine cannot run.

    Examples
    --------
    >>> import cgru
    >>> cgru.self_test(mode="dicts")["passed"]
    True
    """
    _check(mode)
    chosen = engines.isa()
    rows = [outcome for isa in engines.isas_usable() for outcome in fixed_run.outcomes(isa)]
    passed = all(row.passed for row in rows)
    config = {
        "cgru": __version__,
        "cpu": _cpu(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "engine": fixed_run.ENGINE,
        "isa": {"usable": list(engines.isas_usable()), "chosen": chosen},
    }
    if mode == "dicts":
        return {**config, "rows": [_as_dict(row) for row in rows], "passed": passed}
    isas = ", ".join(isa + " (chosen)" * (isa == chosen) for isa in engines.isas_usable())
    print(f"cgru {__version__}, Python {config['python']}, NumPy {np.__version__}")
    print(f"processor: {config['cpu']}")
    print(f"engine: {fixed_run.ENGINE}; instruction sets: {isas}\n")
    for row in rows:
        print(_line(row))
    for row in rows:
        if not row.passed:
            print(f"\n{_complaint(row)}")
    print(f"\n{_verdict(rows)}")
    return passed


def _as_dict(row):
    names = "isa", "fused", "expected", "found", "difference", "forms", "passed"
    return {"cell": row.case.cell, "weights": row.case.weights, **{name: getattr(row, name) for name in names}}


def _line(row):
    if not row.passed:
        found = "WRONG"
    elif row.fused:
        found = "as published"
    else:
        found = f"within {row.difference:.1e}: no fused multiply-adds"
    return f"{row.isa:<17}{row.case.cell:<18}{row.case.weights:<10}{row.found[:16]}  {found}"


def _complaint(row):
    """Everything that there is to report of a row that is wrong."""
    lines = [f"WRONG: {row.case.name}, engine {fixed_run.ENGINE}, {row.isa}"]
    lines += [f"  hash expected: {row.expected}"] if row.fused else []
    lines.append(f"  hash found:    {row.found}")
    allowed = f"allowed: {fixed_run.TOLERANCES[row.case.weights]:g}"
    lines.append(f"  largest difference from the stored outputs: {row.difference:.3g}, {allowed}")
    lines += [f"  {form}: {'the same' if same else 'OTHER'} bits as in one call" for form, same in row.forms.items()]
    return "\n".join(lines)


def _verdict(rows):
    wrong = sum(not row.passed for row in rows)
    if wrong:
        return (
            f"FAILED: {wrong} of {len(rows)} rows are wrong. This cgru does not compute what it should here: please "
            "report all of the above"
        )
    fused = [row for row in rows if row.fused]
    words = [f"{len(fused)} hashes as published"] if fused else []
    plain = collections.Counter(fixed_run.TOLERANCES[row.case.weights] for row in rows if not row.fused)
    if plain:
        parts = [f"{count} rows within {tolerance:g}" for tolerance, count in sorted(plain.items())]
        words.append(f"{' and '.join(parts)}, without fused multiply-adds")
    return f"passed: {'; '.join(words)}; the same bits in every form of call"


def _check(mode):
    if mode not in ("stdout", "dicts"):
        raise ValueError(f"mode must be 'stdout' or 'dicts'; got {mode!r}")


def _engine(dtype):
    """What "auto" takes, or why there is none."""
    engine = engines.choose("auto", dtype)
    return engine if engines.loads(engine) else f"none, engine {engine!r} needs SciPy"


def _blas():
    """SciPy's BLAS, the one behind engine "blas"."""
    try:
        engines.load("blas")
    except engines.NoScipy as error:
        return {"name": "none", "scipy": str(error), "numpy": np.__version__}
    import scipy

    found = scipy.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return {
        "name": f"{found.get('name', 'unknown')} {found.get('version', '')}".strip(),
        "scipy": scipy.__version__,
        "numpy": np.__version__,
    }


def _cpu():
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return f"{names[0] if names else platform.processor() or platform.machine()}, {os.cpu_count()} logical cores"
