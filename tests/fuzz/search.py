"""The search without a guide: changed seeds, one after the other, for some seconds."""

import random
import time


def search(check, format_, seconds, seed, progress=lambda runs: None):
    """Check changed files of a format.

    Parameters
    ----------
    check : doors.Check
    format_ : formats.Format
    seconds : float
        Of the clock; one file is checked in any case.
    seed : int
    progress : callable
        Told how many files there were, after each.

    Yields
    ------
    (bytes, list of str)
        Files of which something does not hold, and what.
    """
    rng, seeds = random.Random(seed), list(format_.seeds.values())
    end, runs = time.monotonic() + seconds, 0
    while runs == 0 or time.monotonic() < end:
        data = format_.changed(rng.choice(seeds), rng)
        found = check(data)
        runs += 1
        progress(runs)
        if found:
            yield data, found
