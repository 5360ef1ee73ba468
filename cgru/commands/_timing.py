"""Measuring short calls: samples of a model's step or sequence, and times in words."""

import time
from itertools import repeat

import numpy as np

from cgru.commands._layers import output_size

_SAMPLE_NS = 10_000  # a sample is at least this long, so that reading the clock stays below 1 %


def step_sampler(model, x):
    """Function of `calls`: mean nanoseconds of that many steps of a stream into a ready output.

    Parameters
    ----------
    model : GRU, RNN, LSTM or Sequential
    x : ndarray
        (N, I); a single row is stepped without its batch axis.
    """
    single = len(x) == 1
    step = model.stream().step if single else model.stream(len(x)).step
    frame = x[0] if single else x
    out = np.empty((*frame.shape[:-1], output_size(model)), model.dtype)

    def sample(calls):
        start = time.perf_counter_ns()
        for _ in repeat(None, calls):
            step(frame, out=out)
        return (time.perf_counter_ns() - start) / calls

    return sample


def sequence_sampler(model, x, threads=1):
    """Function of `calls`: mean nanoseconds of that many calls of the model on x, each with a new output."""

    def sample(calls):
        start = time.perf_counter_ns()
        for _ in repeat(None, calls):
            model(x, threads=threads)
        return (time.perf_counter_ns() - start) / calls

    return sample


def measure(sample, seconds):
    """Sample for a while, after a tenth of that to warm up.

    Parameters
    ----------
    sample : callable
        See `step_sampler`.
    seconds : float

    Returns
    -------
    samples : ndarray
        Nanoseconds per call, each the mean of `calls` calls in a row.
    calls : int
        1 where a call takes longer than 10 microseconds.
    """
    fastest = sample(1)
    end = time.perf_counter() + 0.1 * seconds
    while time.perf_counter() < end:
        fastest = min(fastest, sample(1))
    calls = max(1, int(np.ceil(_SAMPLE_NS / fastest)))
    samples: list[float] = []
    end = time.perf_counter() + seconds
    while not samples or time.perf_counter() < end:
        samples.append(sample(calls))
    return np.array(samples), calls


def duration(ns):
    """Text of a time in nanoseconds."""
    for unit, size in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if ns >= size:
            return f"{ns / size:.3g} {unit}" if ns / size < 100 else f"{ns / size:.0f} {unit}"
    return f"{ns:.0f} ns"
