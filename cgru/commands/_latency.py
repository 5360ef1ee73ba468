"""Single steps, each timed by itself: what ``cgru bench --latency`` measures and says.

The inputs are made beforehand, and so is the array of times; between two readings of the clock stands only the call.
The weights stay in the caches, as nothing else runs between the steps.
"""

import os
import time
from typing import NamedTuple

import numpy as np

import cgru
from cgru.commands._layers import layers_of, model_multiply_adds, output_size, weight_dtypes
from cgru.commands._timing import duration
from cgru.quantize import WEIGHT_DTYPES
from cgru.summary import multiply_adds

PERCENTILES = {"p50": 50, "p99": 99, "p99.9": 99.9, "max": 100}
_FRAMES, _BYTES = 1024, 16 << 20      # different inputs, in turn: so many, or of that size
_FEWEST, _MOST = 100, 2_000_000
_TAIL = 10_000      # steps from which on some are slower than p99.9
_SPREAD = 0.1       # parts of a run whose medians differ by more were disturbed


class Latency(NamedTuple):
    """Times of single calls in nanoseconds, and what was going on beside them."""

    times: np.ndarray
    nothing: np.ndarray      # of a function that does nothing, with the same arguments
    preempted: int           # how often the process was made to wait for another one
    load: float              # of the machine before, in runnable processes; NaN where unknown
    settling: np.ndarray | None = None      # of a window: of what is left to do after each call

    def percentiles(self):
        """Nanoseconds by name, each the time of a call that there was."""
        values = np.percentile(self.times, list(PERCENTILES.values()), method="higher")
        return dict(zip(PERCENTILES, values.tolist(), strict=True))

    def noise(self):
        """What speaks against these figures, in words; empty on a quiet machine."""
        parts = [np.median(part) for part in np.array_split(self.times, 10)]
        spread = (max(parts) - min(parts)) / np.median(self.times)
        cores = os.cpu_count() or 1
        if self.load > cores / 2:
            yield f"the load was {self.load:.1f} on {cores} cores before"
        if self.preempted:
            yield f"the process was made to wait for others {self.preempted} times"
        if spread > _SPREAD:
            yield f"the medians of ten parts of the run differ by {spread:.0%}"


class Limit(NamedTuple):
    """An estimate of the least time of a step on one core of this machine.

    The weights are read once: their bytes over the speed at which NumPy's maximum goes through as many bytes, again
    and again. They are multiplied once: operations over the most that cgru itself reaches, in a batch. Neither probe is
    as fast as the machine could be; the repository's ``bench/`` measures that, with a C compiler.
    """

    nbytes: int
    bandwidth: float      # bytes per ns, GB/s
    flops: int
    peak: float           # per ns, GFLOP/s

    @property
    def ns(self):
        """Nanoseconds: whatever takes longer."""
        return max(self.nbytes / self.bandwidth, self.flops / self.peak)

    def __str__(self):
        return (
            f"limit, estimated: {duration(self.ns)}, the longer of {self.nbytes:,} bytes of weights at "
            f"{self.bandwidth:.0f} GB/s (as NumPy reads them) and {self.flops:,} operations at {self.peak:.0f} GFLOP/s "
            "(cgru's own best, in a batch)"
        )


def measure(model, batch_size, seconds, window=None):
    """Time single steps of a stream, or of a window of so many, for about `seconds`, after some to warm up."""
    count = max(1, min(_FRAMES, _BYTES // (batch_size * model.input_size * model.dtype.itemsize)))
    shape = (count, model.input_size) if batch_size == 1 else (count, batch_size, model.input_size)
    frames = list(np.random.default_rng(0).standard_normal(shape).astype(model.dtype))
    runner = model.window(window) if window else model.stream() if batch_size == 1 else model.stream(batch_size)
    step, settle = runner.step, runner.settle if window else None
    out = np.empty((*shape[1:-1], output_size(model)), model.dtype)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else np.nan

    end, warm = time.perf_counter() + 0.1 * seconds, [_timed(step, frames, out, 10, settle)]
    while time.perf_counter() < end:
        warm.append(_timed(step, frames, out, 10, settle))
    count = int(np.clip(1e9 * seconds / np.median(np.concatenate(warm, axis=1).sum(axis=0)), _FEWEST, _MOST))
    before = _preempted()
    times, settling = _timed(step, frames, out, count, settle)
    preempted = _preempted() - before
    nothing, _ = _timed(_nothing, frames, out, 10_000)
    return Latency(times, nothing, preempted, load, settling if window else None)


def _nothing(frame, out=None):
    return out


def _timed(step, frames, out, count, settle=None):
    """(2, count) nanoseconds of each of `count` calls, and of what a window has to settle after it."""
    times, clock = np.zeros((2, count), np.int64), time.perf_counter_ns
    calls, settling = times
    for k in range(count):
        frame = frames[k % len(frames)]
        start = clock()
        step(frame, out=out)
        calls[k] = clock() - start
        if settle is not None:
            start = clock()
            settle()
            settling[k] = clock() - start
    return times


def _preempted():
    """Involuntary context switches so far, of this thread where the system tells."""
    try:
        import resource
    except ImportError:      # Windows
        return 0
    return resource.getrusage(getattr(resource, "RUSAGE_THREAD", resource.RUSAGE_SELF)).ru_nivcsw


def limit(model, batch_size):
    """The `Limit` of a step of `batch_size` rows; it takes some tenths of a second."""
    adds = model_multiply_adds(model)
    matrices = [
        value for layer in layers_of(model) for name, value in layer.stored.items() if name.startswith("weight")
    ]
    size = sum(value.nbytes for value in matrices)
    peak = max(_fastest(*_batch(weight_dtype)) for weight_dtype in sorted(set(weight_dtypes(model))))
    return Limit(size, _fastest(*_reading(size)), 2 * adds * batch_size, peak)


def _reading(size):
    """A function that reads `size` bytes again and again, and how many bytes that makes."""
    words = max(1, size // 4)
    times = max(1, (8 << 20) // (4 * words))
    buffer, out = np.ones(words, np.int32), np.empty(times, np.int32)
    again = np.broadcast_to(buffer, (times, words))
    return lambda: np.maximum.reduce(again, axis=1, out=out), 4 * words * times


def _batch(weight_dtype):
    """A function of matrix products with such weights in cgru's fastest way, and how many operations that makes."""
    steps, rows, units = 8, 64, 256
    gru = cgru.GRU(units, units, rng=0)
    if weight_dtype in WEIGHT_DTYPES:
        gru = gru.replace(engine="packed").quantize(weight_dtype)
    x = np.ones((steps, rows, units), np.float32)
    share = 0.5 if weight_dtype == "float64" else 1     # half as many numbers in a register
    return lambda: gru(x), share * 2 * steps * rows * multiply_adds(gru.weights)


def _fastest(function, amount, tries=20):
    """Most of `amount` in a nanosecond that any of some calls reached."""
    best = np.inf
    for _ in range(tries):
        start = time.perf_counter_ns()
        function()
        best = min(best, time.perf_counter_ns() - start)
    return amount / best


def lines(found, bound):
    """What is printed of a `Latency` beside its `Limit`."""
    values = found.percentiles()
    yield f"single steps, {len(found.times):,} timed one by one: " + ", ".join(
        f"{name} {duration(value)}" for name, value in values.items()
    )
    if len(found.times) < _TAIL:
        yield f"p99.9 wants {_TAIL:,} steps and more: give --seconds"
    if found.settling is not None:
        rest = np.median(found.settling)
        yield (
            f"settling after each: median {duration(rest)}; with it {1e9 / (values['p50'] + rest):,.0f} windows/s "
            "one after the other"
        )
    yield f"the same call of nothing: p50 {duration(np.median(found.nothing))}, included above"
    yield str(bound)
    over, worst = values["p50"] / bound.ns, values["max"] / values["p50"]
    yield f"p50 is {over:.2f} times the limit; max is {worst:,.0f} times p50"
    noise = list(found.noise())
    if noise:
        yield f"NOT A QUIET MACHINE: {'; '.join(noise)}; take no figure from this run"
