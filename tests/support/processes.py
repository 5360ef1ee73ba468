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


def start_cgru(*arguments, **options):
    """Start ``python -m cgru`` with the package that is under test; a Popen with pipes of text."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "cgru", *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, **options,
    )  # fmt: skip


def run_cgru(*arguments, **options):
    """Run ``python -m cgru`` to its end; the CompletedProcess, whatever its status."""
    with start_cgru(*arguments, **options) as process:
        output, errors = process.communicate(timeout=120)
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)
