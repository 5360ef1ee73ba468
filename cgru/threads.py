"""Batch rows over several threads: each runs all layers on its rows, with the GIL released."""

import threading

import numpy as np

from cgru.engines.interruption import Stop


def row_groups(rows, lengths, threads):
    """Slices of the batch, one per thread, of about equal work; without lengths whole tiles of 8 rows."""
    groups = min(threads, rows)
    if groups == 1:
        return [slice(0, rows)]
    work = np.cumsum(np.ones(rows) if lengths is None else lengths)
    cuts = np.searchsorted(work, work[-1] * np.arange(1, groups) / groups, side="left") + 1
    if lengths is None and rows >= 16 * groups:
        cuts = np.round(cuts / 8).astype(int) * 8
    cuts = np.unique(np.clip(cuts, 1, rows - 1))
    return [slice(int(a), int(b)) for a, b in zip([0, *cuts], [*cuts, rows], strict=True)]


def in_threads(function, jobs):
    """``function(*job)`` for every job, all but the first in threads that end with it.

    Errors are raised here, when every job has ended: nothing writes to the caller's arrays any more. After an error or
    an interrupt the others stop soon. A job that gets no thread runs in this one.
    """
    if len(jobs) == 1:
        function(*jobs[0])
        return
    errors, stop = [], Stop()

    def attempt(job):
        try:
            with stop.under():
                function(*job)
        except BaseException as error:
            errors.append(error)        # the first is the cause of the others
            stop.set()

    helpers, started = [], 1
    try:
        for job in jobs[1:]:
            helpers.append(threading.Thread(target=attempt, args=(job,), daemon=True))
            helpers[-1].start()
            started += 1
    except RuntimeError:        # can't start new thread
        helpers.pop()
    finally:
        for job in (jobs[0], *jobs[started:]):
            attempt(job)
        _join(helpers, errors, stop)
    if errors:
        raise errors[0]


def _join(helpers, errors, stop):
    """Wait for every helper, whatever happens meanwhile."""
    for helper in helpers:
        while helper.is_alive():
            try:
                helper.join()
            except KeyboardInterrupt as error:
                errors.append(error)
                stop.set()
