"""The main job on real speech: data, model, both ways of running it. Its command is in commands/test_demo.py."""

import importlib.resources
import json

import numpy as np
import pytest
import safetensors

from cgru.commands import demo
from cgru.demo.data import load_network, load_utterances
from support import reference
from support.speakers import utterances_are

PER_SPEAKER = [31, 35, 88, 44, 29, 24, 40, 50, 29]
SHA256 = "7c71160980b89a87419481f63e5e0687879d87e97d824d2d77393df866943db5"


@pytest.fixture(scope="module")
def utterances():
    return load_utterances("test")


@pytest.fixture(scope="module")
def result(utterances):
    return demo.recognise(load_network(), utterances, repeats=1)


# ---- data and model


def test_data_is_what_its_readme_says(utterances):
    readme = (importlib.resources.files("cgru.demo") / "README.md").read_text()
    utterances_are(utterances, PER_SPEAKER, (5687, 7, 29), SHA256, readme)


def test_the_training_split_is_not_in_the_package():
    for split in ("train", "validation"):
        with pytest.raises(ValueError, match=f'split is "test" in the package, got {split!r}; .*examples/speakers'):
            load_utterances(split)


def test_model_file(utterances, result):
    net = load_network()
    assert {name: value.shape for name, value in net.state_dict().items()} == {
        "0.weight_ih_l0": (96, 12),
        "0.weight_hh_l0": (96, 32),
        "0.bias_ih_l0": (96,),
        "0.bias_hh_l0": (96,),
        "1.weight": (9, 32),
        "1.bias": (9,),
    }
    assert net.last is True and not net.skip and not net.batch_first and net.dtype == np.float32
    with (
        importlib.resources.as_file(importlib.resources.files("cgru.demo") / "model.safetensors") as path,
        safetensors.safe_open(path, "numpy") as file,
    ):
        record = json.loads(file.metadata()["training"])
    assert record["made_by"] == "python -m cgru.demo.train"
    assert record["held_out_accuracy"] == record["held_out_accuracy_of_all_seeds"][record["seed"]] > 0.95
    assert record["test_accuracy"] == pytest.approx(np.mean(result.batched == utterances.speaker))


def test_probabilities_of_both_ways_are_the_oracle_s(utterances, result):
    """In float64: the GRU's states, the products, softmax; of utterances of several lengths."""
    net = load_network()
    gru, head = (layer.state_dict() for layer in net.layers)
    y, _ = reference.gru(utterances.frames, gru, lengths=utterances.lengths)
    scores = y @ head["weight"].T.astype(np.float64) + head["bias"]
    expected = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    whole, _ = net(utterances.frames, lengths=utterances.lengths)
    np.testing.assert_allclose(whole, expected[utterances.lengths - 1, np.arange(370)], atol=2e-6)
    valid = [expected[:length, k] for k, length in enumerate(utterances.lengths)]
    np.testing.assert_allclose(result.probabilities, np.concatenate(valid), atol=2e-6)


# ---- the two ways


def test_accuracy_of_both_ways(utterances, result):
    assert np.mean(result.batched == utterances.speaker) >= 0.97
    assert np.mean(result.stepped == utterances.speaker) >= 0.97


def test_both_ways_agree(utterances, result):
    assert result.difference <= 4e-6  # each way within 2e-6 of the truth; none at all with the packed engine
    np.testing.assert_array_equal(result.batched, result.stepped)
    assert result.batched_seconds > 0 and result.stepped_seconds > 0


def test_running_probabilities(utterances, result):
    assert result.probabilities.shape == (5687, 9)
    np.testing.assert_allclose(result.probabilities.sum(1), 1, atol=1e-6)
    for k in (0, 1, 200, 369):
        followed = result.probabilities[demo.frames_of(utterances, k)]
        assert len(followed) == utterances.lengths[k]
        assert followed[-1].argmax() == result.batched[k]
        row = utterances.frames[: utterances.lengths[k], k]
        np.testing.assert_allclose(followed[-1], load_network()(row)[0], atol=1e-6)


def test_confusion_table(utterances, result):
    table = demo.confusion(utterances.speaker, result.batched)
    assert table.shape == (9, 9)
    assert table.sum() == 370
    assert table.sum(axis=1).tolist() == PER_SPEAKER
    assert np.trace(table) / 370 == np.mean(result.batched == utterances.speaker)
    by_hand = demo.confusion(np.array([0, 0, 2]), np.array([0, 1, 2]))
    assert (by_hand[0, 0], by_hand[0, 1], by_hand[2, 2], by_hand.sum()) == (1, 1, 1, 3)


# ---- in 16 and 8 bits


@pytest.mark.parametrize("weights", ["bfloat16", "int8"])
def test_guesses_of_quantised_weights(utterances, result, weights):
    """At least 368 of the 370 as in float32; both ways of running it the same, and not simply float32."""
    small = load_network().replace(engine="packed").quantize(weights)
    found = demo.recognise(small, utterances, repeats=1)
    assert found.batched.shape == (370,)
    assert (found.batched == result.batched).sum() >= 368
    assert np.mean(found.batched == utterances.speaker) >= 0.97
    assert found.difference == 0
    np.testing.assert_array_equal(found.batched, found.stepped)
    assert 1e-4 < np.abs(found.probabilities - result.probabilities).max() < 0.1
