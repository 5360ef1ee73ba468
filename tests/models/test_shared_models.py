"""One model, many threads."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from support.compare import assert_equal
from support.models import draw, planes
from support.users import together
from support.variants import WEIGHTS

pytestmark = pytest.mark.variants(weights=WEIGHTS)

THREADS = 8


def test_eight_threads_share_a_model(variant, rng):
    """Different inputs, batch sizes and lengths at the same time: the same bits as one after the other."""
    model = variant.model(13, 37, num_layers=2, bidirectional=True, rng=1)
    inputs = []
    for k in range(THREADS):
        T, N = 20 + k, 1 + k % 5
        x, hx = draw(variant, rng, model, T, N)
        lengths = rng.integers(0, T + 1, N) if k % 2 else None
        inputs.append((x, hx, lengths))
    jobs = [lambda given=given: model(*given[:2], lengths=given[2]) for given in inputs]
    expected = [job() for job in jobs]
    for _ in range(5):
        assert_equal([results[-1] for results in together(jobs, 3)], expected)


def test_threads_share_inputs(variant, rng):
    """The same read-only x and state in all threads, each with its own out."""
    model = variant.model(13, 37, rng=1)
    x, hx = draw(variant, rng, model, 30, 3)
    for array in (x, *planes(hx)):
        array.flags.writeable = False
    expected, _ = model(x, hx)
    outs = [np.full_like(expected, np.nan) for _ in range(THREADS)]
    together([lambda out=out: model(x, hx, out=out) for out in outs], 3)
    for out in outs:
        assert_array_equal(out, expected)
