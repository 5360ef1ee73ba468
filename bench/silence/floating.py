"""The mode of the calling thread in which the processor takes subnormal numbers for zero, without PyTorch."""

import contextlib
import ctypes
import platform
import sys

AVAILABLE = sys.platform == "linux" and platform.machine() == "x86_64"
FLUSH = 0x8040  # of the MXCSR: results become zero, and so do operands


def set_flush(on):
    """Switch both on or off in this thread; RuntimeError where it is not known how (other than Linux on x86-64)."""
    if not AVAILABLE:
        raise RuntimeError("set_flush knows Linux on x86-64 alone")
    libm, environment = ctypes.CDLL(None), (ctypes.c_uint32 * 8)()
    libm.fegetenv(environment)
    environment[7] = environment[7] | FLUSH if on else environment[7] & ~FLUSH
    libm.fesetenv(environment)


@contextlib.contextmanager
def flushed():
    """Inside, this thread has it on; afterwards off."""
    set_flush(True)
    try:
        yield
    finally:
        set_flush(False)
