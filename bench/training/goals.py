"""The goals as data, and their verdicts. They are the project's: a run never changes them."""

from bench.training.contestants import OWN, PEER

ROWS = 32  # N of the goals that are of one N
OVER_LIMIT = {256: 1.3, 128: 1.45, 64: 1.9}  # H: time of a GRU's step over the limit, one thread, at most
TWO_THREADS, WIDTHS = 1.7, (64, 128, 256)  # times as fast as one thread, a GRU at these H, at least
NEVER_SLOWER = 0.95  # times as fast as PyTorch at every point, at least; 1 within noise
TWICE, NARROW = 2.0, 128  # times as fast as PyTorch at H up to this, at least
MEMORY = 1.0  # growth of a process over that of PyTorch's, at every point, at most
CURVE, STEPS = 2.0, 100  # distance of the loss curves from float64's over so many steps, over PyTorch's, at most


def evaluate(parts):
    """Verdicts on the parts that there are.

    Returns
    -------
    list of dict
        ``part``; ``goal``, in words; ``who``; ``figure``, the worst; ``at_most`` or ``at_least``; ``points``, how many
        there are figures of, and ``of`` how many; ``missed``, the figures of those that miss, by name; and ``met``:
        False where one misses, None where `who` was not measured, or not at every point and none misses.
    """
    own = {"steps": steps, "text": text}
    return [{"part": name} | goal for name, of in own.items() if name in parts for goal in of(parts[name])]


def steps(part):
    """Verdicts on the steps, of `cgru` and of `cgru.torch` each."""
    return [goal | {"who": who} for who in OWN for goal in steps_of(who, part["points"])]


def steps_of(who, points):
    """The same of one of them."""
    at = {(line["cell"], line["H"], line["N"]): line for line in points}
    gru = {H: at["gru", H, ROWS] for H in sorted({*OVER_LIMIT, *WIDTHS}) if ("gru", H, ROWS) in at}
    found = [
        verdict(f"GRU, H={H}, N={ROWS}, one thread: time over the limit",
                {line["key"]: over_limit(line, who, "1") for line in (gru.get(H),) if line}, at_most=most)
        for H, most in OVER_LIMIT.items()
    ]  # fmt: skip
    speedups = {gru[H]["key"]: two_threads(gru[H], who) for H in WIDTHS if H in gru}
    found.append(verdict(f"GRU, N={ROWS}: two threads over one, times as fast", speedups, at_least=TWO_THREADS))
    ratios, grown = {}, {}
    for line in points:
        for threads in line["contestants"][PEER]:
            name = f"{line['key']}, {threads} thread{'s' * (threads != '1')}"
            ratios[line["H"], name] = over_peer(line, who, threads)
            grown[name] = memory_over_peer(line, who, threads)
    every = {name: ratio for (_, name), ratio in ratios.items()}
    narrow = {name: ratio for (H, name), ratio in ratios.items() if H <= NARROW}
    return [
        *found,
        verdict("times as fast as PyTorch, every point", every, at_least=NEVER_SLOWER),
        verdict(f"times as fast as PyTorch, H up to {NARROW}", narrow, at_least=TWICE),
        verdict("growth of memory over PyTorch's, every point", grown, at_most=MEMORY),
    ]


def one(line, who, threads):
    """What was measured of somebody with so many threads at a point, or None."""
    return line["contestants"].get(who, {}).get(threads)


def over_limit(line, who, threads):
    """Time over the limit, or None."""
    found, limit = one(line, who, threads), line["limit_ns"].get(threads)
    return found and limit and found["median"] / limit


def two_threads(line, who):
    """How many times as fast two threads are as one, or None."""
    found = [one(line, who, threads) for threads in ("1", "2")]
    return found[0]["median"] / found[1]["median"] if all(found) else None


def over_peer(line, who, threads):
    """How many times as fast as PyTorch with the same number of threads, or None."""
    found, peer = one(line, who, threads), one(line, PEER, threads)
    return found and peer and peer["median"] / found["median"]


def memory_over_peer(line, who, threads):
    """Growth of memory over PyTorch's, or None."""
    found, peer = ((one(line, name, threads) or {}).get("memory") for name in (who, PEER))
    return found and peer and found["growth"] / peer["growth"]


def text(part):
    """Verdicts on the loss curves."""
    own, peer, exact = part["own"], part["peer"], part["exact"]
    found = []
    for name, optimizer in part["optimizers"].items():
        curves = {who: optimizer["runs"][who]["losses"] for who in (own, peer, exact)}
        enough = part["steps"] >= STEPS
        ratio = curve_ratio(curves[own], curves[peer], curves[exact]) if enough else None
        goal = f"{name}: distance of the loss curve from float64's over {STEPS} steps, over PyTorch's"
        found.append(verdict(goal, {name: ratio}, at_most=CURVE) | {"who": own})
    return found


def distance(curve, exact, steps=STEPS):
    """The greatest distance of two loss curves over the first steps."""
    return max(abs(a - b) for a, b in zip(curve[:steps], exact[:steps], strict=True))


def curve_ratio(own, peer, exact, steps=STEPS):
    """The distance of one curve from the exact one over that of its peer; 0 where both are none."""
    far, peers = distance(own, exact, steps), distance(peer, exact, steps)
    return far / peers if peers else float("inf") * far if far else 0.0


def verdict(goal, figures, *, at_most=None, at_least=None):
    """The figures of some points against a bound."""
    bound = {"at_least": at_least} if at_most is None else {"at_most": at_most}
    known = {name: value for name, value in figures.items() if value is not None}
    kept = {name: value >= at_least if at_most is None else value <= at_most for name, value in known.items()}
    missed = {name: known[name] for name, met in kept.items() if not met}
    worst = (min if at_most is None else max)(known.values(), default=None)
    met = False if missed else True if known and len(known) == len(figures) else None
    count = {"points": len(known), "of": len(figures)}
    return {"goal": goal, "figure": worst, **bound, **count, "missed": missed, "met": met}
