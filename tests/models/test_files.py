"""Model files: the same model comes back, and a broken file says what is wrong with it."""

import dataclasses
import json
import os
import pickle
import stat

import numpy as np
import pytest
import safetensors.numpy

import cgru
from support.compare import assert_same_model


def test_file_there_and_back(model, tmp_path):
    path = tmp_path / "model.safetensors"
    for name in (path, str(path), os.fsencode(path)):
        model.save(name)
        assert_same_model(cgru.load(name, engine=model.engine), model)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~_umask()


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_bare_file_name(best, folder):
    model = best.model(3, 5, rng=1)
    model.save("model")
    assert_same_model(cgru.load("model", engine=best.engine), model)


def test_file_is_plain_safetensors(best, tmp_path):
    """Others can read it: PyTorch's names, and the configuration as JSON with a format version."""
    model = best.model(3, 5, 2, rng=1, batch_first=True)
    model.save(tmp_path / "model")
    tensors = safetensors.numpy.load_file(tmp_path / "model")
    assert set(tensors) == set(model.state_dict())
    with safetensors.safe_open(tmp_path / "model", framework="numpy") as file:
        metadata = json.loads(file.metadata()["cgru"])
    assert metadata["format"] == 2
    assert metadata["config"]["num_layers"] == 2 and metadata["config"]["batch_first"] is True
    assert metadata["config"]["kind"] == best.kind


def test_a_failed_save_leaves_nothing(tmp_path):
    model = cgru.GRU(3, 5, rng=1)
    (tmp_path / "folder").mkdir()
    for path, error in (
        (tmp_path / "folder", OSError),
        (tmp_path / "missing" / "model", OSError),
        (f"{tmp_path}/missing/", OSError),
        (3, TypeError),
    ):
        with pytest.raises(error):
            model.save(path)
    assert [p.name for p in tmp_path.rglob("*")] == ["folder"]


def test_a_failed_save_keeps_the_old_file(tmp_path, monkeypatch):
    model = cgru.GRU(3, 5, rng=1)
    model.save(tmp_path / "model")
    before = (tmp_path / "model").read_bytes()

    def no_space(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", no_space)
    with pytest.raises(OSError, match="No space left"):
        cgru.GRU(3, 5, rng=2).save(tmp_path / "model")
    assert (tmp_path / "model").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


# ----------------------------------------------------------------------------------------- broken files


def good_file(tmp_path):
    path = tmp_path / "model"
    cgru.GRU(3, 5, rng=1).save(path)
    return path


def test_truncated_files(tmp_path):
    path = good_file(tmp_path)
    whole = path.read_bytes()
    for size in (0, 1, 7, 8, 9, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match="model is not a complete safetensors file"):
            cgru.load(path)
    path.write_bytes(whole + b"\0")
    with pytest.raises(ValueError, match="model is not a complete safetensors file"):
        cgru.load(path)


def test_other_files(tmp_path):
    path = tmp_path / "model"
    for content in (b"PK\3\4" + bytes(range(256)), b"{}" * 50, pickle.dumps({"weight_ih_l0": np.ones(3)})):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="model is not a complete safetensors file"):
            cgru.load(path)
    path.write_bytes(safetensors.numpy.save(cgru.GRU(3, 5).state_dict()))
    with pytest.raises(ValueError, match=r"no cgru configuration .*from_state_dict"):
        cgru.load(path)
    for missing, error in ((tmp_path, IsADirectoryError), (tmp_path / "none", FileNotFoundError), (3, TypeError)):
        with pytest.raises(error):
            cgru.load(missing)


def rewrite(path, tensors=None, **changes):
    """Write a good file's content again with its metadata or tensors changed; None removes an entry."""
    with safetensors.safe_open(path, framework="numpy") as file:
        metadata = json.loads(file.metadata()["cgru"])
        kept = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    config = changes.pop("config", {})
    metadata |= changes
    if isinstance(config, dict):
        metadata["config"] |= config
        metadata["config"] = {name: value for name, value in metadata["config"].items() if value is not ...}
    else:
        metadata["config"] = config
    tensors = {name: values for name, values in (kept | (tensors or {})).items() if values is not None}
    path.write_bytes(safetensors.numpy.save(tensors, metadata={"cgru": json.dumps(metadata)}))


BAD_FILES = {
    "newer format": ({"format": 5}, ["format version 5", "reads versions 1 to 4", "update cgru"]),
    "format of quantised weights": ({"format": 3}, ["weight_dtypes in the metadata must be a list"]),
    "no format": ({"format": None}, ["format version None", "reads versions 1 to 4"]),
    "no configuration": ({"config": None}, ["no configuration"]),
    "unknown entry": ({"config": {"peephole": True}}, ["peephole", "update cgru"]),
    "missing entry": ({"config": {"hidden_size": ...}}, ["lacks hidden_size"]),
    "other size": ({"config": {"hidden_size": 6}}, ["weight_hh_l0 has shape (15, 5), expected (18, 6)"]),
    "more layers": ({"config": {"num_layers": 2}}, ["missing weight_ih_l1 (15, 5)"]),
    "far more layers": ({"config": {"num_layers": 10**9}}, ["missing weight_ih_l1 (15, 5)", "and more"]),
    "no bias": ({"config": {"bias": False}}, ["unknown bias_ih_l0"]),
    "size of a wrong type": ({"config": {"input_size": "3"}}, ["input_size must be an integer"]),
    "clip beyond every float": ({"config": {"clip": 10**400}}, ["too large"]),
    "other kind": ({"config": {"kind": "lstm9"}}, ["lstm9"]),
    "another kind's option": ({"config": {"kind": "lstm", "reset_after": False}}, ["reset_after", "LSTM"]),
    "tensor missing": ({"tensors": {"bias_hh_l0": None}}, ["missing bias_hh_l0"]),
    "tensor unknown": ({"tensors": {"extra": np.ones(2)}}, ["unknown extra"]),
    "tensor of integers": ({"tensors": {"bias_hh_l0": np.ones(15, int)}}, ["bias_hh_l0 has dtype int64", "float32"]),
    "tensor of the other float": ({"tensors": {"bias_hh_l0": np.ones(15)}}, ["bias_hh_l0 has dtype float64"]),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_files_that_do_not_fit(case, tmp_path):
    changes, words = BAD_FILES[case]
    path = good_file(tmp_path)
    rewrite(path)
    assert_same_model(cgru.load(path), cgru.GRU(3, 5, rng=1))
    rewrite(path, **changes)
    with pytest.raises(ValueError, match="model: ") as caught:
        cgru.load(path)
    for word in words:
        assert word in str(caught.value)


def test_the_first_format_is_still_read(best, tmp_path):
    """0.1 said "cell" where it is "kind" now; a file of each kind that it wrote is in golden/models."""
    model = best.model(3, 5, 2, batch_first=True, rng=1)
    path = tmp_path / "model"
    model.save(path)
    rewrite(path, format=1, config={"kind": ..., "cell": best.kind})
    assert_same_model(cgru.load(path, engine=best.engine), model)


def test_metadata_that_is_not_json(tmp_path):
    path = tmp_path / "model"
    for text in ("{", "[" * 100_000, "[]"):
        path.write_bytes(safetensors.numpy.save(cgru.GRU(3, 5).state_dict(), metadata={"cgru": text}))
        with pytest.raises(ValueError, match=r"model: (its cgru metadata is not JSON|format version None)"):
            cgru.load(path)


def test_every_configuration_entry_is_stored(tmp_path):
    """A field that is added to the configuration must reach the file."""
    path = good_file(tmp_path)
    with safetensors.safe_open(path, framework="numpy") as file:
        stored = json.loads(file.metadata()["cgru"])["config"]
    assert set(stored) == {field.name for field in dataclasses.fields(cgru.GRU(3, 5).config)}
