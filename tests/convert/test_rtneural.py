"""From RTNeural: its layout, taken apart from canonical arrays, against the oracle."""

import json

import numpy as np
import pytest

import cgru
from support.canonical import assert_oracle, inputs, one_bias, parts, random_hx, stacked
from support.models import random_sizes, random_state
from support.peers import single


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
        assert_oracle(cgru.from_rtneural(source, 0), state, x, h_0)
    assert cgru.from_rtneural(model | {"layers": [gru]}).dtype == np.float32
    with pytest.raises(ValueError, match=r"several gru layers: 0, 1; choose one with layer="):
        cgru.from_rtneural(model | {"layers": [gru, gru]})
    assert cgru.from_rtneural(model | {"layers": [dense, gru]}, 1).hidden_size == H
    with pytest.raises(ValueError, match="no gru or lstm layer"):
        cgru.from_rtneural(model | {"layers": [dense]})


def test_an_lstm(rng, sizes, tmp_path):
    """Keras's order, one bias."""
    state = one_bias(random_state(rng, sizes[2], sizes[3], kind="lstm"))
    W, U, b, _ = stacked(state, "ifgo")
    lstm = {"type": "lstm", "activation": "", "weights": [W.T.tolist(), U.T.tolist(), b.tolist()]}
    gru = {"type": "gru", "weights": [np.ones(shape).tolist() for shape in ((3, 12), (4, 12), (2, 12))]}
    model = {"layers": [{"type": "dense", "weights": [[[0.5]]]}, lstm, gru]}
    (tmp_path / "model.json").write_text(json.dumps(model))
    x, _ = inputs(rng, sizes)
    hx = random_hx(rng, "lstm", sizes)
    for source in (model, tmp_path / "model.json"):
        assert_oracle(cgru.from_rtneural(source, 1), state, x, hx)
        with pytest.raises(ValueError, match=r"several recurrent layers: 1, 2; choose one with layer="):
            cgru.from_rtneural(source)
    assert cgru.from_rtneural({"layers": [lstm]}).dtype == np.float32
    with pytest.raises(ValueError, match="the lstm layer has no weights: kernel, recurrent kernel, bias"):
        cgru.from_rtneural({"layers": [lstm | {"weights": []}]})
    with pytest.raises(ValueError, match=r"bias has shape \(3,\)"):
        cgru.from_rtneural({"layers": [lstm | {"weights": [*lstm["weights"][:2], [0.0] * 3]}]})


# ---- the second form: a state dict of PyTorch


@pytest.mark.parametrize("kind", ["gru", "lstm", "rnn"])
@pytest.mark.parametrize("above", ["", "memory.", "state_dict"], ids=["plain", "prefix", "below"])
def test_a_state_dict_in_json(rng, sizes, kind, above, tmp_path):
    state = random_state(rng, sizes[2], sizes[3], kind=kind)
    lists = {name: single(array).tolist() for name, array in state.items()}
    head = {"lin.weight": [[0.5] * sizes[3]], "lin.bias": [0.5]}
    inner = {"rec." + name: array for name, array in lists.items()} | head
    model = {"model_data": {"unit_type": kind, "skip": 1}, "state_dict": inner}
    model = model if above == "state_dict" else {above + name: array for name, array in lists.items()}
    (tmp_path / "model.json").write_text(json.dumps(model))
    x, _ = inputs(rng, sizes)
    hx = random_hx(rng, kind, sizes)
    prefix = "state_dict.rec" if above == "state_dict" else above or None
    for source in (model, tmp_path / "model.json"):
        found = cgru.from_rtneural(source, prefix)
        assert found.kind == kind and found.dtype == np.float32 and not found.batch_first
        assert_oracle(found, state, x, hx)
    if above == "state_dict":
        network = cgru.load(tmp_path / "model.json")        # GuitarML's: all of it
        assert network.layers[0] == found and len(network.layers) == 2 and network.skip
        with pytest.warns(UserWarning, match=r"are state_dict\.lin\.weight, state_dict\.lin\.bias, model_data\.skip; "):
            assert cgru.from_rtneural(tmp_path / "model.json") == found
    else:
        assert cgru.load(tmp_path / "model.json") == found


def test_a_state_dict_that_cannot_be_read(rng, tmp_path):
    """It is said what it is."""
    state = {name: array.tolist() for name, array in random_state(rng, 3, 4, kind="lstm").items()}
    two = {f"{above}.{name}": array for above in ("a", "b") for name, array in state.items()}
    with pytest.raises(ValueError, match=r"several recurrent networks: 'a\.', 'b\.'; choose one with layer="):
        cgru.from_rtneural(two)
    assert cgru.from_rtneural(two, "b").hidden_size == 4
    words = r"this JSON is a state dict of PyTorch, RTNeural's second form: "
    with pytest.raises(ValueError, match=words + r"layer='c': there is no such .*; there are: 'a\.', 'b\.'"):
        cgru.from_rtneural(two, "c")
    with pytest.raises(ValueError, match=words + "there is no weight_ih_l0 .* which holds lin.weight"):
        cgru.from_rtneural({"lin.weight": [[1.0]]})
    with pytest.raises(ValueError, match=words + "weight_ih_l0 cannot be read as an array"):
        cgru.from_rtneural(state | {"weight_ih_l0": [[1.0], [1.0, 2.0]]})
    with pytest.raises(ValueError, match="the model has no list of layers"):
        cgru.from_rtneural({"weights": 3})
    (tmp_path / "model.json").write_text(json.dumps({"lin.weight": [["x"]]}))
    with pytest.raises(ValueError, match=r"model\.json: " + words):
        cgru.from_rtneural(tmp_path / "model.json")
