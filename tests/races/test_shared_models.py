"""One model, and everything that can be done with it, at the same time: nothing is seen of the others.

These tests compare bits; under ThreadSanitizer, as .ci/sanitizers runs them, they also find what went well by chance.
"""

import time

import numpy as np
import pytest

import cgru
from support import users
from support.networks import random_chain
from support.users import assert_as_alone
from support.variants import WEIGHTS

pytestmark = pytest.mark.variants(weights=WEIGHTS)

INPUT, H = 5, 19
STEPPING = (users.streams, users.pools, users.windows)
WHOLE = (users.calls, users.calls_in_threads, users.copies)


def test_everything_at_once(best, rng):
    model = best.model(INPUT, H, num_layers=2, rng=1)
    found = [use(model, rng) for use in (*WHOLE, *STEPPING)]
    if not best.quantizes:
        found += [users.trainings(model, rng), *users.of_one_tape(model, rng, 2)]
    assert_as_alone(found)


def test_both_directions(best, rng):
    model = best.model(INPUT, H, num_layers=2, bidirectional=True, rng=1)
    found = [use(model, rng) for use in (users.calls, *WHOLE, users.calls_in_threads)]
    if not best.quantizes:
        found += [users.trainings(model, rng), *users.of_one_tape(model, rng, 2)]
    assert_as_alone(found)


@pytest.mark.variants(weights="float32")
def test_steps_without_the_gil(best, rng):
    """Of a million multiply-adds and more; of pools also those that are worth several threads."""
    model = best.model(INPUT, {"rnn": 1100}.get(best.kind, 640), rng=1)
    assert_as_alone([use(model, rng) for use in (*STEPPING, users.streams)], times=1)


@pytest.mark.variants(kind="gru", engine="blas", name="float64", weights="float32")
def test_one_tape(best, rng):
    """Eight threads go back over it."""
    model = best.model(INPUT, H, num_layers=2, bidirectional=True, rng=1)
    assert_as_alone(users.of_one_tape(model, rng, 8))


def test_networks(seconds, seed):
    """Random ones: Linears and recurrent layers, one way or both, in float32, float64 and with quantised weights."""
    end, number = time.monotonic() + seconds, 0
    while number < 6 or time.monotonic() < end:
        rng = np.random.default_rng([seed, number])
        dtype = (np.float32, np.float64)[number % 3 == 2]
        network = cgru.Sequential.from_chain(random_chain(rng, int(rng.integers(1, 6)), dtype=dtype))
        kinds = list(WHOLE)
        if all(layer.config.one_way for layer in network.layers):
            kinds += STEPPING
        if number % 3 == 1:
            network = network.quantize(str(rng.choice(["int8", "bfloat16"])))
        else:
            kinds.append(users.trainings)
        chosen = [kinds[k] for k in rng.integers(len(kinds), size=8)]
        try:
            assert_as_alone([use(network, rng) for use in chosen])
        except BaseException as error:
            error.add_note(f"--seed {seed}, network {number}: {[use.__name__ for use in chosen]}")
            raise
        number += 1
