"""What the tests of files of sequences share: a small model and rows of any lengths."""

import pytest

import cgru
from support.batches import INPUTS, H, N
from support.sequences import draw_rows


@pytest.fixture
def gru():
    return cgru.GRU(INPUTS, H, rng=1)


@pytest.fixture
def rows(rng):
    return draw_rows(rng, N, INPUTS)
