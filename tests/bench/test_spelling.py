"""A real pretrained model: the encoder and decoder of g2p_en spelled out by cgru."""

import numpy as np
import pytest

from bench.spelling import model as g2p
from support.peers import REQUIRED

pytestmark = pytest.mark.skipif(
    g2p.data_file("checkpoint20.npz") is None and not REQUIRED,
    reason="g2p_en is not installed",
)


@pytest.fixture(scope="module")
def weights():
    return g2p.checkpoint()


def test_a_word_that_is_in_no_dictionary(weights):
    assert " ".join(g2p.CgruModel(weights)("activationist")) == "AE2 K T IH0 V EY1 SH AH0 N IH0 S T"


def test_a_thousand_words_are_spelt_as_by_the_package_s_own_equations(weights):
    ours, theirs = g2p.CgruModel(weights), g2p.NumPyModel(weights)
    words = g2p.words(1000)
    assert len(set(words)) == 1000
    different = {word: (ours(word), theirs(word)) for word in words if ours(word) != theirs(word)}
    assert not different


def test_the_encoder_step_by_step_is_the_encoder_at_once(weights):
    model = g2p.CgruModel(weights)
    for word in ("activationist", "refuse"):
        np.testing.assert_allclose(model.encode_by_steps(word), model.encode(word), rtol=0, atol=2e-6)
