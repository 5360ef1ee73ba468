"""From RTNeural: its layout, taken apart from canonical arrays, against the oracle."""

import json

import numpy as np
import pytest

import cgru
from support.canonical import assert_oracle, inputs, parts
from support.models import random_sizes, random_state


@pytest.fixture
def sizes(rng):
    return tuple(random_sizes(rng))


def test_rtneural(rng, sizes, tmp_path):
    H = sizes[3]
    state = random_state(rng, sizes[2], H)
    p = parts(state)
    kernel, recurrent = (np.concatenate([p[f"{k}_z"].T, p[f"{k}_r"].T, p[f"{k}_n"].T], axis=1) for k in "WU")
    bias = np.stack([np.concatenate([p[f"{k}_z"], p[f"{k}_r"], p[f"{k}_n"]]) for k in "bc"])
    weights = [array.tolist() for array in (kernel, recurrent, bias)]
    gru = {"type": "gru", "activation": "", "shape": [None, None, H], "weights": weights}
    dense = {"type": "dense", "activation": "", "shape": [None, None, 1], "weights": [[[0.5]] * H, [0.1]]}
    model = {"in_shape": [None, None, sizes[2]], "layers": [gru, dense]}
    (tmp_path / "model.json").write_text(json.dumps(model))
    x, h_0 = inputs(rng, sizes)
    for source in (model, tmp_path / "model.json", str(tmp_path / "model.json")):
        assert_oracle(cgru.from_rtneural(source), state, x, h_0)
    assert cgru.from_rtneural(model).dtype == np.float32
    with pytest.raises(ValueError, match=r"several gru layers: 0, 1; choose one with layer="):
        cgru.from_rtneural(model | {"layers": [gru, gru]})
    assert cgru.from_rtneural(model | {"layers": [dense, gru]}, 1).hidden_size == H
    with pytest.raises(ValueError, match="no gru layer"):
        cgru.from_rtneural(model | {"layers": [dense]})
