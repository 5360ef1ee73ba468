"""The recorded set: what cgru computes, bit by bit, before and after a change.

    python tests/support/recorded.py record BEFORE.json                 hashes of some 50,000 cases, in a minute
    python tests/support/recorded.py compare BEFORE.json                prints what differs, and then ends with 1
    python tests/support/recorded.py record SOME.npz --only "tape rnn"  with the numbers: compare says how far off
    python tests/support/recorded.py golden tests/golden/packed_bits.json

The cgru that is importable is asked. The script starts itself over with one BLAS thread and without the environment
variables that choose another order of additions. Results of "blas", and what NumPy adds up, are the same only on one
machine with the same NumPy and SciPy; the file says which those were.
"""

import argparse
import faulthandler
import hashlib
import json
import os
import platform
import sys
import time
from pathlib import Path

import numpy as np

THREADS = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
CLEARED = ("CGRU_ISA", "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
ANY = "any"     # where the instruction set does not matter


def digest(array):
    """A hash of an array's dtype, shape and bits; NaN, which has several, is refused."""
    array = np.asarray(array)
    if array.dtype.kind == "f" and np.isnan(array).any():
        raise ValueError("NaN")
    found = hashlib.sha256(f"{array.dtype.str} {array.shape} ".encode())
    found.update(np.ascontiguousarray(array))
    return found.hexdigest()


def digest_all(arrays):
    """One hash, 64 bits of it, of a dict of arrays."""
    text = "".join(f"{name} {digest(array)} " for name, array in sorted(arrays.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def environment():
    """What the last bits of BLAS depend on."""
    import scipy

    import cgru

    cpuinfo = Path("/proc/cpuinfo").read_text() if os.path.exists("/proc/cpuinfo") else ""
    models = {line.partition(":")[2].strip() for line in cpuinfo.splitlines() if line.startswith(("model", "flags"))}
    return {
        "cpu": hashlib.sha256(repr(sorted(models)).encode()).hexdigest()[:16],
        "machine": f"{platform.machine()} {' '.join(sorted(text for text in models if len(text) < 60))}",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "environment": {name: value for name, value in os.environ.items() if name.startswith(("OPENBLAS", "OMP"))},
        "cgru": f"{cgru.__version__} {cgru.__file__}",
    }


def whole_set():
    """(instruction set, case's name, function that computes it: a dict of arrays) of every case."""
    from support import recorded_api as api
    from support.recorded_cases import model_cases
    from support.recorded_foreign import foreign_cases, training_cases
    from support.recorded_runs import outputs

    def compute(case):
        inputs, found = outputs(case)
        return {"inputs": np.array(digest_all(inputs))} | found

    for isa in api.isas():
        with api.using(isa):
            for case in model_cases():
                if api.computes(isa, case.engine, case.weights):
                    yield isa, case.name, lambda case=case: compute(case)
            if api.computes(isa, "packed", "float32"):
                for name, function in training_cases():
                    yield isa, name, function
    for name, function in foreign_cases():
        yield ANY, name, function


def computed(args):
    """((instruction set, case), outputs, their hashes) of the set; what a case raises is its output "raised"."""
    for isa, name, function in whole_set():
        if args.only not in f"{isa}  {name}":
            continue
        if args.verbose:
            print(isa, name, flush=True)
        try:
            found = function()
            hashes = {key: digest(array) for key, array in found.items()}
        except Exception as error:      # a broken case must not hide the others
            found, hashes = {}, {"raised": f"{type(error).__name__}: {error}"[:300]}
        yield (isa, name), found, hashes


def record(args):
    """Write the set to a .json or .npz file."""
    path, table, arrays, start = args.file, {}, {}, time.perf_counter()
    for (isa, name), found, hashes in computed(args):
        table.setdefault(isa, {})[name] = hashes
        if path.endswith(".npz"):
            arrays |= {hashes[key]: np.asarray(array) for key, array in found.items() if key in hashes}
    whole = {"about": environment(), "cases": table}
    text = json.dumps(whole, indent=None if path.endswith(".npz") else 1)
    if path.endswith(".npz"):
        np.savez(path, about=np.frombuffer(text.encode(), np.uint8), **arrays)
    else:
        Path(path).write_text(text)
    raised = [(isa, name, found["raised"]) for isa, part in table.items() for name, found in part.items()
              if "raised" in found]  # fmt: skip
    for row in raised:
        print("raised:", *row, sep="  ")
    cases, number = sum(map(len, table.values())), sum(len(h) for part in table.values() for h in part.values())
    print(f"{cases} cases, {number} arrays, {time.perf_counter() - start:.0f} s: {json.dumps(whole['about'])}")
    return 1 if raised else 0


class Before:
    """A file of `record`."""

    def __init__(self, path):
        self.arrays = np.load(path) if path.endswith(".npz") else {}
        text = self.arrays["about"].tobytes() if path.endswith(".npz") else Path(path).read_bytes()
        whole = json.loads(text)
        self.about, self.cases = whole["about"], whole["cases"]

    def difference(self, before, array):
        """In words, how far an array is from the one with that hash."""
        if before not in self.arrays:
            return f"now {array.dtype} {array.shape}"
        old = self.arrays[before]
        if (old.dtype, old.shape) != (array.dtype, array.shape):
            return f"was {old.dtype} {old.shape}, now {array.dtype} {array.shape}"
        bits = [np.ascontiguousarray(a).view(f"u{a.itemsize}") for a in (old, array)]
        off = bits[0] != bits[1]
        largest = np.abs(old.astype(float) - array.astype(float)).max()
        return f"{off.sum()} of {off.size} numbers, at most {largest:.3g} off"


def compare(args):
    """Print what differs from a file of `record`: 0 where nothing does."""
    before = Before(args.file)
    left = {(isa, name) for isa, part in before.cases.items() for name in part if args.only in f"{isa}  {name}"}
    for name, value in environment().items():
        if value != before.about.get(name):
            print(f"{name}: was {before.about.get(name)!r}, now {value!r}")
    lines, same = [], 0
    for (isa, name), found, hashes in computed(args):
        left.discard((isa, name))
        old = before.cases.get(isa, {}).get(name)
        if old == hashes:
            same += 1
            continue
        label = f"{isa}  {name}"
        if old is None or "raised" in hashes:
            lines.append(f"{label}: {hashes.get('raised', 'not in the file')}")
            continue
        for key in sorted(old.keys() | hashes.keys()):
            if key not in hashes or key not in old:
                lines.append(f"{label}: {key} is {'gone' if key in old else 'new'}")
            elif old[key] != hashes[key]:
                lines.append(f"{label}: {key}: {before.difference(old[key], np.asarray(found[key]))}")
    lines += [f"{isa}  {name}: not computed now" for isa, name in sorted(left)]
    print(*lines, sep="\n", end="\n" if lines else "")
    print(f"{same} cases the same to the last bit; {len(lines)} differences")
    return 1 if lines else 0


def golden(isa):
    """Case's name -> [hash of the inputs, hash of the outputs] of what engine "packed" computes on `isa` now."""
    from support import recorded_api as api
    from support.recorded_cases import is_golden, model_cases
    from support.recorded_runs import outputs

    with api.using(isa):
        return {
            case.name: [*map(digest_all, outputs(case))]
            for case in model_cases("packed") if is_golden(case) and api.computes(isa, "packed", case.weights)
        }  # fmt: skip


def write_golden(args):
    """Write what every machine with fused multiply-adds must compute.

    Refused where this one's builds disagree, or where the file has another hash already: that is what earlier versions
    computed.
    """
    from support import recorded_api as api

    found = {isa: golden(isa) for isa in filter(api.is_fused, api.isas())}
    known = json.loads(Path(args.file).read_text()) if os.path.exists(args.file) else {}
    rows, different = dict(known), set()
    for part in found.values():
        for name, hashes in part.items():
            if rows.setdefault(name, hashes) != hashes:
                different.add(name)
    if different:
        print(f"instruction sets {', '.join(found)} or {args.file} disagree:", *sorted(different), sep="\n")
        return 1
    text = ",\n".join(f"{json.dumps(name)}: {json.dumps(hashes)}" for name, hashes in sorted(rows.items()))
    Path(args.file).write_text(f"{{\n{text}\n}}\n")
    print(f"{len(rows)} cases, {len(rows) - len(known)} of them new, the same on {', '.join(found)}")
    return 0


def main():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("record", "compare", "golden"))
    parser.add_argument("file")
    parser.add_argument("--only", default="", metavar="TEXT", help="the cases with this in their line")
    parser.add_argument("--verbose", action="store_true", help="print each case before it is computed")
    args = parser.parse_args()
    wanted = {name: value for name, value in os.environ.items() if name not in CLEARED} | THREADS
    if wanted != dict(os.environ):
        sys.stdout.flush()
        os.execve(sys.executable, [sys.executable, *sys.argv], wanted)
    sys.path[0] = str(Path(__file__).parents[1])        # the folder tests, for `support`
    faulthandler.enable()
    return {"record": record, "compare": compare, "golden": write_golden}[args.command](args)


if __name__ == "__main__":
    sys.exit(main())
