"""Every call by itself: the latency of a step, of `settle`, and what both cost together; every output compared."""

from time import perf_counter_ns

import numpy as np

from bench.common.timing import PythonRunner
from bench.scale import windows_models
from bench.scale.windows_contestants import NULL, TOLERANCE, TOLERANCE_INT8, WINDOW, contestants
from bench.scale.windows_models import POINTS
from cgru.judge.suites import PUBLISHED, SOURCES

ROUNDS = 20
FEWEST, FEWEST_AFRESH = 120, 20  # timed samples of a contestant, at least
MOST = 20_000  # timed samples of a model
WARM = 20  # samples before those of a round that are timed; at most a tenth of them
PERCENTILES = {"p50": 50, "p99": 99, "p99.9": 99.9}
ENOUGH = {"p50": 1, "p99": 100, "p99.9": 1_000}  # samples, below which a percentile is not told from the largest


class Run:
    """A contestant's samples: inputs and outputs, times, and which of them count."""

    def __init__(self, contestant, inputs, count):
        self.contestant, self.at = contestant, 0
        members = range(contestant.models)
        self.y = [np.full((count, 1), np.nan, np.float32) for _ in members]
        outputs = [list(y) for y in self.y]
        self.steps = [np.zeros(count, np.int64) for _ in members]
        self.settles = [np.zeros(count, np.int64) for _ in members]
        self.counts = np.zeros(count, bool)
        of_each = zip(contestant.members, inputs, outputs, self.steps, self.settles, strict=True)
        self.turns = [(member.step, member.settle, *rest) for member, *rest in of_each]

    def take(self, count, counts=True):
        """The next samples; whether their times count."""
        begin, self.at = self.at, self.at + count
        self.counts[begin : self.at] = counts
        (with_settle if self.contestant.way == WINDOW else plain)(self.turns, begin, self.at)


def with_settle(turns, begin, end, clock=perf_counter_ns):
    """One sample after the other, the models in turns: a step and a settle, each between two readings of the clock."""
    for i in range(begin, end):
        for step, settle, inputs, outputs, steps, settles in turns:
            x, y = inputs[i], outputs[i]
            before = clock()
            step(x, y)
            after = clock()
            steps[i] = after - before
            before = clock()
            settle()
            after = clock()
            settles[i] = after - before


def plain(turns, begin, end, clock=perf_counter_ns):
    """The same of what has no settle."""
    for i in range(begin, end):
        for step, _, inputs, outputs, steps, _ in turns:
            x, y = inputs[i], outputs[i]
            before = clock()
            step(x, y)
            after = clock()
            steps[i] = after - before


def clock():
    """Median time from one reading of the clock to the next, in nanoseconds: it is in every figure."""
    return float(np.median(PythonRunner("pass", "None", dict, 1).single(20_000)))


def measure(letter, seconds, say, tick):
    """All contestants of a shape, in turns.

    Parameters
    ----------
    letter : str
        "A", "B" or "C".
    seconds : float
        For each contestant; at least FEWEST or FEWEST_AFRESH samples are timed, and at most MOST of each model.
    say, tick : callable
        Told who is absent; called after each of ROUNDS rounds.

    Returns
    -------
    dict
        ``shape``, ``T``, ``I``, ``layers``, ``H``, ``published``, and ``contestants``: ``name``, ``way``, ``weights``,
        ``models``, and the figures of `summary`.
    """
    point = POINTS[letter]
    nets, found = contestants(letter, say)
    lengths = [length(one, point, seconds) for one in found]
    x = [windows_models.samples(letter, max(lengths) + point.T, number) for number in range(len(nets["float32"]))]
    runs = [Run(one, [prepared(one, values, count) for values in x[: one.models]], count)
            for one, count in zip(found, lengths, strict=True)]  # fmt: skip
    order = np.random.default_rng(0)
    for run in runs:
        run.take(first(run.contestant, point.T), counts=False)
    ends = [np.linspace(run.at, len(run.counts), ROUNDS + 1).astype(int) for run in runs]
    for turn in range(ROUNDS):
        for place in order.permutation(len(runs)).tolist():
            block = int(ends[place][turn + 1]) - runs[place].at
            warm = min(WARM, block // 10)
            runs[place].take(warm, counts=False)
            runs[place].take(block - warm)
        tick()
    right = Answers(nets, x, point.T, runs)
    published = [{"ns": one.ns, "what": one.what, "source": SOURCES[one.source]} for one in PUBLISHED.get(point, ())]
    return {
        "shape": letter, "T": point.T, "I": point.I, "layers": point.layers, "H": point.H,
        "published": published,
        "contestants": [summary(run) | compare(run, right) for run in runs],
    }  # fmt: skip


def length(contestant, point, seconds):
    """Samples of each model that fill the time, and those that come first; a few are taken to find out."""
    member = contestant.members[0]
    shape = (point.I,) if contestant.needs == 1 else (point.T, point.I)
    x, y = np.zeros(shape, np.float32), np.empty(1, np.float32)
    each = []
    for _ in range(3):
        before = perf_counter_ns()
        member.step(x, y)
        if member.settle:
            member.settle()
        each.append(perf_counter_ns() - before)
    if member.reset:
        member.reset()
    ns = max(1, min(each)) * contestant.models
    fewest = FEWEST if contestant.needs == 1 else FEWEST_AFRESH
    return int(np.clip(1e9 * seconds / ns, fewest // contestant.models, MOST)) + first(contestant, point.T)


def prepared(contestant, x, count):
    """The inputs of a member, made before anything is timed: samples, or the windows that end with them."""
    if contestant.needs == 1:
        return list(x[:count])
    return [x[at : at + contestant.needs] for at in range(count)]


def first(contestant, T):
    """Samples that come before any is timed: until a window is full, or the caches are."""
    if contestant.way == WINDOW:
        return T
    return WARM if contestant.needs == 1 else 2


def summary(run):
    """The figures of a run, in nanoseconds.

    Returns
    -------
    dict
        ``samples`` that were timed, ``p50``, ``p99``, ``p99.9``, ``max`` of the step, over all models; a percentile is
        None where there are too few samples. ``max_over_median``. ``settle``: the same percentiles and ``max``, or
        None. ``windows_per_second`` of all models together, step and settle, None for what has no windows.
    """
    one = run.contestant
    steps = np.concatenate([times[run.counts] for times in run.steps])
    settles = np.concatenate([times[run.counts] for times in run.settles])
    has_windows = one.expects == "windows"
    return {
        "name": one.name, "way": one.way, "weights": one.weights, "models": one.models,
        "samples": int(steps.size), **percentiles(steps),
        "max_over_median": float(steps.max() / np.median(steps)),
        "settle": percentiles(settles) if one.way == WINDOW else None,
        "windows_per_second": float(1e9 * steps.size / (steps.sum() + settles.sum())) if has_windows else None,
    }  # fmt: skip


def percentiles(times):
    """p50, p99, p99.9 and max of times."""
    found = {
        name: float(np.percentile(times, share, method="higher")) if times.size >= ENOUGH[name] else None
        for name, share in PERCENTILES.items()
    }
    return found | {"max": float(times.max())}


class Answers:
    """What the outputs of runs must be; those that several runs share are computed once."""

    def __init__(self, nets, x, T, runs):
        self.nets, self.x, self.T = nets, x, T
        self.samples, self.kept = {}, {}
        for run in runs:
            for number in range(run.contestant.models):
                key = self._key(run.contestant, number)
                self.samples[key] = max(self.samples.get(key, 0), self._samples(run))

    @staticmethod
    def _key(one, number):
        return one.expects, one.weights if one.exact else "float32", number

    def _samples(self, run):
        return len(run.counts) + (self.T - 1 if run.contestant.needs > 1 else 0)

    def of(self, run, number):
        """Those of a member (S, 1): of a call, and in float64."""
        one = run.contestant
        key = self._key(one, number)
        if key not in self.kept:
            net, x = self.nets[key[1]][number], self.x[number][: self.samples[key]]
            self.kept[key] = [whole(net, x) if one.expects == "whole" else self._windows(net, x, whole, full)
                              for whole, full in PREDICTORS]  # fmt: skip
        begin = self.T - 1 if one.needs > 1 else 0
        return (values[begin:][: len(run.counts)] for values in self.kept[key])

    def _windows(self, net, x, whole, full):
        """Of every sample: windows that are not full yet are a sequence from the start."""
        return np.concatenate([whole(net, x[: self.T - 1]), full(net, x, self.T)])


PREDICTORS = (
    (windows_models.whole, windows_models.by_itself),
    (windows_models.whole_oracle, windows_models.oracle),
)


def compare(run, right):
    """Every output against the network's own over the whole window, to the last bit, and against float64.

    SystemExit where one is wrong.

    Returns
    -------
    dict
        ``outputs`` that were compared; ``error``, the largest against float64, and ``spread``, the standard deviation
        of what they should be; None for the null model.
    """
    one = run.contestant
    if one.way == NULL:
        return {"outputs": 0, "error": None, "spread": None}
    errors, spreads = [], []
    for number, y in enumerate(run.y):
        exact, truth = right.of(run, number)
        where = f"{one.name}, model {number}"
        if one.exact and not np.array_equal(y, exact):
            raise SystemExit(f"{where}: {int((y != exact).sum())} of {len(y)} outputs are not those of a call")
        error, spread = float(np.abs(y - truth).max()), float(truth.std())
        if not error <= (TOLERANCE_INT8 * spread if one.weights == "int8" else TOLERANCE):
            raise SystemExit(f"{where}: differs from float64 by {error:.1e}, where y spreads by {spread:.1e}")
        errors.append(error)
        spreads.append(spread)
    return {"outputs": sum(map(len, run.y)), "error": max(errors), "spread": min(spreads)}
