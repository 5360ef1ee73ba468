"""The report of a run, as text."""

from bench.speed.report import digits, machine_line, table
from bench.training import goals
from bench.training.contestants import CONTESTANTS, OWN, PEER

QUIET = 0.15  # rounds whose medians differ by more than this were disturbed


def lines(found):
    """Yield the report, line by line."""
    own = {"steps": steps, "text": text}
    for name, of in own.items():
        if name in found["parts"]:
            part = found["parts"][name]
            yield ""
            yield f"== {name}, {part['date']}"
            yield machine_line(part["machine"])
            yield ", ".join(f"{module} {version}" for module, version in part["versions"].items())
            yield from of(part)
    yield ""
    yield from verdicts(found["goals"])


def verdicts(found):
    """Yield a line for every goal, and one for every point that misses it."""
    words = {True: "met", False: "MISSED", None: "not measured"}
    for goal in found:
        bound = f"at most {goal['at_most']:g}" if "at_most" in goal else f"at least {goal['at_least']:g}"
        figure = digits(goal["figure"])
        worst = f"worst of {goal['points']}: {figure}" if goal["points"] > 1 else figure
        verdict = words[goal["met"]]
        if goal["met"] is None and goal["points"]:
            verdict = f"not measured at {goal['of'] - goal['points']} of {goal['of']}"
        elif goal["met"] is False and goal["of"] > 1:
            verdict += f" at {len(goal['missed'])} of {goal['points']}"
        yield f"{goal['who']}: {goal['goal']}: {worst}, {bound}: {verdict}"
        if goal["met"] is False and goal["of"] > 1:
            for name, value in goal["missed"].items():
                yield f"    {name}: {digits(value)}"


def steps(part):
    """Yield times, then memory, a table for each cell and number of threads."""
    yield f"one training step, T={part['T']}, I = H, float32; medians; the gradients of all agree"
    yield f"times as fast: as {PEER} with as many threads; MB: growth of the memory of a process, 10^6 bytes"
    if part["no_limit"]:
        yield f"no limit: {part['no_limit']}"
    for who, reason in part["absent"].items():
        yield f"{who} is absent: {reason}"
    yield from spread(part["points"])
    for cell in dict.fromkeys(line["cell"] for line in part["points"]):
        for threads in map(str, part["threads"]):
            points = [line for line in part["points"] if line["cell"] == cell]
            names = [name for name in CONTESTANTS if any(goals.one(line, name, threads) for line in points)]
            yield ""
            yield f"{cell.upper()}, {threads} thread{'s' * (threads != '1')}"
            yield times(points, names, threads)


def spread(points):
    """Yield how much the rounds differ: figures of a machine that was not quiet are none."""
    spreads = sorted(
        found["spread"] for line in points for each in line["contestants"].values() for found in each.values()
    )
    if spreads:
        middle, high = spreads[len(spreads) // 2], spreads[9 * len(spreads) // 10]
        verdict = "" if middle < QUIET else "  NOT A QUIET MACHINE: take no figure from this run"
        yield f"spread of the rounds: median {middle:.2f}, 90th percentile {high:.2f}{verdict}"


def times(points, names, threads):
    """Two tables of a cell with so many threads: times and the limit; what the goals look at beside it."""
    own = [name for name in names if name in OWN]
    first = ["H, N", "GFLOP/s", "limit ms", *(f"{name} ms" for name in names), *(f"{name} / limit" for name in names)]
    second = ["H, N", *(f"{name}, times as fast" for name in own), *(f"{name} MB" for name in names)]
    rows, others = [], []
    for line in points:
        limit, rate = line["limit_ns"].get(threads), line["gflops"].get(threads)
        found = [goals.one(line, name, threads) for name in names]
        cells = [rate, limit and limit / 1e6, *(each and each["median"] / 1e6 for each in found)]
        cells += [goals.over_limit(line, name, threads) for name in names]
        rows.append([f"{line['H']}, {line['N']}", *map(digits, cells)])
        ratios = [digits(goals.over_peer(line, name, threads)) for name in own]
        others.append([rows[-1][0], *ratios, *map(megabytes, found)])
    return f"{table(first, rows)}\n\n{table(second, others)}"


def megabytes(found):
    """The growth of memory."""
    memory = found and found.get("memory")
    return f"{memory['growth'] / 1e6:.1f}" if memory else "-"


def text(part):
    """Yield the training runs of the language model."""
    model = f"Embedding({part['vocabulary']}, {part['embedding']}), {part['layers']} layers of GRU({part['hidden']})"
    threads = f"{part['threads']} thread{'s' * (part['threads'] > 1)}"
    yield f"{model}, Linear; T={part['T']}, N={part['N']}, {part['steps']} steps, {threads}"
    yield f"loss of one who knows the text's grammar: {part['nats']:.3f}"
    for name, optimizer in part["optimizers"].items():
        options = ", ".join(f"{key} {value:g}" for key, value in optimizer["options"].items())
        exact = optimizer["runs"][part["exact"]]["losses"]
        rows = []
        for who, run in optimizer["runs"].items():
            losses = run["losses"]
            at = sorted({0, len(losses) // 4, len(losses) // 2, len(losses) - 1})
            far = "-" if who == part["exact"] else f"{goals.distance(losses, exact):.1e}"
            last = "  ".join(f"{losses[step]:.3f}" for step in at)
            rows.append([who, digits(run["seconds"]), digits(run["median_ms"]), last, far])
        yield ""
        yield f"{name}, {options}"
        steps = min(goals.STEPS, part["steps"])
        header = ["", "seconds", "ms a step", f"loss at {', '.join(map(str, at))}", f"from float64, {steps} steps"]
        yield table(header, rows)
