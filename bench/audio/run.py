"""A small amplifier model at 48 kHz: trained by cgru alone, then run beside PyTorch, ONNX Runtime and NumPy.

    python bench/audio/run.py                       a minute or two of training, then the comparison
    python bench/audio/run.py --record              and keeps the results
    python bench/audio/run.py --quick               a check: a network that has hardly learnt, short times

GRU(1, 40) + Linear(40, 1) with a skip, one thread. README.md beside this file has the goals and says what is measured.
"""

import argparse
import sys
from dataclasses import asdict, replace
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))  # the clone, behind what is installed: cgru is found there

from bench.audio.settings import HIDDEN, QUICK, RATE, Settings
from bench.common import environment, progress, results


def arguments(argv):
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="a check, no record")
    parser.add_argument("--epochs", type=int, help=f"of the training (default: {Settings.epochs})")
    parser.add_argument("--budget", type=float, metavar="SECONDS", help="for each contestant (default: 0.5)")
    results.add_arguments(parser)
    options = parser.parse_args(argv)
    if options.record and options.quick:
        parser.error("--record keeps whole runs: it does not go with --quick")
    if options.epochs is not None and options.epochs < 1:
        parser.error(f"--epochs must be at least 1, got {options.epochs}")
    if options.budget is not None and not options.budget > 0:
        parser.error(f"--budget must be above 0, got {options.budget}")
    options.budget = options.budget or (0.01 if options.quick else 0.5)
    return options


def main(argv=None):
    """Train, measure, print, write what is asked for; 1 where a goal is missed, unless it was a quick run."""
    options = arguments(argv)
    from bench.audio import goals, measure

    settings = QUICK if options.quick else Settings()
    if options.epochs is not None:
        settings = replace(settings, epochs=options.epochs)
    found = header(settings)
    net, found["training"], (x, target) = trained(settings)
    found["stream"] = measure.through_stream(net, x, target)
    found["points"] = measure.measure(net, x, options.budget)
    medians = {
        point: {name: values["median"] for name, values in line["contestants"].items()}
        for point, line in found["points"].items()
    }
    found["goals"] = goals.evaluate(medians)
    found["machine"]["load_average_after"] = environment.load_average()
    print("\n".join(table(found)))
    folder = results.folder(options, __file__)
    if folder is not None:
        write(found, net, x, target, folder)
    return int(not options.quick and any(goal["met"] is False for goal in found["goals"]))


def trained(settings):
    """`learner.train` with a bar."""
    from bench.audio import learner

    rows = int(settings.seconds * RATE) // settings.rows
    bar = progress.bar(settings.epochs * (rows // settings.chunk), unit="step")

    def show(esr):
        bar.set_description(f"ESR {esr:.2%}")
        bar.update()

    try:
        return learner.train(settings, show)
    finally:
        bar.close()


def header(settings):
    """What the results file says of the run before anything is trained."""
    from importlib.metadata import PackageNotFoundError, version

    import cgru
    from bench.audio.contestants import DISTRIBUTIONS

    versions = {"cgru": cgru.__version__}
    for name in ("numpy", "scipy", *DISTRIBUTIONS.values()):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = None
    return {
        "date": results.now(),
        "what": f"GRU(1, {HIDDEN}) + Linear({HIDDEN}, 1) with a skip at {RATE} Hz, float32, one thread, one row",
        "settings": asdict(settings),
        "machine": environment.describe(threads=1),
        "versions": versions,
    }


def table(found):
    """Yield the report, line by line."""
    training, stream = found["training"], found["stream"]
    yield (
        f"trained in {training['seconds']} s, {training['steps']} steps: ESR {stream['esr']:.3%} on "
        f"{stream['seconds']:g} s of other sound"
    )
    same = "the same bits" if stream["same_bits"] else "NOT the same bits"
    ways = ", ".join(f"{way} {times:.1f} times as fast" for way, times in stream["times_real_time"].items())
    yield f"against real time, the loop in Python around it: {ways}; {same} as in one call"
    for line in found["points"].values():
        words = f"{line['samples']} samples a call" if line["samples"] > 1 else "a sample a call"
        yield f"{words:22} {'a call, us':>10} {'a sample, us':>12} {'x real time':>11}"
        for name, values in line["contestants"].items():
            yield (
                f"  {name:20} {values['median'] / 1e3:10.3f} {values['ns_per_sample'] / 1e3:12.4f} "
                f"{values['times_real_time']:11.1f}   {values['call']}"
            )
    words = {True: "pass", False: "MISS", None: "not measured"}
    for goal in found["goals"]:
        bound = f"at most {goal['at_most']:.1f}" if "at_most" in goal else f"at least {goal['at_least']:g}"
        figure = "-" if goal["figure"] is None else f"{goal['figure']:.1f}"
        yield f"{goal['goal']}: {figure}, {bound}: {words[goal['met']]}"


def write(found, net, x, target, folder):
    """Write results.json, the network, and waveforms.png where there is Matplotlib."""
    print(f"wrote {results.write(found, folder)}")
    net.save(folder / "network.safetensors")
    print(f"wrote {folder / 'network.safetensors'}")
    try:
        from bench.audio import plot
    except ImportError as error:
        print(f"no picture: {error}")
    else:
        print(f"wrote {plot.draw(net, x, target, found, folder / 'waveforms.png')}")


if __name__ == "__main__":
    environment.ensure_clean(threads=1, bound=True)
    sys.exit(main())
