"""How much faster cgru spells words than the NumPy equations of the package g2p_en, with that package's model.

Goal: a real model at batch 1, with a decoder that cannot be batched over time: each step needs the last one's answer.
Both spell the same words in the same process, interleaved in blocks; medians and percentiles over the blocks. Writes
bench/results/g2p.json:

    python bench/g2p.py [--words 200] [--rounds 15] [--output FILE]
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

import environment


def seconds(model, words):
    """Time for spelling all `words`."""
    start = time.perf_counter()
    for word in words:
        model(word)
    return time.perf_counter() - start


def summary(times, count):
    """Microseconds per word."""
    each = [1e6 * t / count for t in times]
    low, *_, high = statistics.quantiles(each, n=20)
    return {"median_us": statistics.median(each), "p5_us": low, "p95_us": high}


def main():
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--words", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "g2p.json")
    arguments = parser.parse_args()
    environment.ensure_clean(threads=1)

    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    import numpy as np

    import cgru
    import g2p

    weights, words = g2p.checkpoint(), g2p.words(arguments.words)
    models = {"cgru": g2p.CgruModel(weights), "numpy": g2p.NumPyModel(weights)}
    same = sum(models["cgru"](word) == models["numpy"](word) for word in words)
    times = {name: [] for name in models}
    for _ in range(arguments.rounds):
        for name, model in models.items():
            times[name].append(seconds(model, words))
    result = {
        "what": "microseconds per word, one thread, batch 1: encoder, decoder, output layer",
        "words": len(words),
        "spelt_the_same": same,
        "rounds": arguments.rounds,
        **{name: summary(values, len(words)) for name, values in times.items()},
        "engine": models["cgru"].encoder.engine,
        "versions": {"cgru": cgru.__version__, "numpy": np.__version__},
        "machine": environment.describe(threads=1),
    }
    result["speed_ratio"] = result["numpy"]["median_us"] / result["cgru"]["median_us"]
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
