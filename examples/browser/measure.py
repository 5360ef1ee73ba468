"""What a step costs in WebAssembly, and what the emulated multiply-add adds: ``python examples/browser/measure.py``.

Needs node. Prints a Markdown table: the fastest of `SAMPLES` times of `STEPS` steps each, of every way to compile the
demo's network in turn, so that a busy moment meets all of them; beside them cgru's own stream in Python.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
import build

SAMPLES, STEPS = 31, 5000
WAYS = {  # vectors, emulation
    "SIMD": (True, False),
    "SIMD, multiply-add emulated": (True, True),
    "no SIMD": (False, False),
    "no SIMD, multiply-add emulated": (False, True),
}
SCRIPT = """
import { readFileSync } from "node:fs";
const [samples, steps, ...paths] = process.argv.slice(1);
const load = async path => (await WebAssembly.instantiate(readFileSync(path))).instance.exports;
const networks = await Promise.all(paths.map(load));
const times = networks.map(() => []);
for (const network of networks) network.steps(20000);
for (let i = 0; i < Number(samples); i++)
  networks.forEach((network, k) => {
    network.reset();
    const begin = process.hrtime.bigint();
    network.steps(Number(steps));
    times[k].push(Number(process.hrtime.bigint() - begin) / Number(steps));
  });
console.log(JSON.stringify(times));
"""


def in_node(modules, folder):
    """Nanoseconds of a step: a list of samples of each module."""
    paths = []
    for number, module in enumerate(modules):
        paths.append(Path(folder, f"{number}.wasm"))
        paths[-1].write_bytes(module)
    command = ["node", "--input-type=module", "-e", SCRIPT, "--", str(SAMPLES), str(STEPS), *map(str, paths)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def in_python():
    """Nanoseconds of a step of cgru's stream here, many in one call."""
    stream = build.demo_network().stream()
    x = np.zeros((STEPS, 12), np.float32)
    times = []
    for _ in range(SAMPLES):
        begin = time.perf_counter_ns()
        stream.run(x)
        times.append((time.perf_counter_ns() - begin) / STEPS)
    return times


def main():
    """Measure, and print the table."""
    modules = [build.speaker_wasm(emulate_fma=emulated, simd=simd) for simd, emulated in WAYS.values()]
    with tempfile.TemporaryDirectory() as folder:
        times = in_node(modules, folder)
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    print(f"| node {node} | microseconds a step | bytes of the module |\n|---|--:|--:|")
    for way, samples, module in zip(WAYS, times, modules, strict=True):
        print(f"| {way} | {min(samples) / 1000:.2f} | {len(module):,} |")
    print(f"| cgru's stream in Python | {min(in_python()) / 1000:.2f} | |")


if __name__ == "__main__":
    main()
