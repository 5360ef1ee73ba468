"""The least time of a training step: three times forward's operations at the FMA peak of so many threads."""

import threading
from concurrent.futures import ThreadPoolExecutor
from statistics import median

TIMES_FORWARD = 3  # products: forward's, those of the gradients of inputs and states, those of the matrices'


class Peaks:
    """The peak of one thread and of several at once, looked at again and again while contestants are timed.

    Several threads multiply at the same time, each as `cgru.judge.probe` does it, and their rates are added: two
    processors that the system shows may share a core.

    Parameters
    ----------
    probe : Probe
    threads : sequence of int
        The numbers of threads.
    """

    def __init__(self, probe, threads):
        self._probe = probe
        self.found = {count: [] for count in threads}

    def look(self):
        """Measure once more; some milliseconds."""
        for count, found in self.found.items():
            found.append(together(self._probe.glance_peak, count))

    def gflops(self):
        """Number of threads -> the median of the looks, GFLOP/s of all of them together."""
        return {count: median(found) for count, found in self.found.items()}


def together(glance, count):
    """The sum of what `count` threads get that start at the same time."""
    start = threading.Barrier(count)

    def one(_):
        start.wait()
        return glance()

    with ThreadPoolExecutor(count) as pool:
        return sum(pool.map(one, range(count)))


def limit_ns(point, gflops):
    """The least time of a step of this point at so many GFLOP/s; all but the products is free."""
    return TIMES_FORWARD * point.flops / gflops
