"""The command line itself: help, version, wrong arguments, Ctrl-C, a closed pipe, ``python -m cgru``."""

import os
import sys

import pytest

import cgru
from cgru.__main__ import main
from cgru.commands import COMMANDS, demo, module_of
from support.processes import run_cgru, run_python, start_cgru


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"cgru {cgru.__version__}\n"


def test_alone_it_prints_the_help(capsys):
    """Exit status 0, every command with its line; --help says the same."""
    assert main([]) == 0
    out, err = capsys.readouterr()
    assert not err and out.startswith("usage: cgru ")
    words = " ".join(out.split())
    assert all(kind in words for kind in ("GRU", "LSTM", "RNN", "network"))
    for name, line in COMMANDS.items():
        assert f"{name} {line}" in words
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0 and capsys.readouterr().out == out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(capsys, name):
    with pytest.raises(SystemExit) as stop:
        main([name, "--help"])
    assert stop.value.code == 0
    out = capsys.readouterr().out
    assert out.startswith(f"usage: cgru {name} ")
    module = module_of(name)
    assert callable(module.add_arguments) and callable(module.main) and module.__doc__


def test_the_help_imports_nothing_slow():
    """No SciPy, no framework, no Matplotlib; `cgru --version` is quick."""
    words = run_python("import sys; from cgru.__main__ import main; main([]); print(*sys.modules, file=sys.stderr)")
    heavy = {"scipy.linalg", "matplotlib", "torch", "onnx", "keras", "h5py", "tqdm"}
    assert not heavy & set(words.stderr.split())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nosuch"], "nosuch"),
        (["inform"], "invalid choice"),
        (["demo", "--nosuch"], "--nosuch"),
        (["demo", "surplus"], "surplus"),
        (["demo", "--utter", "3"], "--utter"),      # options are written in full
    ],
)
def test_bad_arguments_are_one_line(capsys, arguments, says):
    assert main(arguments) == 2
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors.startswith("cgru: error: ") and errors.count("\n") == 1
    assert says in errors


def test_interrupt(monkeypatch, capsys):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "recognise", interrupt)
    assert main(["demo"]) == 130
    assert capsys.readouterr().err == ""


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
def test_closed_pipe_leaves_no_traceback():
    process = start_cgru("demo")
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert (process.wait(timeout=120), errors) == (141, "")


def test_python_m(tmp_path):
    done = run_cgru("demo", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "both ways agree" in done.stdout
    assert not list(tmp_path.iterdir())


def test_a_package_that_is_missing(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(["demo", "--plot", str(tmp_path / "picture.png")]) == 2
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors == 'cgru: error: --plot needs matplotlib: pip install "cgru[plot]"\n'
    assert not list(tmp_path.iterdir())
