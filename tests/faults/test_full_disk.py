"""Disks that are full and files that grow too large: one line, the old files, and nothing beside them."""

import contextlib
import importlib.util
import os
import shutil
import subprocess
import sys

import pytest

import cgru
from cgru.__main__ import main
from faults.outputs import WRITERS, content, each_call, each_writer, needed, old_files

pytestmark = pytest.mark.skipif(os.name != "posix", reason="limits and mounts")

#: Without pictures, which take a second.
LIGHT = [one for one in WRITERS if one.needs != "matplotlib"]


@contextlib.contextmanager
def limited(most):
    """No file of this process can grow beyond so many bytes. Python ignores the signal, so that writing fails."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def refused(capsys, arguments, words, writer):
    """The command ends with one line, which names one of its outputs."""
    capsys.readouterr()
    assert main(arguments) == 2
    error = capsys.readouterr().err
    line = error.splitlines()[-1]  # `run` says before that it reads all of x
    assert line.startswith("cgru: error: ") and words in line
    assert any(name in line for name in writer.outputs())
    assert len([line for line in error.splitlines() if "error" in line]) == 1


@pytest.mark.parametrize("old", [False, True], ids=["new", "old"])
@pytest.mark.parametrize("most", [100, 5000])
@pytest.mark.parametrize("writer", LIGHT, ids=str)
def test_a_file_that_may_not_grow(writer, most, old, inputs, tmp_path, capsys):
    """Of several files the second one may be the one that fails."""
    needed(writer.needs)
    if old:
        old_files(tmp_path, writer.outputs())
    before = content(tmp_path)
    with limited(most):
        refused(capsys, writer.words(inputs, tmp_path), "File too large", writer)
    assert content(tmp_path) == before


@each_writer
def test_without_faults_they_write(writer, inputs, tmp_path):
    """What is more than the limits above, so that they are met."""
    needed(writer.needs)
    try:
        status = main(writer.words(inputs, tmp_path))
    except SystemExit as end:
        status = end.code
    after = content(tmp_path)
    assert status == writer.status and sorted(after) == sorted(writer.outputs())
    assert max(map(len, after.values())) > 5000 and len(after[writer.outputs()[0]]) > 100


@each_call
def test_a_call_of_the_library(name, call, suffixes, needs, tmp_path):
    needed(needs)
    gru = cgru.GRU(6, 48, rng=1)
    old_files(tmp_path, [f"out{suffix}" for suffix in suffixes])
    before = content(tmp_path)
    for most in (100, 5000):
        with limited(most), pytest.raises(OSError, match=r"File too large: .*out[._]"):
            call(gru, tmp_path / "out")
        assert content(tmp_path) == before
    call(gru, tmp_path / "out")
    assert sorted(content(tmp_path)) == sorted(before)


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory):
    """A file system of 64 kB, for which one must be root and may mount."""
    folder = tmp_path_factory.mktemp("disk")
    if sys.platform != "linux" or shutil.which("mount") is None:
        pytest.skip("mounts a tmpfs")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no small disk: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.parametrize("left", [0, 4096])
def test_a_full_disk(left, small_disk, inputs, capsys):
    """With no room at all, and with room for the beginning."""
    for writer in WRITERS if left else LIGHT:
        for path in small_disk.iterdir():
            path.unlink()
        if writer.needs and importlib.util.find_spec(writer.needs) is None:
            continue
        old_files(small_disk, writer.outputs())
        fill(small_disk / "ballast", left)
        before = content(small_disk)
        refused(capsys, writer.words(inputs, small_disk), "No space left on device", writer)
        assert content(small_disk) == before


def fill(path, left):
    """A file that leaves so many bytes of its disk."""
    with open(path, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass
    with open(path, "r+b") as file:
        file.truncate(path.stat().st_size - left)
