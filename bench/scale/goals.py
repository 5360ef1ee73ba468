"""The goals as data, and their verdicts. They are the project's: a run never changes them.

Those of windows are in `windows_goals.py`; their verdicts come with the part.
"""

from statistics import median

from bench.scale.sets_contestants import CGRU, PACKED, PADDED, Contestant

TWO_CORES = 1.75  # the set on two cores over one, at least
OVER_TORCH = 3.0  # times as fast as PyTorch's better way, one core, at least
RAY = 1.25  # the job of a minute on Ray, start-up apart, over the local run, at most
MEMORY = 1.10  # peak of ten times the rows, over that of the rows, at most
POOL = 1.15  # a step of M of M streams over a batch's, at most
SINGLE_NS = 300  # a step of a single stream of a pool: more than a stream's, at most
THREADS = {"bidirectional": 1.7, "two layers": 1.6, "rows": 1.8}  # two threads over one, at least


def evaluate(parts):
    """Verdicts on the parts that there are.

    Returns
    -------
    list of dict
        ``part``, ``goal``, ``figure``, ``at_most`` or ``at_least``, and ``met``; `figure` and `met` are None where a
        contestant is absent or the machine has one core.
    """
    own = {"windows": lambda found: found["goals"], "sets": sets, "pools": pools, "threads": threads}
    return [{"part": name} | goal for name, of in named(parts, own) for goal in of(parts[name])]


def named(parts, own):
    """The names of the parts there are, each with what `own` has for it; "windows-x86-64-v3" are windows."""
    return [(name, of) for key, of in own.items() for name in sorted(parts) if name.partition("-")[0] == key]


def sets(found):
    """Verdicts on the sets."""
    contestants, mine, two = found["contestants"], Contestant(CGRU, 1).name, Contestant(CGRU, 2).name
    over_torch = [times(contestants, Contestant(kind, 1).name, mine) for kind in (PADDED, PACKED)]
    better = None if None in over_torch else min(over_torch)
    return [
        verdict("two cores over one, times as fast", times(contestants, mine, two), at_least=TWO_CORES),
        verdict("one core, times as fast as PyTorch's better way", better, at_least=OVER_TORCH),
        verdict("Ray over the local run, start-up apart", ray(found.get("minute")), at_most=RAY),
        verdict("peak memory of 10 times the rows, times as high", growth(found["memory"]["local"]), at_most=MEMORY),
    ]


def times(contestants, slow, fast):
    """How many times as fast: the median over the rounds, each of which had both. None where one is absent."""
    if slow not in contestants or fast not in contestants:
        return None
    both = zip(contestants[slow]["seconds"], contestants[fast]["seconds"], strict=True)
    return median(a / b for a, b in both)


def ray(minute):
    """Ray's time over the local one, in the job of a minute."""
    return minute and times(minute["contestants"], minute["ray"], minute["local"])


def ray_whole(minute):
    """The same with what a job of a row takes; without the start of the cluster."""
    on_ray, local = (minute["contestants"][minute[who]] for who in ("ray", "local"))
    three = zip(on_ray["seconds"], on_ray["start_s"], local["seconds"], strict=True)
    return median((seconds + start) / other for seconds, start, other in three)


def growth(found):
    """Peak over ten times the rows over the peak over the rows, of what `sets.peaks` gave."""
    return found and found["peak"][1] / found["peak"][0]


def growth_of_rest(found):
    """The same without what was there before the first row; None where that was all."""
    few, many = (peak - before for peak, before in zip(found["peak"], found["before"], strict=True))
    return many / few if few > 0 else None


def pools(found):
    """Verdicts on what a pool's step costs."""
    cost = found["cost"]
    return [
        *(
            verdict(f"step of {M} of {M} streams over a batch's", at["ratio"], at_most=POOL)
            for M, at in cost["M"].items()
        ),
        verdict("step of one stream, ns more than a stream's", cost["single"]["over_ns"],
                at_most=SINGLE_NS),
    ]  # fmt: skip


def threads(found):
    """Verdicts on two threads; other bits are a miss, whatever the speed."""
    verdicts = []
    for name, bound in THREADS.items():
        at = found["shapes"][name]
        goal = verdict(f"{name}, two threads over one", at["speedup"] if found["cores"] > 1 else None, at_least=bound)
        if not at["same_bits"]:
            goal |= {"goal": f"{goal['goal']} (OTHER BITS)", "met": False}
        verdicts.append(goal)
    return verdicts


def verdict(goal, figure, *, at_most=None, at_least=None):
    """A figure against its bound."""
    bound = {"at_least": at_least} if at_most is None else {"at_most": at_most}
    met = figure is not None and (figure >= at_least if at_most is None else figure <= at_most)
    return {"goal": goal, "figure": figure, **bound, "met": None if figure is None else met}
