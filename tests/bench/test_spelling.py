"""A real pretrained model: the encoder and decoder of g2p_en spelled out by cgru."""

import numpy as np
import pytest

from bench.spelling import model as g2p
from bench.spelling import run
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


def test_words_that_change_with_quantised_weights_are_told(weights):
    words = g2p.words(60)
    found = run.quantised(weights, words)
    assert found["words"] == 60 and set(found) == {"words", *run.QUANTISED}
    for weight_dtype in run.QUANTISED:
        speller = g2p.CgruModel(weights, weight_dtype)
        assert speller.encoder.weight_dtype == speller.decoder.weight_dtype == weight_dtype
        changed = found[weight_dtype]
        assert changed["changed"] == len(changed["spelt"]) <= 10
        assert all(" ".join(speller(word)) == spelt for word, spelt in changed["spelt"].items())


def test_a_model_of_other_weights_changes_words(weights, monkeypatch):
    """The comparison itself: a decoder whose gates are off is found."""
    whole = g2p.CgruModel.__init__

    def broken(self, weights, weight_dtype="float32"):
        off = weights | ({"dec_w_hh": -weights["dec_w_hh"]} if weight_dtype == "int8" else {})
        whole(self, off, weight_dtype)

    monkeypatch.setattr(g2p.CgruModel, "__init__", broken)
    found = run.quantised(weights, g2p.words(20))
    assert found["int8"]["changed"] > 10 > found["bfloat16"]["changed"]


def test_the_encoder_step_by_step_is_the_encoder_at_once(weights):
    model = g2p.CgruModel(weights)
    for word in ("activationist", "refuse"):
        np.testing.assert_allclose(model.encode_by_steps(word), model.encode(word), rtol=0, atol=2e-6)
