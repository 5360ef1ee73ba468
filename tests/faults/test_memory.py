"""Too little memory: one line, status 2, and no file."""

import sys

import numpy as np
import pytest

import cgru
from faults.outputs import content
from faults.processes import Command

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/statm, and limits")

#: Everything is imported, and 100 MB more may be had.
LIMITED = """
import resource
import cgru.__main__, cgru.study.check, cgru.commands.run, cgru.commands.trace, cgru.commands.check
import cgru.commands.quantize, cgru.convert
with open("/proc/self/statm") as file:
    most = int(file.read().split()[0]) * resource.getpagesize() + 100_000_000
resource.setrlimit(resource.RLIMIT_AS, (most, most))
reached()
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Models, and a file of 400 MB that takes no room on the disk."""
    folder = tmp_path_factory.mktemp("large")
    cgru.GRU(64, 16, bidirectional=True, rng=1).save(folder / "both.safetensors")
    cgru.GRU(64, 16, rng=1).save(folder / "m.safetensors")
    with open(folder / "x.npy", "wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (1_600_000, 64)}
        np.lib.format.write_array_header_1_0(file, header)
        file.truncate(file.tell() + 4 * 64 * 1_600_000)
    np.save(folder / "y.npy", np.zeros((3, 16), np.float32))
    return folder


@pytest.mark.parametrize("arguments", [
    "run IN/both.safetensors IN/x.npy -o OUT.npy",
    "check IN/m.safetensors IN/x.npy IN/y.npy --save OUT.safetensors",
    "quantize IN/m.safetensors OUT.safetensors --weights int8 --data IN/x.npy",
])  # fmt: skip
def test_too_little_memory(arguments, large, tmp_path):
    with Command(LIMITED, *arguments.replace("IN", str(large)).replace("OUT", f"{tmp_path}/out").split()) as command:
        command.wait()
        status, out, err = command.end()
    *notes, last = err.splitlines()
    assert status == 2 and not out
    assert last.startswith("cgru: error: not enough memory")
    assert not any("Traceback" in line for line in notes) and len(notes) <= 1
    assert not content(tmp_path)
