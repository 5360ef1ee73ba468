"""Interleaved timing of contestants that all do the same job.

A *runner* is one way to do it: ``sample(calls, count)`` gives `count` samples, each the mean time in
nanoseconds of `calls` calls back to back; ``result()`` starts afresh and gives the output to compare.
"""

import gc
import time
from itertools import repeat

import numpy as np

SAMPLE_NS = 10_000  # a sample is at least this long, so that reading the clock stays below 1 %
ROUNDS = 20
FEWEST_ROUNDS = 3
LONGEST_TRIAL = 0.5  # seconds after which ways are tried no more

_TEMPLATE = """
def sample(calls, count, clock=clock, repeat=repeat, empty=empty, {names}):
    samples = empty(count)
    for i in range(count):
        start = clock()
        for _ in repeat(None, calls):
            {statement}
        samples[i] = clock() - start
    samples /= calls
    return samples

def single(count, clock=clock, range=range, empty=empty, {names}):
    samples = empty(count)
    for i in range(count):
        start = clock()
        {statement}
        samples[i] = clock() - start
    return samples

def result(calls, repeat=repeat, {names}):
    for _ in repeat(None, calls):
        {statement}
    return {result}
"""


class PythonRunner:
    """One statement of Python, compiled into the timed loop, as `timeit` does it.

    Nothing but the statement is in the loop: no closure, no lookup of a global name.

    Parameters
    ----------
    statement : str
        The call, on one line. Names it assigns (such as h) carry over to the next call.
    result : str
        Expression for y after the last call.
    prepare : callable
        Gives the names that the statement uses, with fresh state.
    check_calls : int
        Calls before `result` is looked at.
    """

    def __init__(self, statement, result, prepare, check_calls):
        self.call = statement
        self.result_text, self.prepare, self.check_calls = result, prepare, check_calls
        compiled = self._compile()
        self.sample, self.single = compiled["sample"], compiled["single"]

    def _compile(self):
        names = self.prepare()
        text = _TEMPLATE.format(
            names=", ".join(f"{name}={name}" for name in names), statement=self.call, result=self.result_text
        )
        scope = {"clock": time.perf_counter_ns, "repeat": repeat, "empty": np.empty, **names}
        exec(compile(text, "<timed loop>", "exec"), scope)
        return scope

    def result(self):
        """Output y after `check_calls` calls from a fresh start."""
        return np.array(self._compile()["result"](self.check_calls))


def fastest(runners, tries=5, seconds=0.01):
    """The fastest of several runners, each tried a few times in turn.

    Returns
    -------
    runner
        The one that goes into the measurement.
    dict of str to float
        By the text of the call, the best time of every runner in nanoseconds; empty if there is only one.
    """
    if len(runners) == 1:
        return runners[0], {}
    calls = [max(1, int(seconds * 1e9 / estimate(runner))) for runner in runners]
    best = [np.inf] * len(runners)
    end = time.monotonic() + LONGEST_TRIAL
    for turn in range(tries):
        if turn and time.monotonic() > end:
            break
        for i, runner in enumerate(runners):
            best[i] = min(best[i], float(runner.sample(calls[i], 1)[0]))
    ways = {runner.call: time for runner, time in zip(runners, best, strict=True)}
    return runners[int(np.argmin(best))], ways


def estimate(runner, at_least_ns=200_000):
    """Rough time of a call in nanoseconds, warm."""
    calls = 1
    first = float(runner.sample(1, 1)[0])
    if first >= 1000 * at_least_ns:
        return first
    while True:
        each = float(runner.sample(calls, 1)[0])
        if each * calls >= at_least_ns:
            return max(each, 1.0)
        calls *= 4


class _Plan:
    """How one runner's time is split: rounds, samples in a round, calls in a sample, warm-up calls."""

    def __init__(self, runner, budget_ns, rounds):
        each = estimate(runner)
        self.calls = max(1, int(np.ceil(SAMPLE_NS / each)))
        self.of = rounds
        self.rounds = int(np.clip(3 * budget_ns / each, FEWEST_ROUNDS, rounds))
        share = budget_ns / self.rounds
        self.count = max(1, int(share / (self.calls * each)))
        # The last contestant's weights are in the caches: let this one's come back, unless a call is so long
        # that this does not matter.
        self.warm = int(np.ceil(0.1 * share / each)) if each < 0.1 * share else 0

    def runs_in(self, turn):
        """Whether this runner plays in round `turn`; short plans are spread evenly."""
        return (turn * self.rounds) // self.of != ((turn + 1) * self.rounds) // self.of


def interleave(runners, budget=0.4, seed=0, rounds=ROUNDS, between=None):
    """Time every runner in short rounds, in a new order each round.

    Parameters
    ----------
    runners : dict of str to runner
    budget : float
        Seconds for each runner. A runner whose call is long gets fewer rounds, at least FEWEST_ROUNDS.
    seed : int
        Of the order.
    rounds : int
        At least FEWEST_ROUNDS.
    between : callable, optional
        Called before every round and after the last.

    Returns
    -------
    dict of str to dict
        For each runner the :func:`summary` of its samples.
    """
    plans = {name: _Plan(runner, 1e9 * budget, rounds) for name, runner in runners.items()}
    samples = {name: [] for name in runners}
    order = np.random.default_rng(seed)
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        for turn in range(rounds):
            if between:
                between()
            for name in order.permutation(list(runners)).tolist():
                plan, runner = plans[name], runners[name]
                if plan.runs_in(turn):
                    if plan.warm:
                        runner.sample(plan.warm, 1)
                    samples[name].append(runner.sample(plan.calls, plan.count))
        if between:
            between()
    finally:
        if collecting:
            gc.enable()
    return {name: summary(samples[name], plans[name].calls) for name in runners}


def summary(blocks, calls):
    """Statistics in nanoseconds of a list of blocks of samples.

    ``p99`` is over samples, each the mean of ``calls_per_sample`` calls: where that is 1 it is the p99 of
    calls, otherwise a single slow call is diluted (the jitter run times every call by itself). Below 100
    samples it is the largest. ``spread`` is (largest - smallest) / median of the blocks' medians.
    """
    every = np.concatenate(blocks)
    medians = [float(np.median(block)) for block in blocks]
    middle = float(np.median(every))
    return {
        "median": middle,
        "p99": float(np.percentile(every, 99, method="higher")),
        "p25": float(np.percentile(every, 25)),
        "p75": float(np.percentile(every, 75)),
        "min": float(every.min()),
        "max": float(every.max()),
        "samples": int(every.size),
        "calls_per_sample": int(calls),
        "rounds": len(blocks),
        "spread": (max(medians) - min(medians)) / middle,
    }
