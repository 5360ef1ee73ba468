"""The machine and the software that times are of, for their record."""

from __future__ import annotations

import datetime
import os
import platform
import re
from importlib import metadata
from pathlib import Path
from typing import Any

from cgru._version import __version__

#: By what they are called; those that are not installed are None.
_PACKAGES = {"NumPy": "numpy", "ONNX Runtime": "onnxruntime", "onnx": "onnx"}


def describe() -> dict[str, Any]:
    """The processor, its caches, the system, the time, and versions."""
    return {
        "cpu": cpu(),
        "cores": os.cpu_count(),
        "caches": caches(),
        "system": system(),
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "versions": {"cgru": __version__, **{name: _version(package) for name, package in _PACKAGES.items()}},
    }


def cpu() -> str:
    """The CPU model, with family and model number where the system tells."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()

    def first(key):
        found = re.search(rf"^{key}\s*:\s*(.*)$", text, re.MULTILINE)
        return found.group(1) if found else "?"

    if "model name" not in text:
        return platform.machine()
    return f"{first('model name')} (family {first('cpu family')}, model {first('model')})"


def caches() -> dict[str, str]:
    """Level -> size of the caches that data go through, where the system tells."""
    found = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            level, kind, size = ((index / name).read_text().strip() for name in ("level", "type", "size"))
        except OSError:
            continue
        if kind != "Instruction":
            found[f"L{level}"] = size
    return found


def system() -> str:
    """System, machine and C library."""
    return " ".join((platform.system(), platform.machine(), *platform.libc_ver())).strip()


def _version(package):
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
