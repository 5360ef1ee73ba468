"""What a process has of memory, files and threads, and that it does not grow."""

import ctypes
import gc
import os
import sys
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import pytest

STATUS = Path("/proc/self/statm")
needs_proc = pytest.mark.skipif(not STATUS.exists(), reason="memory is read from /proc/self")


@dataclass(frozen=True)
class Usage:
    """What is in use.

    Attributes
    ----------
    resident : int
        Bytes of memory. An allocator keeps some of what was freed, so it moves by a few hundred kilobytes.
    heap : int
        Bytes that malloc has given and not got back, where the C library can say so, else 0.
    blocks : int
        That Python's own allocator, for what is small, has given and not got back.
    files, threads : int
        Open descriptors; threads of the process.
    """

    resident: int
    heap: int
    blocks: int
    files: int
    threads: int


#: By how much each may grow while nothing is kept. Resident: pages that an allocator touches late, seen up to 0.02 MB,
#: and a system may hand out 2 MB at a time.
#: Heap and blocks: what Python and NumPy keep to use again, such as freed lists and code that has become warm, seen up
#: to 2 kB and 140, after ten models as after a hundred thousand. So with all of them a third of a byte of malloc's,
#: kept with each model, is noticed, or an object with every hundredth.
BOUND = Usage(resident=1 << 22, heap=1 << 14, blocks=500, files=0, threads=0)


class _Mallinfo2(ctypes.Structure):
    """glibc's struct mallinfo2: bytes in use are `uordblks`, and `hblkhd` of those that are mapped one by one."""

    _fields_ = [(name, ctypes.c_size_t) for name in (
        "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
    )]  # fmt: skip


def _heap():
    mallinfo2 = getattr(ctypes.CDLL(None), "mallinfo2", None)  # glibc 2.33 and newer
    if mallinfo2 is None:
        return 0
    mallinfo2.restype = _Mallinfo2
    found = mallinfo2()
    return found.uordblks + found.hblkhd


def usage():
    """What is in use, once garbage is collected."""
    gc.collect()
    return Usage(
        int(STATUS.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"),
        _heap(),
        sys.getallocatedblocks(),
        len(os.listdir("/proc/self/fd")),
        len(os.listdir("/proc/self/task")),
    )


def assert_flat(middle, end, bound=BOUND):
    """Nothing has grown by more than its bound since the middle of the work."""
    grown = {
        field.name: after - before
        for field, before, after, most in zip(fields(Usage), astuple(middle), astuple(end), astuple(bound), strict=True)
        if after - before > most
    }
    assert not grown, f"grown: {grown}, from {middle} to {end}"


def halves(work, count):
    """Call ``work(begin, end)`` for a tenth of `count`, to fill every cache, and then for two halves, which are flat.

    Returns what the second half added, for a report.
    """
    first = max(1, count // 10)
    middle = first + (count - first) // 2
    work(0, first)
    work(first, middle)
    before = usage()
    work(middle, count)
    after = usage()
    assert_flat(before, after)
    return [b - a for a, b in zip(astuple(before), astuple(after), strict=True)]
