"""A clean environment for the measurement, and what is recorded of the machine.

Standard library only at the top: `ensure_clean` runs before NumPy is loaded.
"""

import contextlib
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

_MARK = "CGRU_BENCH_CLEAN"
_CPUS = "CGRU_BENCH_CPUS"  # those that the process had before it was bound to one
# An OpenBLAS told to use another core's kernels or cache size slows NumPy, SciPy and cgru's engine `blas`.
_CLEARED = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "OPENBLAS_VERBOSE", "GOTO_NUM_THREADS", "CGRU_ISA")

# What PyTorch, its oneDNN and its FBGEMM call the instruction sets that cgru may be forced to.
_FORCED = {
    "x86-64-v4": ("avx512", "AVX512_CORE", "AVX512"),
    "x86-64-v3-vnni": ("avx2", "AVX2_VNNI", "AVX2"),
    "x86-64-v3": ("avx2", "AVX2", "AVX2"),
}


def forced(isa):
    """Variables that hold cgru, and peers that know the name, to an instruction set; none of them for None."""
    names = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "FBGEMM_ENABLE_INSTRUCTIONS")
    return ({"CGRU_ISA": isa} if isa else {}) | dict(zip(names, _FORCED.get(isa, ()), strict=False))


def settings(threads):
    """Variables that must be set before the libraries load, for this many threads."""
    eigen = "true" if threads > 1 else "false"
    names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
    return {
        **dict.fromkeys(names, str(threads)),
        "JAX_PLATFORMS": "cpu",
        "PYTHONHASHSEED": "0",
        "XLA_FLAGS": f"--xla_cpu_multi_thread_eigen={eigen}",
    }


def ensure_clean(threads, *, bound=False, isa=None):
    """Start this interpreter over with the clean environment, unless it already runs in it.

    `isa`: the instruction set that cgru is forced to; peers that can be told are told the same (`_FORCED`).

    `bound`: to one CPU as well, where there is one thread. It is for comparisons with peers, since JAX takes a second
    CPU for large products, whatever it is told; not for a run that starts workers.
    """
    mark = f"{threads} {isa or ''}".strip()
    if os.environ.get(_MARK) == mark:
        return
    environment = {name: value for name, value in os.environ.items() if name not in _CLEARED}
    environment |= settings(threads) | forced(isa) | {_MARK: mark}
    command = [sys.executable, *sys.orig_argv[1:]]
    if bound and threads == 1 and hasattr(os, "sched_setaffinity"):
        cpus = os.sched_getaffinity(0)
        environment[_CPUS] = ",".join(map(str, sorted(cpus)))
        os.sched_setaffinity(0, {max(cpus)})
    if os.name == "posix":
        sys.stdout.flush()
        os.execve(sys.executable, command, environment)
    sys.exit(subprocess.run(command, env=environment, check=False).returncode)


@contextlib.contextmanager
def all_cpus():
    """Inside, this thread and those that it starts may use every CPU that the process had at first."""
    if _CPUS not in os.environ:
        yield
        return
    bound = os.sched_getaffinity(0)
    os.sched_setaffinity(0, set(map(int, os.environ[_CPUS].split(","))))
    try:
        yield
    finally:
        os.sched_setaffinity(0, bound)


def describe(threads):
    """Machine and settings, for the results file."""
    from cgru.judge import machine  # loads NumPy

    return {
        "cpu": machine.cpu(),
        "cores": os.cpu_count(),
        "caches": machine.caches(),
        "system": machine.system(),
        "python": platform.python_version(),
        "threads": threads,
        "settings": settings(threads),
        "cleared": list(_CLEARED),
        "load_average_before": load_average(),
        "commit": commit(),
    }


def commit():
    """The commit of the clone, "+" behind it where the package or the benchmark has changed since; None without git.

    What is measured is the cgru that is installed: install it from the clone before a record.
    """
    root = Path(__file__).parents[2]
    kept = ":(glob,exclude)bench/*/results/**", ":(exclude)bench/releases"
    paths = ("cgru", "bench", "setup.py", "pyproject.toml", *kept)
    try:
        name, changed = (
            subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=True).stdout.strip()
            for words in (["rev-parse", "--short=7", "HEAD"], ["status", "--porcelain", "--", *paths])
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return name + "+" * bool(changed)


def load_average():
    """One-minute load average, or None where the system has none."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def cores():
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory(key):
    """A line of this process's memory in bytes, "VmRSS" or "VmHWM"; None where the system does not tell.

    Not `ru_maxrss`: it takes over the peak of the process that started this one.
    """
    path = Path("/proc/self/status")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{key}:")), None)


def cpu():
    """The CPU model, as the results files name it."""
    from cgru.judge import machine  # loads NumPy

    return machine.cpu()


def folder_name(model):
    """The CPU model as the name of a folder: ``AMD EPYC (family 26, model 2)`` -> ``amd-epyc-family-26-model-2``."""
    model = re.sub(r"\((r|tm)\)|@\s*[\d.]+\s*GHz|\bCPU\b", " ", model, flags=re.IGNORECASE)
    return re.sub(r"[^a-z0-9]+", "-", model.lower()).strip("-") or "unknown"
