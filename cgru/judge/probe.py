"""The machine's limits, measured: float32 FMA peak, 8-bit dot product peak, and read bandwidth by footprint."""

import ctypes
import mmap
from itertools import product
from pathlib import Path
from statistics import median

import numpy as np

from cgru.engines.isas import named
from cgru.judge import native
from cgru.judge.limit import footprints, limit

SOURCE = Path(__file__).resolve().parent / "probe.c"
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
GLANCE_BYTES = 4 << 20
GRAIN = 4 * max(STREAMS) * 64  # a footprint is a multiple of this


class Probe:
    """Measures the limits, all at once or, by a :class:`Watch`, those of one point while it is timed.

    Every further call of :meth:`measure` keeps the better of old and new. Each footprint is read as 1, 4 and 8
    parallel streams, from ordinary and (on Linux) from huge pages.

    Parameters
    ----------
    isa : str, optional
        A name of cgru's table of instruction sets: only what is in it is used, instead of all that the processor has.
    cc : str, optional
        The C compiler; by default that of `native.compiler`.

    Attributes
    ----------
    peak : float
        GFLOP/s of one core: fused multiply-adds of float32.
    dot_peak : float
        Billions of operations a second of one core: 8-bit dot products, a multiply-add being two operations.
    dot_form : str
        The instructions of `dot_peak`.
    bandwidth : dict of int to float
        GB/s by footprint in bytes, the best of all attempts.
    typical : dict of int to float
        The same, the median of the attempts for the best number of streams and kind of page. A cache can have
        more than one pace (seen: 47 or 64 bytes a cycle from the same L2), and it chooses.
    """

    def __init__(self, isa=None, cc=None):
        self._library = library = native.build(SOURCE, ["-O3", *_machine(isa)], cc)
        library.probe_fma.restype = library.probe_dot.restype = library.probe_read.restype = ctypes.c_double
        library.probe_fma.argtypes = library.probe_dot.argtypes = [ctypes.c_int64]
        library.probe_read.argtypes = [ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64]
        library.probe_vector_bytes.restype = ctypes.c_int64
        library.probe_dot_form.restype = ctypes.c_char_p
        self.vector_bits = 8 * library.probe_vector_bytes()
        self.dot_form = library.probe_dot_form().decode()
        self._buffers = [pages for pages in (_pages(huge=False), _pages(huge=True)) if pages]
        self._places = [address for _, address in self._buffers]
        self.peak = self.dot_peak = 0.0
        self.bandwidth = dict.fromkeys(FOOTPRINTS, 0.0)
        self.typical = dict.fromkeys(FOOTPRINTS, 0.0)

    def measure(self, repeats=8):
        """Measure everything once more; about two seconds."""
        for _ in range(4 * repeats):
            self.peak = max(self.peak, self._library.probe_fma(500_000))
            self.dot_peak = max(self.dot_peak, self._library.probe_dot(500_000))
        for address in self._places:
            for footprint in FOOTPRINTS:
                for streams in STREAMS:
                    speeds = [
                        self._attempt(address, footprint, streams, attempt, READ_BYTES) for attempt in range(repeats)
                    ]
                    self.bandwidth[footprint] = max(self.bandwidth[footprint], max(speeds))
                    self.typical[footprint] = max(self.typical[footprint], median(speeds))

    def _attempt(self, address, footprint, streams, attempt, read_bytes):
        """GB/s; each attempt at another place of the buffer as far as there is room."""
        place = address + attempt * HUGE_PAGE % max(HUGE_PAGE, LARGEST - footprint)
        if place + footprint > address + LARGEST:
            place = address
        self._library.probe_read(place, footprint, streams, 1)
        return self._library.probe_read(place, footprint, streams, max(1, read_bytes // footprint))

    def watch(self, point, weight_dtypes=("float32",)):
        """A :class:`Watch` over what a point needs with weights of these types."""
        sizes = set().union(*(footprints(point, weight_dtype) for weight_dtype in weight_dtypes))
        return Watch(self, sizes, dots="int8" in weight_dtypes)

    def glance(self, footprint, place):
        """GB/s at one footprint just now: the best of every kind of page and number of streams; half a millisecond."""
        size = min(LARGEST, -(-footprint // GRAIN) * GRAIN)
        ways = product(self._places, STREAMS)
        return max(self._attempt(address, size, streams, place, GLANCE_BYTES) for address, streams in ways)

    def glance_peak(self):
        """GFLOP/s just now; a millisecond."""
        return max(self._library.probe_fma(100_000) for _ in range(3))

    def glance_dot_peak(self):
        """The same of 8-bit dot products."""
        return max(self._library.probe_dot(100_000) for _ in range(3))

    @property
    def command(self):
        """How it was compiled, without paths."""
        return self._library.command

    def as_dict(self):
        """What goes into the results file."""
        return {
            "fma_gflops": self.peak,
            "dot_gops": self.dot_peak,
            "dot_form": self.dot_form,
            "vector_bits": self.vector_bits,
            "read_gb_per_s": {str(size): speed for size, speed in self.bandwidth.items()},
            "read_typical_gb_per_s": {str(size): speed for size, speed in self.typical.items()},
            "compiled": self.command,
        }


class Watch:
    """The limits of one point, looked at again and again while its contestants are timed.

    A cache that several cores share gives more or less from one minute to the next, so a time is held against what
    the machine could do at that time: the median of the looks, each the best of several attempts.
    """

    def __init__(self, probe, sizes, dots=False):
        self._probe, self._dots = probe, dots
        self.peaks, self.dot_peaks = [], []
        self.speeds: dict[int, list[float]] = {size: [] for size in sorted(sizes)}

    def look(self):
        """Measure once more; a millisecond or two."""
        self.peaks.append(self._probe.glance_peak())
        if self._dots:
            self.dot_peaks.append(self._probe.glance_dot_peak())
        for size, speeds in self.speeds.items():
            speeds.append(self._probe.glance(size, len(speeds)))

    def limit(self, point, weight_dtype="float32"):
        """:func:`cgru.judge.limit.limit` by the medians, which are added as ``gflops`` and ``gb_per_s``."""
        peak = median(self.dot_peaks if weight_dtype == "int8" else self.peaks)
        speeds = {size: self.speeds[size] for size in sorted(footprints(point, weight_dtype))}
        usual = {size: median(found) for size, found in speeds.items()}
        return limit(point, peak, usual.__getitem__, weight_dtype) | {
            "gflops": peak,
            "gb_per_s": {str(size): speed for size, speed in usual.items()},
            "gb_per_s_range": {str(size): [min(found), max(found)] for size, found in speeds.items()},
        }


def _machine(isa):
    """The flags of the compiler for an instruction set, as the table has them; None: this processor."""
    if isa is None:
        return ["-march=native"]
    return [flag for flag in named(isa).flags["gcc"] if flag.startswith("-m")]


def _pages(huge):
    """A buffer of LARGEST bytes, written to, and the address of its first 2 MB boundary; or None."""
    buffer = mmap.mmap(-1, LARGEST + HUGE_PAGE)
    if huge:
        if not hasattr(mmap, "MADV_HUGEPAGE"):
            return None
        try:
            buffer.madvise(mmap.MADV_HUGEPAGE)
        except OSError:
            return None
    data = np.frombuffer(buffer, np.uint8)
    data[:] = 1
    return data, -(-data.ctypes.data // HUGE_PAGE) * HUGE_PAGE
