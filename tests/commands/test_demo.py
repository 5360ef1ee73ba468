"""``cgru demo``: what it prints, and its picture. The job itself is in demo/."""

import numpy as np
import pytest

from cgru.__main__ import main
from cgru.commands import demo
from cgru.demo.data import load_network, load_utterances


@pytest.fixture(scope="module")
def utterances():
    return load_utterances("test")


@pytest.fixture(scope="module")
def result(utterances):
    return demo.recognise(load_network(), utterances, repeats=1)


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


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--utterance", "0"], "1 to 370, got 0"),
        (["--utterance", "371"], "1 to 370, got 371"),
        (["--utterance", "two"], "--utterance"),
        (["--plot"], "--plot"),
        (["--plot", "picture.bmp"], ".png"),
        (["--plot", "picture"], ".png"),
        (["--plot", "no/such/folder/picture.png"], "there is no folder no/such/folder"),
    ],
)
def test_bad_arguments_are_one_line(capsys, arguments, says):
    assert main(["demo", *arguments]) == 2
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors.startswith("cgru: error: ") and errors.count("\n") == 1
    assert says in errors


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
    for path in (directory, tmp_path / ("long" * 100 + ".png")):
        assert main(["demo", "--plot", str(path)]) == 2
        errors = capsys.readouterr().err
        assert errors.startswith("cgru: error: ") and errors.count("\n") == 1
