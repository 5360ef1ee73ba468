"""How much faster cgru spells words than the NumPy equations of the package g2p_en, with that package's model.

    python bench/spelling/run.py                    prints the record, a few seconds
    python bench/spelling/run.py --record           and keeps it

README.md beside this file says what is measured.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))  # the clone, behind what is installed: cgru is found there

from bench.common import environment, results

QUANTISED = ("bfloat16", "int8")


def arguments(argv):
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--words", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--quantised-words", type=int, default=1000, help="compared with weights of 16 and 8 bits")
    results.add_arguments(parser)
    return parser.parse_args(argv)


def main(argv=None):
    """Measure, print, write what is asked for."""
    options = arguments(argv)
    found = measure(options.words, options.rounds, options.quantised_words)
    print(results.to_json(found), end="")
    folder = results.folder(options, __file__)
    if folder is not None:
        print(f"wrote {results.write(found, folder)}")
    return 0


def measure(count, rounds, quantised_count):
    """Spell the same words by both, in turns; returns what the results file holds."""
    import numpy as np

    import cgru
    from bench.spelling import model

    weights, words = model.checkpoint(), model.words(count)
    models = {"cgru": model.CgruModel(weights), "numpy": model.NumPyModel(weights)}
    same = sum(models["cgru"](word) == models["numpy"](word) for word in words)
    times = {name: [] for name in models}
    for _ in range(rounds):
        for name, speller in models.items():
            times[name].append(seconds(speller, words))
    found = {
        "what": "microseconds per word, one thread, batch 1: encoder, decoder, output layer",
        "date": results.now(),
        "words": len(words),
        "spelt_the_same": same,
        "rounds": rounds,
        **{name: summary(values, len(words)) for name, values in times.items()},
        "engine": models["cgru"].encoder.engine,
        "versions": {"cgru": cgru.__version__, "numpy": np.__version__},
        "machine": environment.describe(threads=1),
    }
    found["quantised"] = quantised(weights, model.words(quantised_count))
    found["speed_ratio"] = found["numpy"]["median_us"] / found["cgru"]["median_us"]
    return found


def quantised(weights, words):
    """How many words are spelt otherwise with quantised weights than with float32, and which, by the type."""
    from bench.spelling import model

    speller = model.CgruModel(weights)
    right = {word: speller(word) for word in words}
    found = {"words": len(words)}
    for weight_dtype in QUANTISED:
        other = model.CgruModel(weights, weight_dtype)
        changed = {word: " ".join(spelt) for word in words if (spelt := other(word)) != right[word]}
        found[weight_dtype] = {"changed": len(changed), "spelt": changed}
    return found


def seconds(speller, words):
    """Time for spelling all `words`."""
    start = time.perf_counter()
    for word in words:
        speller(word)
    return time.perf_counter() - start


def summary(times, count):
    """Microseconds per word."""
    each = [1e6 * t / count for t in times]
    low, *_, high = statistics.quantiles(each, n=20)
    return {"median_us": statistics.median(each), "p5_us": low, "p95_us": high}


if __name__ == "__main__":
    environment.ensure_clean(threads=1, bound=True)
    sys.exit(main())
