"""A model that takes its time, and notes where it arrives; importable in Ray's workers."""

import os
import time

import cgru


class Slow(cgru.GRU):
    """A GRU; with a file named by the environment variable ARRIVALS."""

    def __call__(self, *arguments, **options):
        time.sleep(0.1)
        return super().__call__(*arguments, **options)

    def __reduce__(self):
        return arrive, super().__reduce__()


def arrive(rebuild, arguments):
    """What unpickling calls: a line with node and process, in one write."""
    import ray

    line = f"{ray.get_runtime_context().get_node_id()} {os.getpid()}\n"
    with open(os.environ["ARRIVALS"], "a", encoding="utf-8", buffering=len(line)) as file:
        file.write(line)
    return rebuild(*arguments)


class Unreadable(cgru.GRU):
    """A GRU that cannot be unpickled where it arrives."""

    def __reduce__(self):
        return fail, ()


def fail():
    """What unpickling calls."""
    raise ModuleNotFoundError("No module named 'absent'")
