"""The report of a run, as text."""

from statistics import median

from bench.scale import goals
from bench.scale.sets_contestants import RAY
from bench.speed.report import digits, machine_line, table


def lines(found):
    """Yield the report, line by line."""
    own = {"windows": windows, "sets": sets, "pools": pools, "threads": threads}
    for name, of in goals.named(found["parts"], own):
        part = found["parts"][name]
        yield ""
        yield f"== {name}, {part['date']}"
        if of is not windows:
            yield machine_line(part["machine"])
        yield from of(part)
    yield ""
    yield from verdicts(found["goals"])


def verdicts(found):
    """Yield a line for every goal; the windows' are in their own report."""
    words = {True: "pass", False: "MISS", None: "not measured"}
    for goal in found:
        bound = f"at most {goal['at_most']:g}" if "at_most" in goal else f"at least {goal['at_least']:g}"
        figure = "-" if goal["figure"] is None else f"{goal['figure']:.3g}"
        if not goal["part"].startswith("windows"):
            yield f"{goal['part']}: {goal['goal']}: {figure}, {bound}: {words[goal['met']]}"


def windows(part):
    """The windows' own report."""
    from bench.scale import windows_report

    return windows_report.lines(part)


def sets(part):
    """Throughput and memory of everybody, then memory's growth, then Ray."""
    yield f"{part['rows']} rows of {part['what']}; median of {part['rounds']} passes"
    header = ["", "CPUs", "rows/s", "seconds", "range", "CPU s", "peak MB", "before MB", "way"]
    yield table(header, [_contestant(name, one) for name, one in part["contestants"].items()])
    for name, reason in part["absent"].items():
        yield f"{name} is absent: {reason}"
    yield from (_memory(part["memory"][who], part["memory"]["rows"]) for who in ("local", "ray") if part["memory"][who])
    rays = [one for one in part["contestants"].values() if one["kind"] == RAY]
    yield from (_start(one) for one in rays)
    if part.get("minute"):
        yield from _minute(part["minute"])


def _contestant(name, one):
    way = min(one["ways"], key=one["ways"].get) if one["ways"] else ""
    seconds = one["seconds"]
    span = f"{digits(min(seconds))}-{digits(max(seconds))}"
    cpu = sum(median(list(values)) for values in _by_name(one["cpu"]).values()) if "cpu" in one else one["cpu_s"]
    cells = [str(one["cpus"]), digits(one["rows_per_s"]), digits(median(seconds)), span, digits(cpu)]
    return [name, *cells, _mb(one["peak"]), _mb(one["resident"]), way]


def _by_name(rounds):
    names = dict.fromkeys(name for found in rounds for name in found)
    return {name: [found.get(name, 0.0) for found in rounds] for name in names}


def _mb(size):
    return "-" if size is None else f"{size / 1e6:.0f}"


def _memory(one, rows):
    three = zip(rows, one["peak"], one["before"], strict=True)
    peaks = " and ".join(f"{_mb(peak)} MB for {rows} rows ({_mb(before)} before them)" for rows, peak, before in three)
    rest = goals.growth_of_rest(one)
    rest = "-" if rest is None else f"{rest:.3f}"
    return f"peak of {one['contestant']}: {peaks}, {goals.growth(one):.3f} times; without what was before, {rest} times"


def _start(one):
    starts = f"{median(one['init_s']):.1f} s to start the cluster, {median(one['start_s']):.1f} s a job of a row"
    return f"Ray, {one['cores']} worker{'s' * (one['cores'] > 1)}, apart from the figures above: {starts}"


def _minute(minute):
    yield f"a longer job, {minute['rows']} rows:"
    rows = [_contestant(name, one) for name, one in minute["contestants"].items()]
    yield table(["", "CPUs", "rows/s", "seconds", "range", "CPU s", "peak MB", "before MB", ""], rows)
    ratios = f"{goals.ray(minute):.3f}; with what a job of a row takes, {goals.ray_whole(minute):.3f}"
    yield f"Ray's time over the local run's: {ratios}"
    found = minute["contestants"][minute["ray"]]
    yield _start(found)
    shares = _by_name(found["cpu"])
    most = sorted(((median(values), name) for name, values in shares.items()), reverse=True)
    yield "processor seconds on Ray: " + ", ".join(f"{name} {seconds:.1f}" for seconds, name in most if seconds >= 0.05)


def pools(part):
    """Numbers of streams, then the cost of a step."""
    yield f"streams that one core holds at a tick of {part['tick_ms']:g} ms: the p99 of a tick is below"
    names = list(dict.fromkeys(name for size in part["sizes"].values() for name in size["ways"]))
    rows = []
    for H, size in part["sizes"].items():
        ways = [size["ways"].get(name) for name in names]
        cells = [one and f"{one['streams']}{'' if one['held'] else ' MISSED'} ({one['p99_ms']:.2f})" for one in ways]
        rows.append([f"GRU({size['I']}, {H})", *(cell or "-" for cell in cells)])
    yield table(["streams (p99 of a tick, ms)", *names], rows)
    for name, reason in part["absent"].items():
        yield f"{name} is absent: {reason}"
    cost = part["cost"]
    yield f"a step of GRU({cost['I']}, {cost['H']}), {cost['layers']} layers, median in us"
    rows = [
        [f"{M} of {M} streams", *(digits(at[way]["median"] / 1e3) for way in ("pool", "batch")), f"{at['ratio']:.3f}"]
        for M, at in cost["M"].items()
    ]
    yield table(["", "pool", "batch", "ratio"], rows)
    rows = [
        [words, *(f"{cost[name][way]['median']:.0f}" for way in ("stream", "pool", "pool_row"))]
        for name, words in (("single", "one stream, ns"), ("small", "the same of the smallest model"))
    ]
    yield table(["", "stream", "pool, by its id", "by ids of one"], rows)


def threads(part):
    """One thread and two."""
    rows = []
    for name, at in part["shapes"].items():
        times = [digits(at[way]["median"] / 1e3) for way in ("one", "two")]
        bits = "same bits" if at["same_bits"] else "OTHER BITS"
        rows.append([name, at["point"], *times, f"{at['speedup']:.2f}", bits])
    yield table(["", "", "one thread, us", "two, us", "times", ""], rows)
