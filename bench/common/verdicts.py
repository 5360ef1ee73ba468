"""Two runs of one experiment, point by point: what became slower by more than their noise?

Times of two sessions on a shared machine differ by what else ran there. So two things are asked of each point, and
slower is only what is slower by both:

* its time, against the quartiles of its samples: it is slower where the lower quartile of the second run lies above the
  upper one of the first;
* its time over the yardsticks of the same run: those who took turns with it and have not changed since (peers of the
  same version, baselines in C, the limit of the machine). The median of how they changed is what the machine did, and
  their own quartiles add to the noise.

Quartiles know nothing of what differs between two processes, such as where memory lies: `FLOOR` is added for that.
Where no yardstick is in both runs, nobody can tell the code from the machine: such a point gets a question mark.
"""

from statistics import median
from typing import NamedTuple

from bench.common.runs import LIMIT

OWN = ("cgru", "exported C")  # contestants whose names begin so are judged; the others are the yardsticks
FLOOR = 0.05  # by which two runs of the same thing may differ on a quiet machine: bench/speed's goals forgive as much
MUST_AGREE = ("threads", "quick", "what", "words", "cores")  # otherwise the two did not measure the same
SLOWER, FASTER, LEVEL = "slower", "faster", ""
DOUBT = "?"  # behind these words, where there is no yardstick


class Row(NamedTuple):
    """One contestant at one point: nanoseconds then and now; a change is now over then, so above 1 is slower."""

    point: str
    who: str
    before: float
    now: float
    change: float
    machine: float | None  # how the yardsticks changed
    noise: float  # how far from 1 a change is no news
    verdict: str

    @property
    def relative(self):
        """The change over what the yardsticks did; the change where there is none."""
        return self.change / (self.machine or 1)


def compare(before, now):
    """Rows of two Runs, the worst first."""
    alike = yardsticks(before, now)
    rows = [
        row
        for point in before.points
        if point in now.points
        for row in of_point(point, before.points[point], now.points[point], alike)
    ]
    return sorted(rows, key=lambda row: -row.relative)


def yardsticks(before, now):
    """Who did not change: those who are not ours, and of one version in both runs, as both say; and the limit."""
    names = {name for run in (before, now) for point in run.points.values() for name in point}
    peers = {name for name in names if not name.startswith(OWN)} - {LIMIT}
    alike = {name for name in peers if version(before, name) == version(now, name) is not None}
    return alike | ({LIMIT} if before.method.get("limit") == now.method.get("limit") else set())


def version(run, name):
    """What a run says of a contestant's version, or of the peer that it is one way of; None where it says nothing."""
    known = [peer for peer in run.versions if name.startswith(peer)]
    return run.versions[max(known, key=len)] or None if known else None


def of_point(point, before, now, alike):
    """Rows of one point."""
    fixed = [name for name in before if name in now and name in alike]
    machine = median(now[name].median / before[name].median for name in fixed) if fixed else None
    unsure = median(noise(before[name], now[name]) for name in fixed) if fixed else 0.0
    for name in before:
        if name.startswith(OWN) and name in now:
            own = noise(before[name], now[name])
            change = now[name].median / before[name].median
            relative = change / (machine or 1)
            bound = FLOOR + own
            slow = change > 1 + bound and relative > 1 + bound + unsure
            fast = 1 / change > 1 + bound and 1 / relative > 1 + bound + unsure
            verdict = SLOWER if slow else FASTER if fast else LEVEL
            verdict += DOUBT if verdict and machine is None else ""
            yield Row(point, name, before[name].median, now[name].median, change, machine, bound + unsure, verdict)


def noise(before, now):
    """How far apart two medians may lie with their quartiles still touching, times the median."""
    halves = [max(one.high - one.median, one.median - one.low) / one.median for one in (before, now)]
    return sum(halves)


def missing(before, now):
    """What only one run has: (only before, only now), each "POINT" or "POINT, WHO"."""

    def beyond(one, other):
        for point, contestants in one.points.items():
            if point not in other.points:
                yield point
            else:
                yield from (f"{point}, {who}" for who in contestants if who not in other.points[point])

    return list(beyond(before, now)), list(beyond(now, before))


def differences(before, now):
    """How the methods differ: (what forbids a comparison, what has to be known), each a list of words."""
    names = dict.fromkeys([*before.method, *now.method])
    other = [name for name in names if before.method.get(name) != now.method.get(name)]
    said = {name: f"{name} {before.method.get(name)}, then {now.method.get(name)}" for name in other}
    return tuple([said[name] for name in other if (name in MUST_AGREE) == forbids] for forbids in (True, False))
