"""What holds of every file: all doors end in a model or in one line that says what is wrong, and touch nothing else."""

import contextlib
import functools
import importlib
import io
import os
import sys
import time
import traceback
import warnings

import numpy as np

from cgru.commands import build_parser
from cgru.commands._exit import guarded

#: Processor time that a file of some kilobytes may take at one door.
MOST_SECONDS = 5
_FEW = 100_000  # parameters of a model that is tried out
#: Audit events of what no reader does.
_CALLS = ("os.system", "os.exec", "os.fork", "os.posix_spawn", "socket.connect", "pickle.find_class")


class Watch:
    """What the process does outside of a folder while it is on: Python's audit events. There is one, for good."""

    def __init__(self):
        self.seen, self._folder, self._children, self._on = [], "", False, False
        self._read = (
            sys.prefix,
            sys.base_prefix,
            os.path.realpath(sys.prefix),
            "/proc/",
            "/sys/",
            "/dev/urandom",
            "/usr/lib",
            "/usr/share/zoneinfo",
        )
        self._read += tuple(os.path.realpath(path) for path in sys.path if os.path.isabs(path))
        sys.addaudithook(self._hear)

    @contextlib.contextmanager
    def of(self, folder, children):
        """Note what happens that should not, in `seen`; starting `children` may be right."""
        self.seen, self._folder, self._children, self._on = [], folder, children, True
        try:
            yield self.seen
        finally:
            self._on = False

    def _hear(self, event, args):
        if not self._on:
            return
        if event == "open":
            path, _, flags = args
            path = os.path.realpath(os.fsdecode(path)) if isinstance(path, str | bytes) else ""
            writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            inside = path.startswith(self._folder) or path == os.path.realpath(os.devnull)
            if path and not inside and (writes or not path.startswith(self._read)):
                self.seen.append(f"{'writes' if writes else 'opens'} {path}")
        elif event in _CALLS or (event == "subprocess.Popen" and not self._children):
            self.seen.append(f"{event} {args!r:.200}")


_WATCH = []


def watch():
    """The `Watch` of this process."""
    if not _WATCH:
        _WATCH.append(Watch())
    return _WATCH[0]


class Check:
    """Reads files of one format through all of its doors, in a folder of its own.

    Attributes
    ----------
    models, refusals : int
        How often a door gave a model (a command an output), and how often it refused.
    """

    def __init__(self, format_, folder):
        self.format, self.folder = format_, os.path.realpath(folder)
        self.models = self.refusals = 0
        for module in format_.needs:  # what its import does is not a file's doing
            importlib.import_module(module)
        format_.prepare(self.folder)
        self._there = set(os.listdir(self.folder))

    def __call__(self, data):
        """What does not hold of a file with these bytes: lines of text, none if all is well."""
        found = []
        path = os.path.join(self.folder, self.format.file_name(data))
        with open(path, "wb") as file:
            file.write(data)
        try:
            for name, door in self.format.doors(path, self.folder):
                begin = time.process_time()
                with warnings.catch_warnings(), watch().of(self.folder, self.format.children) as seen:
                    warnings.simplefilter("ignore")
                    wrong = self._through(door, path)
                took = time.process_time() - begin
                wrong += [f"slow: {took:.1f} s"] if took > MOST_SECONDS else []
                found += [f"{name}: {one}" for one in (*wrong, *seen)]
                left = set(os.listdir(self.folder)) - self._there - {os.path.basename(path)}
                if left:
                    found.append(f"{name}: leaves {', '.join(sorted(left))}")
                    for one in left:
                        os.unlink(os.path.join(self.folder, one))
        finally:
            os.unlink(path)
        return found

    def _through(self, door, path):
        """What is wrong at one door."""
        try:
            made = door()
        except (ValueError, OSError) as error:
            self.refusals += 1
            return _of_text(str(error), path)
        except Exception as error:
            return [f"{type(error).__name__}: {error} ({_place(error)})".replace("\n", " ")[:400]]
        if isinstance(made, Ended):
            self.models, self.refusals = self.models + (made.status == 0), self.refusals + (made.status != 0)
            return made.wrong(path)
        self.models += 1
        try:
            return _of_model(made)
        except Exception as error:
            return [f"the model: {type(error).__name__}: {error} ({_place(error)})".replace("\n", " ")[:400]]


def _of_text(text, path):
    """What is wrong with the text of an error."""
    if not text.strip():
        return ["an error without a text"]
    return [] if path in text else [f"an error that does not name the file: {text:.300}"]


def _of_model(model):
    """What is wrong with a model that came out: it has to compute."""
    sizes = sum(np.size(value) for value in model.state_dict().values()) if hasattr(model, "state_dict") else _FEW
    if sizes >= _FEW:
        return []
    y, _ = model(np.zeros((2, 1, model.input_size), model.dtype))
    return [] if y.dtype == model.dtype and y.size else [f"the model: y is {y.dtype} of shape {y.shape}"]


def _place(error):
    """Where an exception comes from: the last frame, and the last one in the package."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if f"{os.sep}cgru{os.sep}" in frame.filename]
    return " < ".join(f"{os.path.basename(frame.filename)}:{frame.lineno}" for frame in [*frames[-1:], *ours[-1:]])


class Ended:
    """How a command ended: its status, what it printed, and whether an output is there."""

    def __init__(self, status, printed, errors, written):
        self.status, self.printed, self.errors, self.written = status, printed, errors, written

    def wrong(self, path):
        """What does not hold of it."""
        lines = self.errors.splitlines()
        if self.status not in (0, 2):
            return [f"status {self.status}: {self.errors:.300}"]
        odd = [line for line in lines if not line.startswith("cgru: ")]
        if odd:
            return [f"prints {odd[0]:.300}"]
        refused = [line for line in lines if line.startswith("cgru: error: ")]
        if len(refused) != (self.status == 2):
            return [f"status {self.status} with {len(refused)} errors: {self.errors:.300}"]
        rest = [text for text in (self.printed, self.errors) if not text.replace("\n", "").isprintable()]
        if rest:
            return [f"prints what terminals obey: {rest[0]!r:.300}"]
        if refused and path not in refused[0]:
            return [f"an error that does not name the file: {refused[0]:.300}"]
        return [] if self.written == (self.status == 0) else [f"status {self.status}, and an output: {self.written}"]


def command(*arguments, output=None):
    """A door: a command line in this process, with streams that encode as a terminal's do. Its output is removed."""

    def run():
        out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", errors) for errors in ("strict", "backslashreplace"))
        given = [*arguments, "-o", output] if output else arguments
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = guarded(lambda: _run(given))
        out.flush()
        err.flush()
        printed, errors = (stream.buffer.getvalue().decode() for stream in (out, err))
        if output is None:
            return Ended(status, printed, errors, status == 0)
        written = os.path.exists(output)
        if written:
            os.unlink(output)
        return Ended(status, printed, errors, written)

    return run


_parser = functools.cache(build_parser)  # that takes longer than most commands here


def _run(arguments):
    args = _parser().parse_args([str(argument) for argument in arguments])
    args.main(args)
