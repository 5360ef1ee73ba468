"""How many Python functions a call of one step goes through: what it costs beside the arithmetic."""

import sys

import numpy as np
import pytest

import cgru

X, H = np.ones((1, 1, 32), np.float32), np.ones((1, 1, 32), np.float32)
#: Arguments of a call, and the Python frames that version 0.1 took for it.
CALLS = {
    "x": ((X,), {}, 16),
    "x, hx": ((X, H), {}, 15),
    "x, hx, out": ((X, H), {"out": np.empty((1, 1, 32), np.float32)}, 20),
    "unbatched": ((X[0], H[0]), {}, 16),
}


def frames(function, *arguments, **options):
    """Names of the Python functions that are entered during one call."""
    entered = []
    before = sys.getprofile()
    sys.setprofile(lambda frame, event, _: entered.append(frame.f_code.co_name) if event == "call" else None)
    try:
        function(*arguments, **options)
    finally:
        sys.setprofile(before)
    return entered


@pytest.mark.parametrize("name", CALLS)
def test_a_step_takes_no_more_frames_than_before(name):
    arguments, options, most = CALLS[name]
    gru = cgru.GRU(32, 32, rng=0)
    gru(*arguments, **options)
    entered = frames(gru, *arguments, **options)
    assert 3 < len(entered) <= most, entered
