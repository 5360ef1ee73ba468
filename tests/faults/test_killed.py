"""Ended while writing: the old files stay, and there is no half file under a final name."""

import os
import re
import signal

import pytest

import cgru
from faults.outputs import WRITERS, content, needed, old_files
from faults.processes import STATUS, Command

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals")

#: All has been written, the name is still to come.
AT_THE_END = """
import cgru.files
def wait(_):
    reached()
    signal.pause()
cgru.files.os.fsync = wait
"""

#: One for each way in which a command writes: in pieces, as an archive, from a transform's threads, several files, and
#: all at once.
WAYS = [one for one in WRITERS if one.name in ("run, npy", "run, npz", "run, parquet", "convert, c", "check")]


@pytest.mark.parametrize("writer", WAYS, ids=str)
def test_killed(writer, inputs, tmp_path):
    """What stays beside the old files has a temporary name, which says whose it is."""
    needed(writer.needs)
    old_files(tmp_path, writer.outputs())
    before = content(tmp_path)
    with Command(AT_THE_END, *writer.words(inputs, tmp_path)) as command:
        command.wait()
        during = content(tmp_path)
        assert command.end(signal.SIGKILL)[0] == -signal.SIGKILL
    after = content(tmp_path)
    beside = set(after) - set(before)
    assert after == during and {name: after[name] for name in before} == before
    assert 1 <= len(beside) <= len(writer.outputs())
    names = "|".join(map(re.escape, writer.outputs()))
    assert all(re.fullmatch(rf"({names})\.[0-9a-f]{{16}}\.tmp", name) for name in beside)


@pytest.mark.parametrize("number", STATUS, ids=lambda number: number.name)
@pytest.mark.parametrize("writer", [WAYS[1], WAYS[3]], ids=str)
def test_asked_to_end(writer, number, inputs, tmp_path):
    """Nothing stays, nothing is said."""
    needed(writer.needs)
    old_files(tmp_path, writer.outputs())
    before = content(tmp_path)
    with Command(AT_THE_END, *writer.words(inputs, tmp_path)) as command:
        command.wait()
        assert set(content(tmp_path)) > set(before)
        status, _, err = command.end(number)
    assert (status, err) == (STATUS[number], "")
    assert content(tmp_path) == before


def test_what_was_left_by_the_killed_is_in_nobody_s_way(inputs, tmp_path, monkeypatch):
    """The next one writes beside it."""
    monkeypatch.chdir(tmp_path)
    with open("m.safetensors.0123456789abcdef.tmp", "wb") as file:
        file.write(b"half")
    gru = cgru.GRU(3, 5, rng=1)
    gru.save("m.safetensors")
    assert cgru.load("m.safetensors") == gru
    assert sorted(os.listdir()) == ["m.safetensors", "m.safetensors.0123456789abcdef.tmp"]
