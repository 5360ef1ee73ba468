"""What becomes of a state in silence: how small it gets, how long it takes, and where it ends."""

import numpy as np

from bench.silence.models import largest, planes
from bench.silence.settings import BLOCK, RATE

SQUARES = 2.0**-63  # below it a float32's square is subnormal


def burst(seconds=0.1, seed=1):
    """White noise (T, 1), float32."""
    return np.random.default_rng(seed).uniform(-1, 1, (int(seconds * RATE), 1)).astype(np.float32)


def decay(model, seconds):
    """After a burst of sound, silence of at most so many seconds.

    Returns
    -------
    dict
        ``small_squares_after`` and ``subnormal_after``: seconds until all of the state is below 2^-63 and 2^-126 (of
        float64 2^-511 and 2^-1022), None where it is not; ``still_after``: until it moves no more; ``end``: its largest
        number then, or at the end; ``alive``: how many of its numbers are not zero.
    state : the state once it is below 1e-6 of what it was
        Its direction is that of the slowest part.
    """
    stream, quiet = model.stream(), np.zeros((BLOCK, model.input_size), model.dtype)
    stream.run(burst().astype(model.dtype))
    tiny = float(np.finfo(model.dtype).tiny)
    squares = SQUARES if model.dtype == np.float32 else 2.0**-511
    found = dict.fromkeys(("small_squares_after", "subnormal_after", "still_after"))
    before, direction = stream.state, None
    start = largest(before)
    for block in range(1, int(seconds * RATE / BLOCK) + 1):
        stream.run(quiet)
        state, passed = stream.state, block * BLOCK / RATE
        top = largest(state)
        if direction is None and top < 1e-6 * start:
            direction = state if top else before
        for name, bound in (("small_squares_after", squares), ("subnormal_after", tiny)):
            if found[name] is None and top < bound:
                found[name] = passed
        if all(np.array_equal(a, b) for a, b in zip(planes(state), planes(before), strict=True)):
            found["still_after"] = passed
            break
        before = state
    numbers = np.concatenate([plane.ravel() for plane in planes(state)])
    found |= {"end": largest(state), "alive": int(np.count_nonzero(numbers)), "of": numbers.size}
    return found, direction if direction is not None else state, state
