"""The machine's limits, measured: float32 FMA peak and read bandwidth by footprint."""

import ctypes
import mmap
from pathlib import Path
from statistics import median

import numpy as np

from bench.common import cbuild

SOURCE = Path(__file__).resolve().parent / "c" / "probe.c"
KIB = 1 << 10
LARGEST = 64 << 20
HUGE_PAGE = 2 << 20
FOOTPRINTS = [
    KIB * n
    for n in (
        *(4, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 128, 192, 256, 384, 512, 640, 768, 896, 1024),
        *(1280, 1536, 2048, 3072, 4096, 6144, 8192, 12288, 16384, 24576, 32768, 49152, 65536),
    )
]
STREAMS = (1, 4, 8)
READ_BYTES = 20 << 20  # by one attempt, or one pass if the footprint is larger


class Probe:
    """Measures the limits; every further call of :meth:`measure` keeps the better of old and new.

    The best of several is meant: the limit is what the machine can do, not what it did while something else
    ran. Each footprint is read as 1, 4 and 8 parallel streams, from ordinary and (on Linux) from huge pages.

    Attributes
    ----------
    peak : float
        GFLOP/s of one core.
    bandwidth : dict of int to float
        GB/s by footprint in bytes, the best of all attempts.
    typical : dict of int to float
        The same, the median of the attempts for the best number of streams and kind of page. A cache can have
        more than one pace (seen: 47 or 64 bytes a cycle from the same L2), and it chooses.
    """

    def __init__(self):
        self._library = library = cbuild.build(SOURCE, ["-O3", "-march=native"])
        library.probe_fma.restype = library.probe_read.restype = ctypes.c_double
        library.probe_fma.argtypes = [ctypes.c_int64]
        library.probe_read.argtypes = [ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64]
        library.probe_vector_bytes.restype = ctypes.c_int64
        self.vector_bits = 8 * library.probe_vector_bytes()
        self.peak = 0.0
        self.bandwidth = dict.fromkeys(FOOTPRINTS, 0.0)
        self.typical = dict.fromkeys(FOOTPRINTS, 0.0)

    def measure(self, repeats=8):
        """Measure everything once more; about two seconds."""
        for _ in range(4 * repeats):
            self.peak = max(self.peak, self._library.probe_fma(500_000))
        for huge in (False, True):
            buffer, address = _pages(huge)
            if buffer is None:
                continue
            for footprint in FOOTPRINTS:
                for streams in STREAMS:
                    speeds = self._read(address, footprint, streams, repeats)
                    self.bandwidth[footprint] = max(self.bandwidth[footprint], max(speeds))
                    self.typical[footprint] = max(self.typical[footprint], median(speeds))

    def _read(self, address, footprint, streams, repeats):
        """GB/s of several attempts, each at another place of the buffer as far as there is room."""
        passes = max(1, READ_BYTES // footprint)
        speeds = []
        for attempt in range(repeats):
            place = address + attempt * HUGE_PAGE % max(HUGE_PAGE, LARGEST - footprint)
            if place + footprint > address + LARGEST:
                place = address
            self._library.probe_read(place, footprint, streams, 1)
            speeds.append(self._library.probe_read(place, footprint, streams, passes))
        return speeds

    def bandwidth_at(self, footprint, typical=False):
        """GB/s at a footprint in bytes: log-log interpolation, the smallest measured one below that."""
        measured = self.typical if typical else self.bandwidth
        speeds = np.log(list(measured.values()))
        return float(np.exp(np.interp(np.log(footprint), np.log(list(measured)), speeds)))

    def limit(self, point):
        """Least time of one call in nanoseconds, and what sets it.

        max(flops / peak, weight bytes / bandwidth at that footprint):

        * flops = T * N * 2 * 3H * (I + H): the two products; gates and copies count as nothing.
        * a step (T = 1) reads both matrices once, 4 * 3H * (I + H) bytes, all of which is the footprint;
        * a sequence reads the recurrent matrix once a step (footprint 4 * 3H * H) and the input matrix once a
          sequence (footprint 4 * 3H * I).

        Returns
        -------
        dict
            ``ns``, ``flops_ns``, ``bytes_ns``, ``bound`` ("flops" or "bytes"), ``flops``, ``bytes``; and
            ``bytes_typical_ns`` by the typical bandwidth, which sets no limit but explains a ratio.
        """
        recurrent, inputs = 12 * point.H * point.H, 12 * point.H * point.I
        reads = [(1, recurrent + inputs)] if point.T == 1 else [(point.T, recurrent), (1, inputs)]

        def time_of_reads(typical):
            return sum(times * size / self.bandwidth_at(size, typical) for times, size in reads)

        flops_ns, bytes_ns = point.flops / self.peak, time_of_reads(typical=False)
        return {
            "ns": max(flops_ns, bytes_ns),
            "flops_ns": flops_ns,
            "bytes_ns": bytes_ns,
            "bytes_typical_ns": time_of_reads(typical=True),
            "bound": "flops" if flops_ns >= bytes_ns else "bytes",
            "flops": point.flops,
            "bytes": sum(times * size for times, size in reads),
        }

    def as_dict(self):
        """What goes into the results file."""
        return {
            "fma_gflops": self.peak,
            "vector_bits": self.vector_bits,
            "read_gb_per_s": {str(size): speed for size, speed in self.bandwidth.items()},
            "read_typical_gb_per_s": {str(size): speed for size, speed in self.typical.items()},
            "compiled": self._library.command,
        }


def _pages(huge):
    """A buffer of LARGEST bytes, written to, and the address of its first 2 MB boundary."""
    buffer = mmap.mmap(-1, LARGEST + HUGE_PAGE)
    if huge:
        if not hasattr(mmap, "MADV_HUGEPAGE"):
            return None, 0
        try:
            buffer.madvise(mmap.MADV_HUGEPAGE)
        except OSError:
            return None, 0
    data = np.frombuffer(buffer, np.uint8)
    data[:] = 1
    return data, -(-data.ctypes.data // HUGE_PAGE) * HUGE_PAGE
