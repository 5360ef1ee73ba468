"""Ctrl-C in the midst of long work: status 130, not a word, no file, and no process that lives on.

`run` over a file of minutes is in commands/test_run.py, that of Parquet files in test_run_parquet.py, several
processes in batch/test_ray.py, and calls of the library in engines/test_interrupts.py.
"""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from cgru.judge import group
from faults.outputs import content
from faults.processes import STATUS, Command
from support.tools import tool

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals")

#: Whatever a command first asks of a model it gets, and then again, for ever. A stream is made and used for ever:
#: `bench` is told to take a thousand seconds.
ENDLESS = """
import cgru
from cgru.streamed import Streamed

def endless(method):
    def repeated(*given, **options):
        reached()
        while True:
            method(*given, **options)
    return repeated

for kind in (cgru.GRU, cgru.LSTM, cgru.RNN, cgru.Sequential):
    kind.__call__, kind.record = endless(kind.__call__), endless(kind.record)

stream = Streamed.stream
def said(*given, **options):
    reached()
    return stream(*given, **options)
Streamed.stream = said
"""

COMMANDS = {
    "run": "run IN/m.safetensors IN/x.npy -o OUT.npz",
    "run, threads": "run IN/both.safetensors IN/rows.npy -o OUT.npy --threads 2",
    "bench": "bench --seconds 1000",
    "bench, latency": "bench --latency --seconds 1000",
    "check": "check IN/m.safetensors IN/x.npy IN/other.npy --save OUT.safetensors",
    "compare": "compare",
    "demo": "demo",
    "quantize": "quantize IN/m.safetensors OUT.safetensors --weights int8 --data IN/x.npy",
}


@pytest.mark.parametrize("name", COMMANDS)
def test_ctrl_c(name, inputs, tmp_path):
    words = COMMANDS[name].replace("IN", str(inputs)).replace("OUT", f"{tmp_path}/out").split()
    with Command(ENDLESS, *words) as command:
        command.wait()
        status, _, err = command.end(signal.SIGINT)
    errors = [line for line in err.splitlines() if line != "reached"]  # several threads may come there
    assert status == 130 and not errors
    assert not content(tmp_path)
    if os.path.isdir("/proc"):
        assert not command.left()


@pytest.mark.parametrize("number", STATUS, ids=lambda number: number.name)
def test_a_judge(number, tmp_path):
    """While a contestant hangs, which is in a process group of its own: it is ended too, and no file stays."""
    tool("cc", "gcc", "clang")
    bad = Path(__file__).parents[1] / "judge/contestants/bad.c"
    (tmp_path / "temporary").mkdir()
    words = ["judge", bad, "--only", "right", "--flags=-O1 -DLOOPS", "--json", tmp_path / "out.json"]
    temporary = f"import os\nos.environ['TMPDIR'] = {str(tmp_path / 'temporary')!r}\n"
    with Command(temporary, *words) as command:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob("temporary/*/results")):
            assert command.process.poll() is None and time.monotonic() < deadline, command.end()
            time.sleep(0.01)
        status, _, err = command.end(number)
        assert (status, err) == (STATUS[number], "")
        if os.path.isdir("/proc"):
            assert not command.left()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["temporary"]
    assert not list((tmp_path / "temporary").iterdir())


@pytest.mark.skipif(not os.path.isdir("/proc"), reason="looks into /proc")
def test_the_search_for_processes_finds_one():
    program = "import os, subprocess\nsubprocess.Popen(['sleep', '100'])\nreached()\nos._exit(0)\n"
    with Command(program) as command:
        command.wait()
        command.process.wait()
        deadline = time.monotonic() + 60
        while not command.marked() and time.monotonic() < deadline:  # just started it may have no environment yet
            time.sleep(0.01)
        found = command.marked()
        for number in found:
            os.kill(number, signal.SIGKILL)
        assert len(found) == 1 and not command.left()


def test_ctrl_c_while_a_process_is_started(monkeypatch):
    """It comes before anybody knows of the process, which is ended all the same."""
    started = []

    class Popen(subprocess.Popen):
        def __init__(self, *given, **options):
            super().__init__(*given, **options)
            started.append(self)
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.setattr(group.subprocess, "Popen", Popen)
    try:
        with pytest.raises(KeyboardInterrupt), group.running(["sleep", "100"]):
            raise AssertionError("it did not come")
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert started[0].poll() == -signal.SIGKILL
