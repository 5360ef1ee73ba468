"""Output files: written atomically, whatever is in them; the format of model files is in `stored`."""

import contextlib
import errno
import io
import os
import stat
import sys


def write_whole(path, data):
    """Write bytes to a file, atomically."""
    with whole_file(path) as file:
        file.write(data)


@contextlib.contextmanager
def whole_file(path):
    """A binary file to write to: every output of the package comes from here.

    It gets its name when the block ends and all is on the disk, and is removed when that fails: until then it has a
    temporary name in the same folder, and whatever had the name before stays. A file that is replaced hands on its
    mode. Of a symbolic link it is the target that is replaced, and the link stays. What is no regular file, such as a
    device or a FIFO, and this process's own output are written to as they are.

    Raises
    ------
    OSError
        The file cannot be written; the error names it, as it does where the disk is full.
    """
    path = os.fsdecode(path)
    try:
        found = os.stat(path)
    except FileNotFoundError:
        found = None
    own = None if found is None else _own_output(found)
    if found is not None and (own is not None or not stat.S_ISREG(found.st_mode)):
        with _opened(path, "wb", path, seekable=False, own=own) as file:
            yield file
        return
    if path.endswith((os.sep, os.altsep or os.sep)):
        raise FileNotFoundError(errno.ENOENT, "there is no such folder, and a file needs a name", path)
    target = os.path.realpath(path)
    # The name is known before the file exists, so that whatever interrupts the writing, the file can be removed.
    temporary = f"{target}.{os.urandom(8).hex()}.tmp"
    try:
        with _opened(temporary, "xb", path, mode=0o666 if found is None else 0o600) as file:
            if found is not None and os.name == "posix":    # elsewhere that is no more than whether it is read-only
                os.chmod(temporary, stat.S_IMODE(found.st_mode))
            yield file
            file.flush()
            file.raw.sync()     # a crash soon after the new name would leave it to an empty file
        with _named(path):      # Windows replaces no file that is open or read-only
            os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def refuse_input(what, path, inputs):
    """Refuse an output that is one of the files that it is made of, by whatever name or link.

    Parameters
    ----------
    what : str
        What the error calls the output.
    path : path
    inputs : dict of str to path
        What the error calls each input, and the input.

    Raises
    ------
    ValueError
    """
    for name, other in inputs.items():
        if os.path.exists(path) and os.path.exists(other) and os.path.samefile(path, other):
            raise ValueError(f"{what} {path} is the same file as {name} {other}, which is read; give it another name")


@contextlib.contextmanager
def _named(path):
    """Errors name the file that the user asked for."""
    try:
        yield
    except OSError as error:
        error.filename = path
        del error.filename2
        raise


class _Output(io.FileIO):
    """An opened file whose errors name the file that the user asked for."""

    def __init__(self, path, how, shown, seekable, mode, own):
        self._shown, self._seekable = shown, seekable

        def opener(name, flags):
            return os.open(name, flags, mode) if own is None else os.dup(own)

        with _named(shown):
            super().__init__(path, how, opener=opener)

    def write(self, data):
        with _named(self._shown):
            return super().write(data)

    def sync(self):
        """Wait until what was written is on the disk, where the file system can say so."""
        with _named(self._shown):
            try:
                os.fsync(self.fileno())
            except OSError as error:
                if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
                    raise

    def close(self):
        with _named(self._shown):
            super().close()

    def seekable(self):
        return self._seekable

    def seek(self, *place):
        if not self._seekable:
            raise io.UnsupportedOperation("seek")
        return super().seek(*place)

    def tell(self):
        if not self._seekable:      # a null device says that it is at 0 for ever, and zipfile believes it
            raise io.UnsupportedOperation("tell")
        return super().tell()


def _opened(path, how, shown, *, seekable=True, mode=0o666, own=None):
    return io.BufferedWriter(_Output(path, how, shown, seekable, mode, own), 1 << 17)


def _own_output(found):
    """The descriptor, 1 or 2, with which this process prints to a file, as it does to /dev/stdout; or None."""
    if not found.st_ino:        # Windows: devices and pipes have no numbers, so all would be the same
        return None
    for number, stream in ((1, sys.stdout), (2, sys.stderr)):
        with contextlib.suppress(OSError):
            if os.path.samestat(found, os.fstat(number)):
                stream.flush()
                return number
    return None
