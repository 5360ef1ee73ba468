"""One format's search in a process of its own, which `run` forks: guided by coverage where atheris is there.

In a folder it keeps `corpus/` (what atheris found worth keeping), `found/` (files of which something does not hold,
each with its text beside it) and `counts.json`. Of what ends the process itself (a crash, a hang) `run` keeps the file.
"""

import contextlib
import hashlib
import importlib
import io
import json
import pkgutil
import random
import re
import time
from pathlib import Path

#: Bytes that reading a small file may take beside what the process has: the readers accept 64 MiB without a question.
MEMORY = 1 << 30
LONGEST = 1 << 16  # bytes of a file
HANG = 25  # seconds; libFuzzer ends the process then


def imported():
    """Atheris, or None. What reads files in cgru is imported, with counters in its bytecode where atheris is there."""
    try:
        import atheris
    except ImportError:
        atheris = None
    instrumented = atheris.instrument_imports(include=["cgru"]) if atheris else contextlib.nullcontext()
    with instrumented, contextlib.redirect_stderr(io.StringIO()):  # it names each module
        for folder in ("cgru.convert", "cgru.convert.untrusted", "cgru.commands", "cgru.batch"):
            for module in pkgutil.iter_modules(importlib.import_module(folder).__path__, f"{folder}."):
                if "ray" not in module.name:
                    with contextlib.suppress(ImportError):  # of a peer that is not there
                        importlib.import_module(module.name)
    return atheris


class Keeper:
    """Keeps what was found, once for each place that it comes from, and counts."""

    def __init__(self, folder, check):
        self._folder, self._check = folder, check
        self._known, self._runs, self._told = set(), 0, 0.0

    def run(self, data):
        """Check one file."""
        self.keep(data, self._check(data))

    def keep(self, data, found):
        """Keep a file of which something does not hold, with the text."""
        for text in found:
            kind = _kind(text)
            if kind not in self._known:
                self._known.add(kind)
                name = f"{self._check.format.name}-{hashlib.sha256(data).hexdigest()[:8]}"
                (self._folder / "found" / name).write_bytes(data)
                with open(self._folder / "found" / f"{name}.txt", "a") as file:
                    file.write(f"{text}\n")
        self._runs += 1
        if time.monotonic() > self._told + 1:
            self.tell()

    def tell(self):
        """Write the counts."""
        self._told = time.monotonic()
        counts = {
            "files": self._runs,
            "models": self._check.models,
            "refusals": self._check.refusals,
            "kinds": len(self._known),
        }
        (self._folder / "counts.json").write_text(json.dumps(counts))


def _kind(text):
    """What two findings have in common that are one: an exception's type and place, else the words without numbers."""
    found = re.search(r"(\w+): .*(\([\w.]+:\d+ < [\w.]+:\d+\))$", text)
    return found[1] + found[2] if found else re.sub(r"\d+|'[^']*'|\"[^\"]*\"", "#", text)[:120]


def limit_memory():
    """As much as there is now, and `MEMORY`; where Linux says how much that is."""
    if not Path("/proc/self/statm").exists():
        return
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def guided(atheris, format_, keeper, folder, seconds, seed):
    """Search with atheris; does not return."""

    def change(data, most, number):
        rng = random.Random(number)
        if not data:
            return rng.choice(list(format_.seeds.values()))[:most]
        if format_.raw and not rng.randrange(10):
            return atheris.Mutate(data, most)
        new = format_.changed(bytes(data), rng)
        return new if len(new) <= most else bytes(data)

    options = {  # libFuzzer goes on until more than so many whole seconds are over
        "max_total_time": max(1, round(seconds) - 1), "seed": seed % 2**31 or 1, "timeout": HANG, "rss_limit_mb": 0,
        "max_len": LONGEST, "len_control": 0, "artifact_prefix": f"{folder}/found/{format_.name}-",
        "print_final_stats": 1, "detect_leaks": 0,
    }  # fmt: skip
    atheris.Setup(
        ["fuzz", *(f"-{name}={value}" for name, value in options.items()), f"{folder}/corpus", f"{folder}/seeds"],
        keeper.run, custom_mutator=change,
    )  # fmt: skip
    atheris.Fuzz()


def work(atheris, format_, folder, scratch, seconds, seed):
    """Search one format, with the module `atheris` or None; the file that is checked lies in the folder `scratch`."""
    from fuzz.doors import Check
    from fuzz.search import search

    seconds = max(1, seconds)
    for part in ("corpus", "found", "seeds"):
        (folder / part).mkdir(exist_ok=True)
    for seed_name, data in format_.seeds.items():
        (folder / "seeds" / seed_name).write_bytes(data)
    check = Check(format_, scratch)
    keeper = Keeper(folder, check)
    for data in format_.seeds.values():  # once before the limit: what a first use imports is not the file's
        keeper.run(data)
    limit_memory()
    if atheris:
        guided(atheris, format_, keeper, folder, seconds, seed)
    for data, found in search(check, format_, seconds, seed, lambda runs: keeper.keep(b"", [])):
        keeper.keep(data, found)
    keeper.tell()
