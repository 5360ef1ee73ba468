"""Runs the cases under callgrind and reads what it wrote."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ISA = "x86-64-v3"  # valgrind knows no AVX-512
SETTINGS = {"CGRU_ISA": ISA, "PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1", "OPENBLAS_CORETYPE": "Haswell"}
_COMPILER = re.compile(rb"GCC: \([^)]*\) [\d.]+|clang version [\d.]+")
_CYTHON = re.compile(rb"\b_cython_(\d+_\d+_\d+)")


class CannotCount(Exception):
    """What is missing here."""


def count():
    """Instructions that cgru's own compiled modules execute for each case: name -> number.

    Raises
    ------
    CannotCount
        There is no valgrind, or cgru has not the instruction set here.
    RuntimeError
        The cases failed; what they printed.
    """
    import cgru

    if shutil.which("valgrind") is None:
        raise CannotCount("there is no valgrind")
    if ISA not in cgru.engines.isas_usable():
        raise CannotCount(f"cgru has no {ISA} here")
    with tempfile.TemporaryDirectory() as folder:
        command = [
            "valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={folder}/out", "-q",
            sys.executable, str(Path(__file__).with_name("cases.py")),
        ]  # fmt: skip
        done = subprocess.run(command, env=os.environ | SETTINGS, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"the cases failed under valgrind:\n{(done.stdout + done.stderr)[-2000:]}")
        numbered = sorted(Path(folder).glob("out.*"), key=lambda path: int(path.suffix[1:]))
        texts = [path.read_text() for path in numbered]
    return dict(read(text) for text in texts if "Client Request" in text)


def read(text):
    """(name, instructions for each time) of one of callgrind's files: the costs of cgru's modules, without callees."""
    name, times = re.search(r"^desc: Trigger: Client Request: (.+)\|(\d+)$", text, re.MULTILINE).groups()
    objects, total, inside, called = {}, 0, False, False
    for line in text.splitlines():
        if match := re.match(r"(c?)ob=\((\d+)\)(?: (.*))?$", line):
            callee, number, path = match.groups()
            if path is not None:
                objects[number] = path
            if not callee:
                inside = "/cgru/" in objects[number]
        elif line.startswith("calls="):
            called = True  # the next line is what the called function cost
        elif match := re.match(r"[+\-*\d]\S* (\d+)$", line):
            total += int(match[1]) if inside and not called else 0
            called = False
    return name, total // int(times)


def made_by():
    """Which compiler and which Cython made the counted modules, as these say themselves."""
    import cgru

    found = set()
    for path in Path(cgru.__file__).parent.rglob(f"*{ISA.replace('-', '_')}.*"):
        text = path.read_bytes()
        found |= {match.decode() for match in _COMPILER.findall(text)}
        found |= {f"Cython {match.decode().replace('_', '.')}" for match in _CYTHON.findall(text)}
    return ", ".join(sorted(found)) or "an unknown compiler"
