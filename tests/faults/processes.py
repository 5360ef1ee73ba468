"""Commands in processes of their own, which say when they have come to a place, and wait or go on there."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from support.processes import ROOT

#: Run before the command: how it says that it is there. Ctrl-C is ignored by what a background job starts.
BEGIN = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
def reached():
    os.write(2, b"reached\\n")  # in one piece, also of several threads
"""
END = """
from cgru.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


class Command:
    """``python -m cgru`` with a few lines before it, a context manager that leaves no process.

    Parameters
    ----------
    before : str
        Lines that call ``reached()``, or see that it is called.
    *arguments : str
    """

    def __init__(self, before, *arguments):
        self.mark = f"cgru-fault-{os.getpid()}-{time.monotonic_ns()}"
        environment = os.environ | {"PYTHONPATH": str(ROOT), "CGRU_TEST_MARK": self.mark, "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", BEGIN + before + END, *map(str, arguments)],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdout, self.process.stderr):
            stream.close()

    def wait(self):
        """Until it says that it is there; what it said before, the lines of stderr."""
        lines = []
        for line in self.process.stderr:
            if line == "reached\n":
                return lines
            lines.append(line)
        raise AssertionError(f"it ended with {self.process.wait()}: {''.join(lines)}")

    def end(self, number=None):
        """Send it a signal and wait for its end; the status, stdout and the rest of stderr."""
        if number is not None:
            self.process.send_signal(number)
        out, err = self.process.communicate(timeout=100)
        return self.process.returncode, out, err

    def left(self):
        """Processes that it started and that live on, once they had a while to go; zombies too."""
        deadline = time.monotonic() + 20
        while (found := self.marked()) and time.monotonic() < deadline:
            time.sleep(0.01)
        return found

    def marked(self):
        """Those that are there now: their numbers, each with what it runs."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if self.mark in (folder / "environ").read_text("utf-8", "replace"):
                    found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
        return found


STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143}
