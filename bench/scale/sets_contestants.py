"""Who goes over a set, and on how many cores. Each is made in a child process of its own (`sets_child.py`)."""

from typing import NamedTuple

from bench.common.contestant import Absent
from bench.common.environment import cores

READ, CGRU, RAY = "reading alone", "cgru", "cgru on Ray"
PADDED, PACKED, ORT = "PyTorch, padded", "PyTorch, packed", "ONNX Runtime"


class Contestant(NamedTuple):
    """Who, and on how many cores (for Ray: with how many workers)."""

    kind: str
    cores: int

    @property
    def name(self):
        """As the tables have it."""
        of = "worker" if self.kind == RAY else "core"
        return f"{self.kind}, {self.cores} {of}{'s' * (self.cores > 1)}"


def entries(available):
    """The contestants on a machine of so many cores: one, two for the goal, all; Ray apart."""
    found = [Contestant(READ, 1)]
    found += [Contestant(CGRU, n) for n in sorted({1, 2, available}) if n <= available]
    return found + [Contestant(kind, n) for kind in (PADDED, PACKED, ORT) for n in sorted({1, available})]


def ray_entries():
    """With one and with two workers; on one core the second has none to itself, and Ray waits for one."""
    return [Contestant(RAY, n) for n in (1, 2) if n <= cores()]


def local(threads):
    """cgru.batch.write in this process."""
    from bench.scale.sets_data import COLUMN, state
    from cgru import GRU
    from cgru.batch import write

    model = GRU.from_state_dict(state())
    return lambda source, path: write(model, source, path, column=COLUMN, threads=threads)


def make(entry):
    """A function of a folder and the path of its results; ImportError or Absent where it is not there."""
    from bench.scale import sets_peers

    if entry.kind == RAY:
        from bench.scale.sets_ray import on_ray

        return on_ray(entry.cores)
    kinds = {
        READ: lambda _: sets_peers.read_only,
        CGRU: local,
        PADDED: sets_peers.torch_padded,
        PACKED: sets_peers.torch_packed,
        ORT: sets_peers.onnx_runtime,
    }
    try:
        return kinds[entry.kind](entry.cores)
    except ImportError as error:
        raise Absent(str(error)) from error
