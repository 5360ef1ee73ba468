"""One training step of a GRU, forward and backward: cgru against PyTorch's `nn.GRU`, time and memory.

    python bench/train_step.py                      the table, about half a minute
    python bench/train_step.py --json FILE          and a record of it

Goals (the project's; a run never changes them), T=100 N=32, I=H, float32, one thread: at least 2.5, 2 and 1.7 times
as fast as PyTorch for H = 64, 128 and 256, and peak memory no higher.

A step takes x, h_0 and dL/dy and gives y, h_n and the gradients of x, h_0 and every parameter. All contestants
take turns within one process; a time is the median over the rounds. Memory is that of a process of its own for each
contestant: the highest resident size during three steps, less the resident size just before them (libraries loaded,
model and inputs made).
"""

import argparse
import datetime
import json
import subprocess
import sys
import time
from pathlib import Path

import environment

TARGETS = {64: 2.5, 128: 2.0, 256: 1.7}
T, N = 100, 32
RIVAL, CGRU, BRIDGE = "PyTorch nn.GRU", "cgru.GRU", "cgru.torch.GRU"
TOLERANCE = 1e-4  # of a gradient, relative to its largest entry


def arrays(H):
    """x, h_0, dL/dy and the parameters, the same for everybody."""
    import numpy as np

    rng = np.random.default_rng(H)
    x, h_0, dy = (rng.standard_normal(shape, np.float32) for shape in ((T, N, H), (1, N, H), (T, N, H)))
    shapes = {"weight_ih_l0": (3 * H, H), "weight_hh_l0": (3 * H, H), "bias_ih_l0": (3 * H,), "bias_hh_l0": (3 * H,)}
    bound = H**-0.5
    return x, h_0, dy, {name: rng.uniform(-bound, bound, s).astype(np.float32) for name, s in shapes.items()}


def cgru_step(H):
    """A function that takes one step and returns its gradients by name."""
    import cgru

    x, h_0, dy, state = arrays(H)
    model = cgru.GRU.from_state_dict(state)

    def step():
        _, _, tape = model.forward(x, h_0, tape=True)
        grads = model.backward(tape, dy)
        return {"x": grads.x, "h_0": grads.h_0, **grads}

    return step


def _torch_step(H, make):
    import torch

    torch.set_num_threads(1)
    x, h_0, dy, state = arrays(H)
    module = make(torch)(H, H)
    module.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()})
    x, h_0 = torch.from_numpy(x).requires_grad_(), torch.from_numpy(h_0).requires_grad_()
    dy = torch.from_numpy(dy)
    leaves = {"x": x, "h_0": h_0, **dict(module.named_parameters())}

    def step():
        for leaf in leaves.values():
            leaf.grad = None
        y, _ = module(x, h_0)
        y.backward(dy)
        return {name: leaf.grad.numpy() for name, leaf in leaves.items()}

    return step


def torch_step(H):
    """The same by PyTorch."""
    return _torch_step(H, lambda torch: torch.nn.GRU)


def bridge_step(H):
    """The same by PyTorch's autograd around cgru."""
    import cgru.torch

    return _torch_step(H, lambda torch: cgru.torch.GRU)


CONTESTANTS = {RIVAL: torch_step, CGRU: cgru_step, BRIDGE: bridge_step}


def disagreement(found, expected):
    """The largest error of any gradient, relative to that gradient's largest entry."""
    import numpy as np

    return max(float(np.abs(found[name] - value).max() / np.abs(value).max()) for name, value in expected.items())


def time_steps(H, seconds):
    """Name -> times in milliseconds, in turns; raises where the gradients differ."""
    steps = {name: make(H) for name, make in CONTESTANTS.items()}
    expected = {name: value.copy() for name, value in steps[RIVAL]().items()}
    for name, step in steps.items():
        error = disagreement(step(), expected)
        if error > TOLERANCE:
            raise SystemExit(f"H={H}: {name} and {RIVAL} differ by {error:.1e}")
    times = {name: [] for name in steps}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times[CGRU]) < 10:
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            times[name].append((time.perf_counter() - start) * 1e3)
    return times


def memory_of_this_process(name, H):
    """Print the growth and the height of this process's resident memory over three steps, in bytes."""
    step = CONTESTANTS[name](H)
    before = _resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts here
    for _ in range(3):
        step()
    peak = _resident("VmHWM")
    print(json.dumps({"growth": peak - before, "peak": peak}))


def _resident(key):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) * 1024
    raise SystemExit(f"no {key} in /proc/self/status")


def memory(name, H):
    """The same from a process of its own; None where the system does not tell."""
    if not Path("/proc/self/clear_refs").exists():
        return None
    command = [sys.executable, __file__, "--memory-of", name, "--hidden-sizes", str(H)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def measure(H, seconds):
    """One line of the table."""
    import numpy as np

    times = time_steps(H, seconds)
    contestants = {
        name: {
            "median_ms": float(np.median(values)),
            "p10_ms": float(np.percentile(values, 10)),
            "p90_ms": float(np.percentile(values, 90)),
            "rounds": len(values),
            "memory": memory(name, H),
        }
        for name, values in times.items()
    }
    ratios = {n: contestants[RIVAL]["median_ms"] / contestants[n]["median_ms"] for n in (CGRU, BRIDGE)}
    own, rival = contestants[CGRU]["memory"], contestants[RIVAL]["memory"]
    return {
        "H": H,
        "contestants": contestants,
        "ratios": ratios,
        "target": TARGETS.get(H),
        "fast_enough": ratios[CGRU] >= TARGETS[H] if H in TARGETS else None,
        "memory_no_higher": own["growth"] <= rival["growth"] if own else None,
    }


def show(line):
    """Print one line of the table."""
    words = {True: "pass", False: "MISS", None: "-"}
    print(f"H={line['H']}")
    for name, found in line["contestants"].items():
        ratio = "" if name == RIVAL else f"{line['ratios'][name]:6.2f} x"
        grown = f"{found['memory']['growth'] / 2**20:7.1f} MB more than before" if found["memory"] else ""
        spread = f"({found['p10_ms']:.2f} to {found['p90_ms']:.2f})"
        print(f"  {name:16s} {found['median_ms']:8.2f} ms {spread:20s} {ratio:9s} {grown}")
    target = f"at least {line['target']} x" if line["target"] else "no goal"
    print(f"  speed, {target}: {words[line['fast_enough']]}; memory no higher: {words[line['memory_no_higher']]}")


def main(argv=None):
    """Run; 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--hidden-sizes", type=int, nargs="+", default=list(TARGETS), metavar="H")
    parser.add_argument("--seconds", type=float, default=6.0, help="for each H; default 6")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there too")
    parser.add_argument("--memory-of", choices=CONTESTANTS, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    environment.ensure_clean(threads=1)
    if options.memory_of:
        memory_of_this_process(options.memory_of, options.hidden_sizes[0])
        return 0
    import numpy
    import scipy
    import torch

    import cgru

    machine = environment.describe(threads=1)
    lines = []
    for H in options.hidden_sizes:
        lines.append(measure(H, options.seconds))
        show(lines[-1])
    if options.json:
        record = {
            "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "machine": machine | {"load_average_after": environment.load_average()},
            "versions": {module.__name__: module.__version__ for module in (cgru, numpy, scipy, torch)},
            "T": T,
            "N": N,
            "dtype": "float32",
            "lines": lines,
        }
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(record, indent=1) + "\n")
    return int(any(line["fast_enough"] is False or line["memory_no_higher"] is False for line in lines))


if __name__ == "__main__":
    sys.exit(main())
