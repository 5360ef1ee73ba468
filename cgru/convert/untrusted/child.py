"""A child process for libraries that damaged files can hang or crash: bounded time and memory, no way to harm."""

import json
import subprocess
import sys

_CODE = """
import importlib, json, sys
sys.path[:] = json.loads(sys.argv[1])
importlib.import_module(sys.argv[2]).send(sys.argv[3], sys.stdout.buffer)
"""


def run_limited(module, path, seconds):
    """The bytes that ``send(path, stream)`` of a module writes, in a process of its own.

    Raises
    ------
    ValueError
        It took longer than `seconds`, crashed, or ran out of memory: the file is damaged.
    """
    command = [sys.executable, "-c", _CODE, json.dumps(sys.path), module, path]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired as error:
        raise ValueError(f"{path} is damaged: reading it took more than {seconds:.0f} s") from error
    if done.returncode != 0:
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise ValueError(f"{path} is damaged: reading it ended with status {done.returncode}: {last}")
    return done.stdout


def limit_memory(extra):
    """Let this process take `extra` bytes more than it has, where the system can limit that."""
    try:
        import resource

        with open("/proc/self/statm") as file:
            now = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + int(extra), resource.RLIM_INFINITY))
    except (ImportError, OSError, ValueError):
        return
