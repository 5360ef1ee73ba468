"""``cgru bench``: sizes and models of every kind; nothing is printed before the model is found to be one."""

import numpy as np
import pytest

import cgru
from cgru.__main__ import main

pytestmark = pytest.mark.usefixtures("folder")
BRIEF = ["--seconds", "0.01", "--steps", "3"]

MODELS = {
    "gru": lambda: cgru.GRU(3, 5),
    "gru, two layers": lambda: cgru.GRU(3, 5, 2, batch_first=True),
    "gru, float64": lambda: cgru.GRU(3, 5, dtype="float64"),
    "gru, reversed": lambda: cgru.GRU(3, 5, reverse=True),
    "gru, go_backwards": lambda: cgru.GRU(3, 5, go_backwards=True),
    "gru, both ways": lambda: cgru.GRU(3, 5, 2, bidirectional=True),
    "lstm": lambda: cgru.LSTM(3, 5, 2),
    "lstm, both ways": lambda: cgru.LSTM(3, 5, bidirectional=True),
    "rnn": lambda: cgru.RNN(3, 5),
    "rnn, both ways": lambda: cgru.RNN(3, 5, bidirectional=True, batch_first=True),
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("rows", [1, 4])
def test_a_model_of_every_kind(capsys, name, rows):
    """Its steps where it can be stepped, its sequence always."""
    model = MODELS[name]()
    model.save("m.safetensors")
    assert main(["bench", "--model", "m.safetensors", "--batch-size", str(rows), *BRIEF]) == 0
    out, err = capsys.readouterr()
    assert not err
    head, step, sequence = out.splitlines()
    assert head == f"{model!r}, batch size {rows}"
    if name.endswith(("reversed", "go_backwards", "both ways")):
        kind = "bidirectional" if model.bidirectional else "reversed"
        assert step == f"step: none, a {kind} model needs the whole sequence"
    else:
        assert step.startswith("step: median") and "steps/s" in step
    assert sequence.startswith("3 steps: median") and "GFLOP/s" in sequence


def test_sizes(capsys):
    arguments = ["--input-size", "3", "--hidden-size", "5", "--num-layers", "2", "--threads", "2", "--batch-size", "9"]
    assert main(["bench", *arguments, *BRIEF]) == 0
    out = capsys.readouterr().out
    assert out.startswith("GRU(3, 5, num_layers=2") and "3 steps, 2 threads: median" in out


@pytest.mark.parametrize("content, words", [(None, "m.safetensors"), (b"noise", "m.safetensors")])
def test_a_bad_model_is_one_line(capsys, content, words):
    """And no header before it."""
    if content is not None:
        with open("m.safetensors", "wb") as file:
            file.write(content)
    assert main(["bench", "--model", "m.safetensors", *BRIEF]) == 2
    out, err = capsys.readouterr()
    assert not out and err.startswith("cgru: error: ") and err.count("\n") == 1 and words in err


def test_other_files_than_cgru_s_own(capsys):
    np.savez("state.npz", **cgru.LSTM(3, 5).state_dict())
    assert main(["bench", "--model", "state.npz", *BRIEF]) == 0
    assert capsys.readouterr().out.startswith("LSTM(3, 5")


@pytest.mark.parametrize("arguments", [
    ["--seconds", "0"], ["--seconds", "x"], ["--steps", "0"], ["--batch-size", "-1"], ["--engine", "fast"],
    ["--hidden-size", "two"], ["surplus"],
], ids=" ".join)  # fmt: skip
def test_bad_arguments_are_one_line(capsys, arguments):
    assert main(["bench", *arguments]) == 2
    out, err = capsys.readouterr()
    assert not out and err.startswith("cgru: error: ") and err.count("\n") == 1
