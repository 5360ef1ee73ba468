"""The main job on real speech: data, model, both ways of running it, command line and picture."""

import hashlib
import importlib.resources
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors

import cgru
from cgru.__main__ import main
from cgru.demo import run as demo
from cgru.demo.classifier import Classifier, cross_entropy, softmax
from cgru.demo.data import load_tensors, load_utterances

SHA256 = {
    "train": "b531e6680122bee893af0ee8794a696bb7caad40d5abe04cc19dd8be9bc61172",
    "test": "7c71160980b89a87419481f63e5e0687879d87e97d824d2d77393df866943db5",
}
PER_SPEAKER = {"train": [30] * 9, "test": [31, 35, 88, 44, 29, 24, 40, 50, 29]}
FRAMES = {"train": (4274, 7, 26), "test": (5687, 7, 29)}


@pytest.fixture(scope="module")
def utterances():
    return load_utterances("test")


@pytest.fixture(scope="module")
def result(utterances):
    return demo.recognise(Classifier(load_tensors()), utterances, repeats=1)


def command(*arguments, **options):
    """Start ``python -m cgru`` with the package that is under test."""
    environment = {**os.environ, "PYTHONPATH": str(Path(cgru.__file__).parents[1])}
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "cgru", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        **options,
    )


# ---- data and model


@pytest.mark.parametrize("split", ["train", "test"])
def test_data_is_what_its_readme_says(split):
    data = load_utterances(split)
    total, shortest, longest = FRAMES[split]
    assert len(data) == sum(PER_SPEAKER[split])
    assert np.bincount(data.speaker).tolist() == PER_SPEAKER[split]
    assert (data.lengths.sum(), data.lengths.min(), data.lengths.max()) == (total, shortest, longest)
    assert data.frames.shape == (longest, len(data), 12)
    assert data.frames.dtype == np.float32
    valid = np.concatenate([data.frames[:length, k] for k, length in enumerate(data.lengths)])
    assert hashlib.sha256(valid.astype("<f4").tobytes()).hexdigest() == SHA256[split]
    for k, length in enumerate(data.lengths):
        assert not data.frames[length:, k].any()
    readme = (importlib.resources.files("cgru.demo") / "README.md").read_text()
    assert SHA256[split] in readme
    assert "10.24432/C5NS47" in readme and "CC BY 4.0" in readme


def test_model_file(utterances, result):
    tensors = load_tensors()
    assert {name: value.shape for name, value in tensors.items()} == {
        "gru.weight_ih_l0": (96, 12),
        "gru.weight_hh_l0": (96, 32),
        "gru.bias_ih_l0": (96,),
        "gru.bias_hh_l0": (96,),
        "head.weight": (9, 32),
        "head.bias": (9,),
    }
    with (
        importlib.resources.as_file(importlib.resources.files("cgru.demo") / "model.safetensors") as path,
        safetensors.safe_open(path, "numpy") as file,
    ):
        record = json.loads(file.metadata()["training"])
    assert record["made_by"] == "python -m cgru.demo.train"
    assert record["held_out_accuracy"] == record["held_out_accuracy_of_all_seeds"][record["seed"]] > 0.95
    assert record["test_accuracy"] == pytest.approx(np.mean(result.batched == utterances.speaker))


def test_softmax_and_cross_entropy():
    rng = np.random.default_rng(3)
    scores = rng.normal(size=(5, 9)) * 4
    p = softmax(scores)
    np.testing.assert_allclose(p, np.exp(scores) / np.exp(scores).sum(1, keepdims=True), rtol=1e-13)
    speaker = np.array([0, 8, 3, 3, 5])
    expected = -np.log(p[np.arange(5), speaker]).mean()
    assert cross_entropy(scores, speaker) == pytest.approx(expected, rel=1e-13)
    np.testing.assert_array_equal(softmax(np.array([1e4, 0.0])), [1.0, 0.0])


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
        model = Classifier(load_tensors())
        np.testing.assert_allclose(followed, model.probabilities(model.gru(row)[0]), atol=1e-6)


def test_confusion_table(utterances, result):
    table = demo.confusion(utterances.speaker, result.batched)
    assert table.shape == (9, 9)
    assert table.sum() == 370
    assert table.sum(axis=1).tolist() == PER_SPEAKER["test"]
    assert np.trace(table) / 370 == np.mean(result.batched == utterances.speaker)
    by_hand = demo.confusion(np.array([0, 0, 2]), np.array([0, 1, 2]))
    assert (by_hand[0, 0], by_hand[0, 1], by_hand[2, 2], by_hand.sum()) == (1, 1, 1, 3)


# ---- command line


def test_demo_command(capsys, utterances, result):
    assert main(["demo", "--utterance", "7"]) == 0
    output, errors = capsys.readouterr()
    assert errors == ""
    lines = output.splitlines()
    right = int((result.batched == utterances.speaker).sum())
    assert sum(f"accuracy {right / 370:.4f} ({right} of 370)" in line for line in lines) == 2
    assert "both ways agree    on 370 of 370 speakers" in output
    start = lines.index(next(line for line in lines if line.startswith("utterance 7, speaker 1")))
    length = utterances.lengths[6]
    running = [line.split() for line in lines[start + 2 : start + 2 + length]]
    assert [int(words[0]) for words in running] == list(range(1, length + 1))
    assert int(running[-1][1]) == result.batched[6] + 1
    assert lines[start + 2 + length] == ""
    table = [line.split() for line in lines[lines.index(lines[2]) + 2 : lines.index(lines[2]) + 11]]
    cells = np.array([[0 if cell == "." else int(cell) for cell in row[1:10]] for row in table])
    np.testing.assert_array_equal(cells, demo.confusion(utterances.speaker, result.batched))


def test_python_m(tmp_path):
    process = command("demo", cwd=tmp_path)
    output, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (0, "")
    assert "both ways agree" in output
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
def test_closed_pipe_leaves_no_traceback():
    process = command("demo")
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert (process.wait(timeout=120), errors) == (141, "")


def test_interrupt(monkeypatch, capsys):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "recognise", interrupt)
    assert main(["demo"]) == 130
    assert capsys.readouterr().err == ""


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"cgru {cgru.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "COMMAND"),
        (["nosuch"], "nosuch"),
        (["demo", "--nosuch"], "--nosuch"),
        (["demo", "surplus"], "surplus"),
        (["demo", "--utterance", "0"], "1 to 370, got 0"),
        (["demo", "--utterance", "371"], "1 to 370, got 371"),
        (["demo", "--utterance", "two"], "--utterance"),
        (["demo", "--plot"], "--plot"),
        (["demo", "--plot", "picture.bmp"], ".png"),
        (["demo", "--plot", "picture"], ".png"),
        (["demo", "--plot", "no/such/directory/picture.png"], "directory"),
    ],
)
def test_bad_arguments_are_one_line(capsys, arguments, says):
    assert main(arguments) == 2
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors.startswith("cgru: error: ") and errors.count("\n") == 1
    assert says in errors


def test_plot_without_matplotlib(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(["demo", "--plot", str(tmp_path / "picture.png")]) == 2
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors == 'cgru: error: --plot needs matplotlib: pip install "cgru[plot]"\n'
    assert not list(tmp_path.iterdir())


# ---- picture


@pytest.mark.parametrize(("name", "starts"), [("a.png", b"\x89PNG\r\n\x1a\n"), ("a.PDF", b"%PDF"), ("a.svg", b"<?xml")])
def test_plot_writes_a_picture(tmp_path, capsys, name, starts):
    pytest.importorskip("matplotlib")
    path = tmp_path / name
    assert main(["demo", "--plot", str(path), "--utterance", "3"]) == 0
    assert capsys.readouterr().err == ""
    picture = path.read_bytes()
    assert picture.startswith(starts) and len(picture) > 5_000


def test_plot_to_a_directory_or_where_nothing_can_be_written(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    directory = tmp_path / "directory.png"
    directory.mkdir()
    assert main(["demo", "--plot", str(directory)]) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("cgru: error: ") and errors.count("\n") == 1
    assert main(["demo", "--plot", str(tmp_path / ("long" * 100 + ".png"))]) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("cgru: error: ") and errors.count("\n") == 1
