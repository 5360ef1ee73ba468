"""What this installation of cgru is made of and runs on."""

import os
import platform
from typing import Any

import numpy as np

from cgru import engines
from cgru._version import __version__


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
