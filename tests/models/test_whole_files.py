"""What is written, by `save`, `to_onnx` and every command: links, modes, devices, full disks, half files."""

import errno
import os
import stat
import subprocess
import sys
import threading

import numpy as np
import pytest

import cgru
from cgru.files import refuse_input, whole_file

pytestmark = [
    pytest.mark.usefixtures("folder"),
    pytest.mark.skipif(os.name != "posix", reason="links, modes and devices"),
]


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


@pytest.fixture
def umask():
    before = os.umask(0o027)
    yield
    os.umask(before)


def test_a_new_file_has_the_mode_of_the_umask(umask):
    cgru.GRU(2, 3).save("m.safetensors")
    assert mode("m.safetensors") == 0o640


@pytest.mark.parametrize("before", [0o600, 0o640, 0o664, 0o755], ids=oct)
def test_a_file_that_is_replaced_keeps_its_mode(umask, before):
    cgru.GRU(2, 3).save("m.safetensors")
    os.chmod("m.safetensors", before)
    gru = cgru.GRU(2, 4)
    gru.save("m.safetensors")
    assert mode("m.safetensors") == before and cgru.load("m.safetensors") == gru


@pytest.mark.parametrize("there", [True, False])
def test_a_link_is_followed(there):
    os.mkdir("store")
    if there:
        cgru.GRU(2, 3).save("store/one.safetensors")
        os.chmod("store/one.safetensors", 0o600)
    os.symlink("store/one.safetensors", "m.safetensors")
    gru = cgru.GRU(2, 4)
    gru.save("m.safetensors")
    assert os.path.islink("m.safetensors") and cgru.load("store/one.safetensors") == gru
    assert not there or mode("store/one.safetensors") == 0o600
    assert os.listdir("store") == ["one.safetensors"]


def test_a_fifo_is_written_to():
    os.mkfifo("m.safetensors")
    gru, got = cgru.GRU(2, 4), []

    def read():
        with open("m.safetensors", "rb") as file:
            got.append(file.read())

    reader = threading.Thread(target=read)
    reader.start()
    gru.save("m.safetensors")
    reader.join(10)
    with open("copy.safetensors", "wb") as file:
        file.write(got[0])
    assert stat.S_ISFIFO(os.stat("m.safetensors").st_mode) and cgru.load("copy.safetensors") == gru
    assert sorted(os.listdir()) == ["copy.safetensors", "m.safetensors"]


def test_an_npz_into_a_fifo():
    """Zip archives seek where they can."""
    os.mkfifo("a.npz")
    reader = subprocess.Popen(["cat", "a.npz"], stdout=subprocess.PIPE)
    with whole_file("a.npz") as file:
        np.savez(file, a=np.arange(3))
    with open("copy.npz", "wb") as file:
        file.write(reader.communicate(timeout=10)[0])
    assert np.load("copy.npz")["a"].tolist() == [0, 1, 2]


def test_a_device_stays_one():
    os.symlink(os.devnull, "null.safetensors")
    cgru.GRU(2, 4).save("null.safetensors")
    assert stat.S_ISCHR(os.stat("null.safetensors").st_mode) and os.listdir() == ["null.safetensors"]


def test_standard_output(tmp_path):
    program = "from cgru.files import write_whole; print('one'); write_whole('/dev/stdout', b'two\\n'); print('three')"
    with open("out.txt", "wb") as out:
        subprocess.run([sys.executable, "-c", program], stdout=out, check=True, timeout=60,
                       env=os.environ | {"PYTHONPATH": os.path.dirname(os.path.dirname(cgru.__file__))})  # fmt: skip
    with open("out.txt") as file:
        assert file.read() == "one\ntwo\nthree\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_named():
    os.symlink("/dev/full", "m.safetensors")
    with pytest.raises(OSError, match=r"No space left on device: 'm.safetensors'"):
        cgru.GRU(2, 4).save("m.safetensors")


def test_an_error_leaves_the_old_file_alone():
    with open("a", "wb") as file:
        file.write(b"old")
    for error in (ValueError, KeyboardInterrupt, SystemExit):
        with pytest.raises(error), whole_file("a") as file:
            file.write(b"new")
            raise error
    with open("a", "rb") as file:
        assert file.read() == b"old"
    assert os.listdir() == ["a"]
    with pytest.raises(FileNotFoundError, match="nowhere/a'"):
        cgru.GRU(2, 4).save("nowhere/a")


def test_an_output_is_no_input(tmp_path):
    for name in ("a", "b"):
        with open(name, "wb"):
            pass
    os.symlink("a", "link")
    os.link("a", "hard")
    for name in ("a", "./a", "link", "hard", str(tmp_path / "a")):
        with pytest.raises(ValueError, match=r"OUT .* is the same file as IN a, which is read"):
            refuse_input("OUT", name, {"IN": "a"})
    refuse_input("OUT", "b", {"IN": "a", "other": "missing"})
    refuse_input("OUT", "missing", {"IN": "a"})


# ------------------------------------------------------------------------------------------------- crashes


def test_the_name_comes_when_all_is_on_the_disk(monkeypatch):
    """After a crash there is the old file or the new one, and not an empty one."""
    calls, fsync, replace = [], os.fsync, os.replace

    def synced(number):
        calls.append(("fsync", os.fstat(number).st_ino, os.fstat(number).st_size))
        fsync(number)

    def renamed(source, target):
        calls.append(("replace", os.stat(source).st_ino, os.stat(source).st_size))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed)
    cgru.GRU(2, 3).save("m.safetensors")
    found = os.stat("m.safetensors")
    assert calls == [("fsync", found.st_ino, found.st_size), ("replace", found.st_ino, found.st_size)]


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_what_the_disk_does_not_take_gets_no_name(monkeypatch, number):
    def failing(_):
        raise OSError(number, os.strerror(number))

    gru = cgru.GRU(2, 3)
    gru.save("m.safetensors")
    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(OSError, match=r"m\.safetensors") as caught:
        cgru.GRU(2, 4).save("m.safetensors")
    assert caught.value.errno == number
    assert os.listdir() == ["m.safetensors"] and cgru.load("m.safetensors") == gru


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS, errno.ENOTSUP])
def test_a_file_system_that_cannot_say(monkeypatch, number):
    def unknown(_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", unknown)
    cgru.GRU(2, 3).save("m.safetensors")
    assert os.listdir() == ["m.safetensors"] and cgru.load("m.safetensors").hidden_size == 3


# ------------------------------------------------------------------------------------------------- Windows


def test_a_file_that_cannot_be_replaced_is_named(monkeypatch):
    """Windows replaces no file that another program has open."""

    def refused(source, target):
        raise PermissionError(errno.EACCES, "Access is denied", source, None, target)

    gru = cgru.GRU(2, 3)
    gru.save("m.safetensors")
    monkeypatch.setattr(os, "replace", refused)
    with pytest.raises(PermissionError, match=r"Access is denied: 'm\.safetensors'$"):
        cgru.GRU(2, 4).save("m.safetensors")
    assert os.listdir() == ["m.safetensors"] and cgru.load("m.safetensors") == gru


def test_either_separator_ends_the_name_of_a_folder(monkeypatch):
    monkeypatch.setattr(os, "altsep", "|")
    with pytest.raises(FileNotFoundError, match="a file needs a name"):
        cgru.GRU(2, 3).save("folder|")
    assert os.listdir() == []
