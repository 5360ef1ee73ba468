"""A short search in every format, and that a search finds a fault that is planted; `run` has the long ones."""

import argparse
import random
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cgru import tensors
from cgru.commands import _arrays
from fuzz.doors import Check
from fuzz.formats import CORPUS, FORMATS
from fuzz.run import record
from fuzz.search import search

RUN = Path(__file__).with_name("run.py")


def test_changed_files_are_read_or_refused(format_, tmp_path, seconds, seed):
    check = Check(format_, tmp_path)
    for data, found in search(check, format_, seconds, seed):
        kept = tmp_path / "found"
        kept.write_bytes(data)
        pytest.fail(f"seed {seed}: {found}; python tests/fuzz/run.py {format_.name} --replay {kept}")


def test_changes_are_the_same_from_the_same_seed_and_many(format_):
    start = next(iter(format_.seeds.values()))
    first, again = ([format_.changed(start, rng) for _ in range(30)] for rng in (random.Random(5), random.Random(5)))
    if format_.name != "keras":  # HDF5 has times in its files
        assert first == again
    assert len(set(first)) > 15
    assert len([data for data in first if data != start]) > 15


# ---- planted faults


def _unchecked(name, entry):
    """A tensor's place, whatever its shape says."""
    begin, end = entry["data_offsets"]
    return tensors._Tensor(entry["dtype"], tuple(entry["shape"]), begin, end)


def _bare(self):
    """A header whose length is unpacked without a look at how much there is."""
    struct.unpack("<Q", self._file.read(8))
    self._file.seek(0)
    return header(self)


header = tensors.TensorFile._header


def _without_a_name(self, rows):
    """Lines of numbers, and an error in Python's words."""
    lines = [self._file.readline() for _ in range(rows)]
    return np.array([[float(cell) for cell in line.split(",")] for line in lines if line.strip()])


@pytest.mark.parametrize("name, place, function, planted, told", [
    ("safetensors", tensors, "_tensor", _unchecked, "MemoryError"),
    ("cgru", tensors.TensorFile, "_header", _bare, "unpack requires"),
    ("csv_input", _arrays._Csv, "take", _without_a_name, "does not name the file"),
], ids=["an unchecked shape", "a bare struct.unpack", "an error without a name"])  # fmt: skip
def test_a_planted_fault_is_found(name, place, function, planted, told, tmp_path, monkeypatch):
    format_ = FORMATS[name]
    check = Check(format_, tmp_path)
    monkeypatch.setattr(place, function, planted)
    rng, seeds = random.Random(1), list(format_.seeds.values())
    found = (check(format_.changed(rng.choice(seeds), rng)) for _ in range(3000))
    assert any(told in text for texts in found for text in texts)


def test_the_command_line(tmp_path):
    good = next((CORPUS / "nam").glob("*.nam"))

    def run(*arguments):
        return subprocess.run(
            [sys.executable, RUN, *arguments], capture_output=True, text=True, timeout=300, check=False
        )

    assert run("nam", "--replay", good).stdout == "all holds\n"
    assert run("x", "--replay", good).stderr.startswith("there is no format x; there are cgru, ")
    assert run("--replay", good).returncode == 2


def test_the_record():
    row = {"format": "nam", "executions": 1200, "models": 7, "refusals": 1193, "edges": 5, "seconds": 60.2, "found": 1}
    text = record([row, row], argparse.Namespace(seconds=60, seed=3), "a tool")
    assert "| nam | 1,200 | 7 | 1,193 | 5 | 60 | 1 |" in text and "| all 2 | 2,400 | | | | 120 | 2 |" in text
    assert "; a tool; 60 s for each format, seed 3." in text
