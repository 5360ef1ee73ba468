"""One model, many threads."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
from numpy.testing import assert_array_equal

THREADS = 8


def run_together(jobs):
    """Call every job in a thread of its own, all starting at once; their results in order."""
    barrier = Barrier(len(jobs))

    def run(job):
        barrier.wait()
        return [job() for _ in range(3)][-1]

    with ThreadPoolExecutor(len(jobs)) as pool:
        return list(pool.map(run, jobs))


def test_eight_threads_share_a_model(variant, rng):
    """Different inputs, batch sizes and lengths at the same time: the same bits as one after the other."""
    model = variant.gru(13, 37, num_layers=2, bidirectional=True, rng=1)
    inputs = []
    for k in range(THREADS):
        T, N = 20 + k, 1 + k % 5
        x, h_0 = variant.cast(rng.normal(size=(T, N, 13))), variant.cast(rng.normal(size=(4, N, 37)))
        lengths = rng.integers(0, T + 1, N) if k % 2 else None
        inputs.append((x, h_0, lengths))
    jobs = [lambda given=given: model(*given[:2], lengths=given[2]) for given in inputs]
    expected = [job() for job in jobs]
    for _ in range(5):
        for (y, h_n), (expected_y, expected_h_n) in zip(run_together(jobs), expected, strict=True):
            assert_array_equal(y, expected_y)
            assert_array_equal(h_n, expected_h_n)


def test_threads_share_inputs(variant, rng):
    """The same read-only x and h_0 in all threads, each with its own out."""
    model = variant.gru(13, 37, rng=1)
    x, h_0 = variant.cast(rng.normal(size=(30, 3, 13))), variant.cast(rng.normal(size=(1, 3, 37)))
    x.flags.writeable = h_0.flags.writeable = False
    expected, _ = model(x, h_0)
    outs = [np.full_like(expected, np.nan) for _ in range(THREADS)]
    run_together([lambda out=out: model(x, h_0, out=out) for out in outs])
    for out in outs:
        assert_array_equal(out, expected)
