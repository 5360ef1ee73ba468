"""The page of measured speed, out of the recorded results: `python docs/speed.py` writes docs/speed.md anew.

A section for each CPU model, in it one for each experiment that was recorded there, with every goal that was missed.
To add an experiment: a function from what its results.json holds to lines, and a row of `EXPERIMENTS`.
"""

import json
import textwrap
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
PAGE = Path(__file__).with_name("speed.md")
INTRODUCTION = """\
Written by `python docs/speed.py` from the results that are recorded in `bench/`; no figure here was typed. A figure
belongs to its CPU model, its date and its version, and holds for one thread unless it says otherwise. Goals were set
before they were measured, and those that were missed are all listed.
[How benchmarks are made](engines.md#how-benchmarks-are-made) says how, and what the limit is; each experiment's README
in `bench/` has its goals, and how to repeat it on your machine.

Ratios move with caches and instruction sets. There is no record of ARM. What each release was measured with stays in
`bench/releases/`, and `python bench/compare.py 0.2.0 now` says what became slower since, on a CPU that has both.
"""
CALLED = {"AMD EPYC (family 25, model 17)": "Zen 4", "AMD EPYC (family 26, model 2)": "Zen 5",
          "Intel(R) Xeon(R) Processor (family 6, model 207)": "Emerald Rapids"}    # fmt: skip
# What must be known of one record, by experiment, CPU's folder and date: a new record is without it
NOTES = {
    ("speed", "amd-epyc-family-25-model-17", "2026-11-24"):
        "In this run a process was not yet bound to one CPU, and JAX used nearly two at H=512.",
}  # fmt: skip
NOISY = 0.1     # the median spread of the rounds' medians above which a machine was not quiet
PEERS = ("ONNX Runtime", "OpenVINO", "JAX", "PyTorch", "NumPy", "C naive", "C BLAS")
CGRU = "cgru packed"


# ---- tables


def digits(value):
    """Three significant digits."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def table(head, rows):
    """Lines of a table whose first column is words and whose others are figures, with an empty line around."""
    return ["", row(head), row(["---", *["--:"] * (len(head) - 1)]), *map(row, rows), ""]


def row(cells):
    return f"| {' | '.join(cells)} |"


def goals(found):
    """How many goals were met, and the others, each with its target and its figure."""
    judged = [goal for goal in map(Goal.of, found) if goal.met is not None]
    missed = [goal for goal in judged if not goal.met]
    said = f"{len(judged) - len(missed)} of {len(judged)} goals were met."
    if not missed:
        return ["", said]
    rows = [[goal.words, goal.target, goal.figure, goal.note] for goal in missed]
    head = ["missed", "target", "measured", "where"]
    return ["", f"{said} The others:", "", row(head), row(["---", "--:", "--:", "---"]), *map(row, rows)]


class Goal(NamedTuple):
    """A verdict, of either form that the experiments have."""

    words: str
    target: str
    figure: str
    met: bool | None
    note: str = ""

    @classmethod
    def of(cls, goal):
        if "sense" in goal:
            target = f"{goal['sense']} {digits(goal['target'])} {goal['unit']}".strip()
            note = goal["note"].replace("|", "/")
            return cls(goal["goal"], target, digits(goal["measured"]), goal["passed"], note)
        sense = "<=" if "at_most" in goal else ">="
        words = ": ".join([*(goal[name] for name in ("part", "who") if name in goal), goal["goal"]])
        target = f"{sense} {digits(goal.get('at_most', goal.get('at_least')))}"
        places = [f"{name} {digits(figure)}" for name, figure in goal.get("missed", {}).items()]
        return cls(words, target, digits(goal["figure"]), goal["met"], "; ".join(places if len(places) > 1 else []))


def shape(point):
    """A point in words, on one line of its cell."""
    what = "a step" if point["T"] == 1 else f"T={point['T']}, N={point['N']}"
    return f"{point.get('cell', 'gru').upper()}, {what}, H={point['H']}".replace(" ", "\N{NO-BREAK SPACE}")


def quiet(found):
    """A sentence where the machine was not quiet."""
    spreads = [one["spread"] for point in found["points"] for one in point["contestants"].values()]
    if median(spreads) > NOISY:
        yield (
            f"The machine was not quiet: in half of all cases the rounds' medians lay further apart than "
            f"{median(spreads):.0%}. Read these figures as right to about a tenth."
        )


def square(found):
    """Points with I = H, of a step and of sequences of 1, 8 and 32 rows; the others are in results.json."""
    return [
        point for point in found["points"]
        if point["I"] == point["H"] and point["H"] in (8, 16, 32, 64, 128, 256, 512, 1024)
        and (point["T"], point["N"]) in ((1, 1), (100, 1), (100, 8), (100, 32))
    ]  # fmt: skip


# ---- experiments


def steps_and_sequences(found):
    """Of bench/speed."""
    phases = "inputs_ns" in found["points"][0]["limit"]
    yield "Microseconds, medians; float32, I = H, called from Python. C: the textbook loop at -O3, and BLAS."
    if not phases:
        yield "The limit is of the old form, of a call as a whole, and does not stand beside that of later records."
    yield from quiet(found)
    rows = []
    for point in square(found):
        times = {name: one["median"] for name, one in point["contestants"].items()}
        limit = point["limit"]["ns"]
        figures = [limit, times[CGRU], *(times.get(peer) for peer in PEERS)]
        micro = [digits(figure and figure / 1000) for figure in figures]
        rows.append([shape(point), *micro[:2], f"{times[CGRU] / limit:.2f}", *micro[2:]])
    yield from table(["", "limit", "cgru", "cgru / limit", *PEERS], rows)
    threads = found["extras"].get("threads")
    if threads:
        yield f"Two threads over one, GRU, T=100, N=32, H=256: {threads['speedup']:.2f} times as fast."
    yield from goals(found["goals"])


def weights(found):
    """Of bench/speed --weights."""
    yield "Times as fast as cgru's float32, and the largest error of y; see [which to take](quantising.md)."
    yield from quiet(found)
    rows = []
    for point in square(found):
        one = point["contestants"]
        base = one[CGRU]["median"]
        own = [one[f"cgru {name}"] for name in ("bfloat16", "int8")]
        peers = [one.get(f"{name} int8") for name in ("PyTorch", "ncnn")]
        rows.append(
            [shape(point), digits(base / 1000)]
            + [text for each in own for text in (f"{base / each['median']:.2f}", f"{each['error']:.1e}")]
            + [f"{base / each['median']:.2f}" if each else "" for each in peers]
        )
    head = ["", "float32, us", "bfloat16", "error", "int8", "error", "PyTorch int8", "ncnn int8"]
    yield from table(head, rows)
    yield from goals(found["goals"])


def amplifier(found):
    """Of bench/audio."""
    yield f"{found['what']}; nanoseconds a sample."
    names = list(found["points"]["step"]["contestants"])
    rows = [
        ["a call of one sample" if point["samples"] == 1 else f"a call of {point['samples']} samples"]
        + [digits(point["contestants"].get(name, {}).get("ns_per_sample")) for name in names]
        for point in found["points"].values()
    ]
    yield from table(["", *names], rows)
    yield from goals(found["goals"])


def exported(found):
    """Of bench/c."""
    yield f"{found['what'][:1].upper()}{found['what'][1:]}. Compiled with {found['compiler']}."
    names = list(dict.fromkeys(name for point in found["points"] for name in point["medians"]))
    rows = [
        [f"{point['cell'].upper()}, H={point['H']}", *(digits(point["medians"].get(name)) for name in names)]
        for point in found["points"]
    ]
    yield from table(["", *names], rows)
    yield from goals(found["goals"])


def scale(found):
    """Of bench/scale."""
    parts = found["parts"]
    if "windows" in parts:
        one = parts["windows"]["shapes"][0]
        yield (
            f"**Windows**: a sliding window of T={one['T']} over {one['layers']} LSTM layers, I={one['I']}, "
            f"H={one['H']}; microseconds a sample."
        )
        ways = {contestant["name"]: contestant for contestant in reversed(one["contestants"])}
        rows = [[name, digits(way["p50"] / 1000), digits(way["p99"] / 1000)] for name, way in reversed(ways.items())]
        yield from table(["", "p50", "p99"], rows)
    if "pools" in parts:
        yield f"**Pools**: streams that make a step every {digits(parts['pools']['tick_ms'])} ms, at most."
        sizes = parts["pools"]["sizes"]
        names = list(next(iter(sizes.values()))["ways"])
        rows = [[f"H={H}", *(digits(of["ways"][name]["streams"]) for name in names)] for H, of in sizes.items()]
        yield from table(["", *names], rows)
    if "sets" in parts:
        yield f"**Data sets**: {parts['sets']['what']}; {parts['sets']['rows']:,} rows of Parquet, rows a second."
        rows = [[name, digits(one["rows_per_s"])] for name, one in parts["sets"]["contestants"].items()]
        yield from table(["", "rows a second"], rows)
    if "threads" in parts:
        yield "**Threads**: two over one, times as fast."
        shapes = parts["threads"]["shapes"].items()
        yield from table(["", "times"], [[f"{name}, {of['point']}", f"{of['speedup']:.2f}"] for name, of in shapes])
    yield from goals(found["goals"])


def spelling(found):
    """Of bench/spelling."""
    yield f"{found['what'][:1].upper()}{found['what'][1:]}; {found['words']} words."
    yield from table(["", "us"], [[name, digits(found[name]["median_us"])] for name in ("cgru", "numpy")])


def training(found):
    """Of bench/training."""
    parts = found["parts"]
    if "steps" in parts:
        points, names = parts["steps"]["points"], ("cgru", "cgru.torch", "PyTorch")
        yield (
            "A training step, T=100, I = H, float32, forward and backward: milliseconds by threads; the growth of a "
            "process's memory in MB, one thread. The limit is three times forward's products at the peak."
        )
        rows = []
        for point in points:
            ways, limits = [point["contestants"][name] for name in names], point["limit_ns"]
            times = [digits(way[threads]["median"] / 1e6) for threads in ("1", "2") for way in ways]
            over = f"{ways[0]['1']['median'] / limits['1']:.2f}"
            grown = [digits(way["1"]["memory"]["growth"] / 1e6) for way in ways]
            rows.append([shape(point), digits(limits["1"] / 1e6), over, *times, *grown])
        head = [f"{name}, {unit}" for unit in ("1", "2", "MB") for name in names]
        yield from table(["", "limit", "cgru / limit", *head], rows)
    if "text" in parts:
        of = parts["text"]
        yield f"A language model, {of['steps']} steps, {of['threads']} threads: seconds in all, and the last loss."
        rows = [
            [f"{optimizer}, {name}", digits(run["seconds"]), f"{run['losses'][-1]:.4f}"]
            for optimizer, one in of["optimizers"].items() for name, run in one["runs"].items()
        ]
        yield from table(["", "seconds", "loss"], rows)
    yield from goals(found["goals"])


class Experiment(NamedTuple):
    """Where an experiment's record stands in a CPU's folder of results, and what is said of it."""

    title: str
    folder: str     # of bench/
    inside: str     # of results/<cpu model>/
    lines: Callable[[dict[str, Any]], Any]


EXPERIMENTS = (
    Experiment("Steps and sequences", "speed", "", steps_and_sequences),
    Experiment("Weights in 16 and 8 bits", "speed", "weights", weights),
    Experiment("Training", "training", "", training),
    Experiment("An amplifier", "audio", "", amplifier),
    Experiment("Exported C", "c", "", exported),
    Experiment("Many at once", "scale", "", scale),
    Experiment("A model that spells", "spelling", "", spelling),
)


# ---- the page


def origin(found, folder):
    """When it was measured, of which commit where the record says it, with which versions."""
    parts = found.get("parts", {}).values() or [found]
    days = sorted({part["date"][:10] for part in parts if "date" in part})
    versions: dict = {}
    for part in parts:
        versions |= part.get("versions") or part.get("contestants") or {"cgru": part["cgru"]}
    ours = versions.get("cgru") or versions[CGRU]
    others = {name: words for name, words in versions.items() if not name.startswith(("cgru", "C "))}
    named = [f"cgru {ours}", *(f"{name} {words.split(',')[0]}" for name, words in others.items())]
    when = " and ".join(days) or "on a day that was not recorded"
    commits = sorted({part["machine"]["commit"] for part in parts if part.get("machine", {}).get("commit")})
    made = f", of commit {' and '.join(commits)}" if commits else ""
    return f"Measured {when}{made}, with {', '.join(named)}. All figures: `{folder}/results.json`."


def machine(found):
    """What is recorded of the machine: an experiment's, or of its first part."""
    return found.get("machine") or next(iter(found["parts"].values()))["machine"]


def sections(model):
    """What was recorded of a CPU model, and of its machine."""
    lines, cpu = [], None
    for experiment in EXPERIMENTS:
        folder = Path("bench", experiment.folder, "results", model, experiment.inside)
        path = ROOT / folder / "results.json"
        if not path.is_file():
            continue
        found = json.loads(path.read_text(encoding="utf-8"))
        cpu = machine(found)
        note = NOTES.get((experiment.folder, model, found.get("date", "")[:10]), "") if not experiment.inside else ""
        lines += [f"### {experiment.title}", "", origin(found, folder.as_posix()), note, ""]
        lines += [*experiment.lines(found), ""]
    return cpu, lines


def page():
    """The text of the page."""
    lines = ["# Measured speed", "", INTRODUCTION]
    for model in sorted({path.name for path in ROOT.glob("bench/*/results/*") if path.is_dir()}):
        cpu, found = sections(model)
        if cpu:
            caches = ", ".join(f"{level} {int(size.rstrip('K')):,} KB" for level, size in cpu["caches"].items())
            called = f", {CALLED[cpu['cpu']]}" if cpu["cpu"] in CALLED else ""
            lines += [f"## {cpu['cpu']}{called}", "", f"{cpu['cores']} cores, {caches}; {cpu['system']}.", "", *found]
    return "\n".join(wrapped("\n".join(lines))) + "\n"


def wrapped(text):
    """Prose in lines of 120 columns, tables and headings as they are, one empty line between them."""
    for number, block in enumerate(block for block in text.split("\n\n") if block.strip()):
        if number:
            yield ""
        whole = block.strip("\n")
        yield whole if whole[0] in "|#" else textwrap.fill(whole, 119, break_long_words=False, break_on_hyphens=False)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE}")
