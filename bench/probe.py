"""The machine's limits, measured: float32 FMA peak and read bandwidth by footprint."""

import ctypes
import mmap
import tempfile

import numpy as np

import cbuild

KIB = 1 << 10
LARGEST = 64 << 20
HUGE_PAGE = 2 << 20
FOOTPRINTS = [
    KIB * n
    for n in (
        4,
        8,
        16,
        24,
        32,
        40,
        48,
        56,
        64,
        80,
        96,
        128,
        192,
        256,
        384,
        512,
        640,
        768,
        896,
        1024,
        1280,
        1536,
        2048,
        3072,
        4096,
        6144,
        8192,
        12288,
        16384,
        24576,
        32768,
        49152,
        65536,
    )
]
STREAMS = (1, 4, 8)


class Probe:
    """Measures the limits; every further call of :meth:`measure` keeps the better of old and new.

    The best of several is meant: the limit is what the machine can do, not what it did while something else
    ran. Each footprint is read as 1, 4 and 8 parallel streams, from ordinary and (on Linux) from huge pages.

    Attributes
    ----------
    peak : float
        GFLOP/s of one core.
    bandwidth : dict of int to float
        GB/s by footprint in bytes.
    """

    def __init__(self):
        self._directory = tempfile.TemporaryDirectory()
        self._library = library = cbuild.build("probe.c", ["-O3", "-march=native"], self._directory.name)
        library.probe_fma.restype = library.probe_read.restype = ctypes.c_double
        library.probe_fma.argtypes = [ctypes.c_int64]
        library.probe_read.argtypes = [ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64]
        library.probe_vector_bytes.restype = ctypes.c_int64
        self.vector_bits = 8 * library.probe_vector_bytes()
        self.peak = 0.0
        self.bandwidth = dict.fromkeys(FOOTPRINTS, 0.0)

    def measure(self, repeats=8, progress=lambda: None):
        """Measure everything once more, about 3 ms for each of `repeats` attempts at a figure."""
        rounds = 500_000
        for _ in range(3 * repeats):
            self.peak = max(self.peak, self._library.probe_fma(rounds))
        progress()
        for huge in (False, True):
            buffer, address = _pages(huge)
            if buffer is None:
                continue
            for footprint in FOOTPRINTS:
                passes = max(1, 400_000_000 // footprint // 1000)
                for streams in STREAMS * repeats:
                    speed = self._library.probe_read(address, footprint, streams, passes)
                    self.bandwidth[footprint] = max(self.bandwidth[footprint], speed)
            progress()

    def bandwidth_at(self, footprint):
        """GB/s at a footprint in bytes: log-log interpolation, the smallest measured one below that."""
        sizes = np.log(list(self.bandwidth))
        speeds = np.log(list(self.bandwidth.values()))
        return float(np.exp(np.interp(np.log(footprint), sizes, speeds)))

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
            ``ns``, ``flops_ns``, ``bytes_ns``, ``bound`` ("flops" or "bytes"), ``flops``, ``bytes``.
        """
        recurrent, inputs = 12 * point.H * point.H, 12 * point.H * point.I
        flops = point.flops
        if point.T == 1:
            read = recurrent + inputs
            bytes_ns = read / self.bandwidth_at(read)
        else:
            read = point.T * recurrent + inputs
            bytes_ns = point.T * recurrent / self.bandwidth_at(recurrent) + inputs / self.bandwidth_at(inputs)
        flops_ns = flops / self.peak
        return {
            "ns": max(flops_ns, bytes_ns),
            "flops_ns": flops_ns,
            "bytes_ns": bytes_ns,
            "bound": "flops" if flops_ns >= bytes_ns else "bytes",
            "flops": flops,
            "bytes": read,
        }

    def as_dict(self):
        """What goes into the results file."""
        return {
            "fma_gflops": self.peak,
            "vector_bits": self.vector_bits,
            "read_gb_per_s": {str(size): speed for size, speed in self.bandwidth.items()},
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
