"""A child process for libraries that damaged files can hang or crash: bounded time and memory, no way to harm."""

import json
import os
import subprocess
import sys

# The child starts with the standard library alone: -I shuts out the current folder and the environment (a PYTHONPATH of
# "." means whatever folder that is), -S what `site` would run. Then come the parent's folders, in its order, but none
# that depends on the current one, where other files may have come along with the one that is read. Only the modules
# that the child needs are imported: `cgru` is a mere folder to it.
_OPTIONS = ("-I", "-S")
_CODE = """
import importlib, json, sys, types
path, folder, module, arguments = json.loads(sys.argv[1])
sys.path += [entry for entry in path if entry not in sys.path]
sys.modules["cgru"] = types.ModuleType("cgru")
sys.modules["cgru"].__path__ = [folder]
send = importlib.import_module(module).send
sys.stdout.buffer.write(b"!")
sys.stdout.buffer.flush()
send(sys.stdout.buffer, *arguments)
"""
_FOLDER = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def can_run() -> bool:
    """Whether Python can start itself here; a frozen application cannot."""
    return bool(sys.executable) and not getattr(sys, "frozen", False)


def run_limited(module: str, path: str, *options: bool, seconds: float) -> bytes:
    """The bytes that ``send(stream, path, *options)`` of a module of cgru writes, in a process of its own.

    Parameters
    ----------
    module : str
        Imported by the child, with nothing else of cgru than what it imports itself. Its other modules come from the
        standard library and the absolute entries of this process's `sys.path`.
    path : str
        The file to read.
    *options : bool
        What else `send` takes.
    seconds : float
        How long `send` may take. Starting Python and importing the module take what they take: on a busy machine that
        is most of the time, and it says nothing about the file.

    Raises
    ------
    ValueError
        It took longer, crashed, or ran out of memory: the file is damaged.
    ImportError
        The module cannot be imported in a new process.
    """
    search = [entry for entry in sys.path if isinstance(entry, str) and os.path.isabs(entry)]
    command = [sys.executable, *_OPTIONS, "-c", _CODE, json.dumps([search, _FOLDER, module, [path, *options]])]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, bufsize=0) as process:
        assert process.stdout is not None
        try:
            started = process.stdout.read(1) == b"!"
            data, errors = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired as error:
            raise ValueError(f"{path} is damaged: reading it took more than {seconds:.3g} s") from error
        finally:
            process.kill()
    last = errors.decode(errors="replace").strip().rpartition("\n")[2]
    if not started:
        raise ImportError(f"{path} cannot be read: the process that was to read it did not start: {last}")
    if process.returncode != 0:
        raise ValueError(f"{path} is damaged: reading it ended with status {process.returncode}: {last}")
    return data


def limit_memory(extra: float) -> None:
    """Let this process take `extra` bytes more than it has, where the system can limit that."""
    try:
        import resource

        with open("/proc/self/statm") as file:
            now = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + int(extra), resource.RLIM_INFINITY))
    except (ImportError, OSError, ValueError):
        return
