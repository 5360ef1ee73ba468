"""Every option of every kind survives copies, files, pickles, and what `repr` says."""

import json
import pickle

import numpy as np
import pytest
import safetensors
import safetensors.numpy

import cgru
from support.compare import assert_same_model
from support.models import build, options_of


def test_everything_is_kept(best, configuration, tmp_path):
    model = build(best, configuration, 3, 5)
    model.save(tmp_path / "model.safetensors")
    for other in (
        cgru.load(tmp_path / "model.safetensors", engine=best.engine),
        pickle.loads(pickle.dumps(model)),
        best.from_state(model.state_dict(), **options_of(configuration)),
    ):
        assert_same_model(other, model)
        assert other.config == model.config and other == model
    if configuration.constructed:
        names = {best.cell.name: best.network, "np": np}
        again = eval(repr(model).replace("dtype=float", "dtype=np.float"), names)
        assert repr(again) == repr(model) and again.config == model.config


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("version", [1, 2])
def test_files_that_have_two_activations_for_an_rnn(nonlinearity, bidirectional, version, tmp_path):
    """As 0.1 wrote them."""
    model = cgru.RNN(3, 5, nonlinearity=nonlinearity, bidirectional=bidirectional, rng=1)
    model.save(tmp_path / "model")
    with safetensors.safe_open(tmp_path / "model", framework="numpy") as file:
        metadata = json.loads(file.metadata()["cgru"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    config = metadata["config"]
    config["activations"] = [[["sigmoid", 0.0, 0.0], *group] for group in config["activations"]]
    assert all(len(group) == 2 for group in config["activations"])
    if version == 1:
        config["cell"] = config.pop("kind")
    metadata["format"] = version
    (tmp_path / "old").write_bytes(safetensors.numpy.save(tensors, metadata={"cgru": json.dumps(metadata)}))
    assert_same_model(cgru.load(tmp_path / "old"), model)


@pytest.mark.parametrize("activations", [
    3, "tanh", [3], [[]], [["tanh", "relu"], 3], [[["mish", 0, 0]]], {"g": "tanh"},
])  # fmt: skip
@pytest.mark.parametrize("network", [cgru.GRU, cgru.RNN, cgru.LSTM])
def test_files_with_odd_activations(network, activations, tmp_path):
    model = network(3, 5, rng=1)
    model.save(tmp_path / "model")
    with safetensors.safe_open(tmp_path / "model", framework="numpy") as file:
        metadata = json.loads(file.metadata()["cgru"])
    metadata["config"]["activations"] = activations
    data = safetensors.numpy.save(model.state_dict(), metadata={"cgru": json.dumps(metadata)})
    (tmp_path / "odd").write_bytes(data)
    if (network, activations) == (cgru.RNN, "tanh"):
        return
    with pytest.raises(ValueError, match=r"odd: (activations|nonlinearity)"):
        cgru.load(tmp_path / "odd")
