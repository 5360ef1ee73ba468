"""Python programs in processes of their own, with the same cgru that the tests run on."""

import os
import subprocess
import sys
from pathlib import Path

import cgru

ROOT = Path(cgru.__file__).parent.parent


def run_python(program, *arguments, environment=None, check=True):
    """Run a program text; the CompletedProcess, with what it printed. `environment` is added to this process's.

    -P keeps the current folder, which may hold the source tree, from being imported.
    """
    variables = os.environ | {"PYTHONPATH": str(ROOT)} | (environment or {})
    return subprocess.run(
        [sys.executable, "-P", "-c", program, *map(str, arguments)],
        env=variables, capture_output=True, text=True, check=check, timeout=120,
    )  # fmt: skip
