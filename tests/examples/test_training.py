"""The script that trained the demo's model: its parts, its one look at the test split, its errors."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors
from speakers import train as script
from speakers.train import Settings, fold_of, initial_tensors, load_utterances, train

import cgru
from cgru.sequential import Sequential
from cgru.stored import load
from support.speakers import utterances_are

BRIEF = Settings(epochs=2, noise=0.1, shift=0.05)


@pytest.fixture(scope="module")
def utterances():
    return load_utterances("train")


def test_data_is_what_its_readme_says(utterances):
    sha256 = "b531e6680122bee893af0ee8794a696bb7caad40d5abe04cc19dd8be9bc61172"
    utterances_are(utterances, [30] * 9, (4274, 7, 26), sha256, (script.HERE / "README.md").read_text())


def test_folds_are_neighbours_and_hold_every_speaker(utterances):
    fold = fold_of(utterances, 5)
    for speaker in range(9):
        assert fold[utterances.speaker == speaker].tolist() == sorted([0, 1, 2, 3, 4] * 6)


def test_gradients_are_central_differences(utterances):
    rng = np.random.default_rng(2)
    tensors = initial_tensors(rng)
    rows = utterances[np.arange(0, 270, 37)]
    batch = (rows.frames, rows.lengths, rows.speaker, 0.1)
    _, gradients = script.loss_and_gradients(tensors, *batch)
    assert gradients.keys() == tensors.keys()
    for name, p in tensors.items():
        direction = gradients[name] / np.linalg.norm(gradients[name])
        step = np.float32(1e-2)
        up, _ = script.loss_and_gradients({**tensors, name: p + step * direction}, *batch)
        down, _ = script.loss_and_gradients({**tensors, name: p - step * direction}, *batch)
        assert (up - down) / (2 * step) == pytest.approx(np.linalg.norm(gradients[name]), rel=5e-3, abs=1e-4)


def test_training_repeats_and_learns(utterances):
    some = utterances[::3]
    once, again, other = (train(some, BRIEF, seed) for seed in (4, 4, 5))
    for name in once:
        assert once[name].dtype == np.float32
        np.testing.assert_array_equal(once[name], again[name])
        assert (once[name] != other[name]).any()
    _, before = script.evaluate(initial_tensors(np.random.default_rng(4)), some)
    _, after = script.evaluate(once, some)
    assert after < before


def test_whole_script_looks_at_the_test_split_once(monkeypatch, tmp_path, capsys, utterances):
    splits = []

    def loads(split):
        splits.append(split)
        return utterances[::9] if split == "train" else utterances[1::9]

    monkeypatch.setattr(script, "load_utterances", loads)
    monkeypatch.setattr(script, "CANDIDATES", (BRIEF, Settings(epochs=1, noise=0.0, shift=0.0)))
    path = tmp_path / "model.safetensors"
    assert script.main(["--out", str(path), "--seeds", "2", "--folds", "2"]) == 0
    output, errors = capsys.readouterr()
    assert errors == ""
    assert splits == ["train", "test"]
    assert "chosen: Settings(epochs=2" in output and "test accuracy" in output.splitlines()[-1]
    net = Sequential.from_chain(load(path))
    assert [layer.config.kind for layer in net.layers] == ["gru", "linear"] and net.last is True
    frames = utterances.frames[: utterances.lengths.max(), ::9]
    np.testing.assert_allclose(net(frames)[0].sum(axis=-1), 1, atol=1e-6)  # with the softmax
    with safetensors.safe_open(path, "numpy") as file:
        record = json.loads(file.metadata()["training"])
    assert record["settings"]["epochs"] == 2 and f"accuracy {record['test_accuracy']:.4f}" in output


def test_errors_are_one_line(capsys, tmp_path):
    for arguments in (["--folds", "1"], ["--seeds", "x"], ["--nosuch"]):
        assert script.main(arguments) == 2
        errors = capsys.readouterr().err
        assert errors.startswith("train.py: error: ") and errors.count("\n") == 1
    assert script.main(["--out", str(tmp_path / "nosuch" / "model.safetensors")]) == 2
    assert "no such directory" in capsys.readouterr().err


def test_gradients_are_pytorch_s(torch, utterances):
    tensors = initial_tensors(np.random.default_rng(3))
    rows = utterances[np.arange(0, 270, 31)]
    loss, gradients = script.loss_and_gradients(tensors, rows.frames, rows.lengths, rows.speaker, 0.1)
    leaves = {name: torch.tensor(value, requires_grad=True) for name, value in tensors.items()}
    weights = {name.removeprefix("0."): leaf for name, leaf in leaves.items() if name.startswith("0.")}
    y, _ = torch.func.functional_call(torch.nn.GRU(12, 32), weights, torch.from_numpy(rows.frames))
    last = y[torch.from_numpy(rows.lengths) - 1, torch.arange(len(rows))]
    scores = last @ leaves["1.weight"].T + leaves["1.bias"]
    target = torch.from_numpy(rows.speaker)
    expected = torch.nn.functional.cross_entropy(scores, target, label_smoothing=0.1)
    expected.backward()
    assert loss == pytest.approx(expected.item(), rel=1e-6)
    for name, leaf in leaves.items():
        np.testing.assert_allclose(gradients[name], leaf.grad.numpy(), rtol=1e-4, atol=1e-6)


SHORT = """
import sys
sys.path.append(sys.argv[2])
from speakers import train as script
script.ensure_one_thread()
script.CANDIDATES = (script.Settings(epochs=2, noise=0.1, shift=0.05),)
sys.exit(script.main(["--out", sys.argv[1], "--seeds", "1", "--folds", "2"]))
"""


def test_same_bytes_whatever_blas_is_told(tmp_path):
    models = []
    told = (
        {},
        dict.fromkeys(script.ONE_THREAD, "1"),
        {"OPENBLAS_NUM_THREADS": "2", "OPENBLAS_CORETYPE": "Haswell"},
    )
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in script.CLEARED + tuple(script.ONE_THREAD)
    }
    for number, settings in enumerate(told):
        environment = {**kept, **settings, "PYTHONPATH": str(Path(cgru.__file__).parents[1])}
        path = tmp_path / f"{number}.safetensors"
        command = [sys.executable, "-P", "-c", SHORT, str(path), str(script.HERE.parent)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        assert done.returncode == 0, done.stderr
        models.append(path.read_bytes())
    assert models[0] == models[1] == models[2]
