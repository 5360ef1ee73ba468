"""What silence costs a model without biases, whose state dies away through subnormal numbers, and what helps.

    python bench/silence/run.py                     some minutes, a part of them training; prints
    python bench/silence/run.py --record            and keeps the results of this CPU
    python bench/silence/run.py --quick             a check: a network that has hardly learnt, one kind, few rounds

README.md beside this file says what is measured.
"""

import argparse
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))  # the clone, behind what is installed: cgru is found there

from bench.common import environment, results


def arguments(argv):
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="a check, no record")
    results.add_arguments(parser)
    options = parser.parse_args(argv)
    if options.record and options.quick:
        parser.error("--record keeps whole runs: it does not go with --quick")
    return options


def main(argv=None):
    """Measure, print, write what is asked for."""
    options = arguments(argv)
    found = measured(options.quick)
    print("\n".join(table(found)))
    folder = results.folder(options, __file__)
    if folder is not None:
        print(f"wrote {results.write(found, folder)}")
    return 0


def measured(quick):
    """What the results file holds."""
    import numpy as np

    import cgru
    from bench.audio.settings import QUICK, Settings
    from bench.common import cbuild
    from bench.silence import fate, measure, models, remedies, settings

    found = {
        "date": results.now(),
        "what": f"nanoseconds a step of silence in blocks of {settings.BLOCK}, one row, one thread",
        "memory": settings.MEMORY,
        "machine": environment.describe(threads=1),
        "versions": {"cgru": cgru.__version__, "numpy": np.__version__, **peers()},
        "compiler": cbuild.compiler_version(),
    }
    kinds, rounds = (models.KINDS[:1], 3) if quick else (models.KINDS, measure.ROUNDS)
    usable = cgru.engines.isas_usable()
    isas = [isa for isa in usable if isa in (usable[0], "x86-64-v3")]
    cases, fates = measure.layer_cases(kinds, isas, print)
    found["drawn"] = {kind: fate.decay(models.as_drawn(kind), 60.0)[0] for kind in kinds}
    trained, found["esr"] = models.trained(QUICK if quick else Settings(epochs=settings.EPOCHS))
    nets = {"network, trained": trained, "network, drawn": models.remembering_network()}
    for name, net in nets.items():
        fates[name], direction, end = fate.decay(net, 60.0)
        at = measure.states(net, direction, end)
        for isa, again in measure.on_each(net, isas).items():
            cases[f"{name}, cgru packed, {isa}"] = measure.contestants.Stream(again), at
    cases |= measure.input_cases()
    found |= {"fates": fates, "levels": measure.levels(cases, rounds)}
    found["after sound"] = {
        f"{name}, {isa}": measure.after_sound(again)
        for name, net in nets.items() for isa, again in measure.on_each(net, isas).items()
    }  # fmt: skip
    found["single steps"] = measure.single_steps(net, at, 640 if quick else 6400)
    found["remedies"] = remedies.measure(net, 2.0 if quick else 5.0, 20 if quick else 300)
    found["machine"]["load_average_after"] = environment.load_average()
    return found


def peers():
    """Versions of those that are there."""
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in ("torch", "onnxruntime"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def table(found):
    """Yield the report, line by line."""
    yield "seconds of silence until a state is below 2^-63, below the normal numbers, still; and where it ends"
    for part in ("drawn", "fates"):
        for name, line in found[part].items():
            name = f"{name}, as drawn" if part == "drawn" else name
            times = [line[key] for key in ("small_squares_after", "subnormal_after", "still_after")]
            words = " ".join(f"{'-' if time is None else f'{time:.3f}':>8}" for time in times)
            yield f"  {name:28} {words}   {line['end']:.2g}, {line['alive']} of {line['of']} not zero"
    yield "nanoseconds a step from a state of each size, and how many times a step of signal"
    for name, line in found["levels"].items():
        base = line["signal"]["median"]
        words = ", ".join(f"{level} {one['median']:.0f} ({one['median'] / base:.1f})" for level, one in line.items())
        yield f"  {name:44} {words}"
    yield "after sound: ns a step in it, in the longest block of silence; seconds that are slow, beyond real time"
    for name, one in found["after sound"].items():
        words = f"{one['sound']:8.0f} {one['longest']:8.0f} {one['slow']:8.3f} {one['over_real_time']:8.3f}"
        yield f"  {name:38} {words} of {one['of']:g}"
    yield "single steps of the drawn network, ns: median, p99, max"
    for level, one in found["single steps"].items():
        yield f"  {level:20} {one['median']:8.0f} {one['p99']:8.0f} {one['max']:8.0f}"
    yield "the drawn network in silence, by remedy: ns a step, times a step of sound, difference of y, bits of sound"
    for name, one in found["remedies"].items():
        same = " and ".join("the same" if same else "others" for same in one["same_bits"])
        yield f"  {name:34} {one['ns']:8.0f} {one['over_sound']:6.1f} {one['difference']:9.1e}   {same}"


if __name__ == "__main__":
    environment.ensure_clean(threads=1, bound=True)
    sys.exit(main())
