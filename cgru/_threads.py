"""Batch rows over several threads: each runs all layers on its rows, with the GIL released."""

import threading

import numpy as np


def row_groups(rows, lengths, threads):
    """Slices of the batch, one per thread, of about equal work; whole tiles of 8 rows where there are enough."""
    groups = min(threads, rows)
    if groups == 1:
        return [slice(0, rows)]
    work = np.cumsum(np.ones(rows) if lengths is None else lengths)
    cuts = np.searchsorted(work, work[-1] * np.arange(1, groups) / groups, side="left") + 1
    if rows >= 16 * groups:
        cuts = np.round(cuts / 8).astype(int) * 8
    cuts = np.unique(np.clip(cuts, 1, rows - 1))
    return [slice(int(a), int(b)) for a, b in zip([0, *cuts], [*cuts, rows], strict=True)]


def in_threads(function, jobs):
    """``function(*job)`` for every job, all but the first in threads that end with it; errors are raised here."""
    if len(jobs) == 1:
        function(*jobs[0])
        return
    errors = []

    def attempt(job):
        try:
            function(*job)
        except BaseException as error:
            errors.append(error)

    helpers = [threading.Thread(target=attempt, args=(job,), daemon=True) for job in jobs[1:]]
    for helper in helpers:
        helper.start()
    attempt(jobs[0])
    for helper in helpers:
        helper.join()
    if errors:
        raise errors[0]
