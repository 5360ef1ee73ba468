"""Work over several threads, with the GIL released inside: the rows of one batch, or one thing after the other."""

import os
import threading
from collections import deque
from queue import SimpleQueue

import numpy as np

from cgru.checks import check_size
from cgru.engines.interruption import Stop


def thread_count(threads):
    """How many threads a caller's number means: -1 is all cores that this process may use."""
    if isinstance(threads, int | np.integer) and threads == -1:
        return _cores()
    try:
        return check_size("threads", threads)
    except ValueError as error:
        raise ValueError(f"threads must be at least 1, or -1 for all cores; got {threads}") from error


def _cores():
    if hasattr(os, "process_cpu_count"):        # from Python 3.13 on
        return os.process_cpu_count() or 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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


def over_rows(function, groups, x, y, states, lengths):
    """``function(x, y, states, lengths)`` for each of so many groups of rows, each in a thread of its own.

    x and y are (T, N, features), states a tuple of tuples of planes (L*D, N, H), lengths (N,) or None.
    """
    jobs = [
        (
            x[:, rows], y[:, rows], tuple(tuple(plane[:, rows] for plane in planes) for planes in states),
            None if lengths is None else lengths[rows],
        )
        for rows in row_groups(x.shape[1], lengths, groups)
    ]  # fmt: skip
    in_threads(function, jobs)


def in_threads(function, jobs):
    """``function(*job)`` for every job, each in a thread of its own but for the first.

    Errors are raised here, when every job has ended: nothing writes to the caller's arrays any more. After an error or
    an interrupt the others stop soon. A job that gets no thread, or whose thread is late, runs in this one.
    """
    if len(jobs) == 1:
        function(*jobs[0])
        return
    # whoever takes a job out of here, which is atomic, is the only one to run it: whether a thread that was
    # interrupted in its start() runs or not, cannot be known
    waiting, errors, stop = dict(enumerate(jobs)), [], Stop()
    # an interrupted join() says of a running thread that it has ended (until Python 3.12): they say it themselves
    begun: list[int] = []
    ended: list[int] = []
    news: SimpleQueue[int] = SimpleQueue()

    def attempt(number):
        job = waiting.pop(number, None)
        if job is None:
            return
        try:
            with stop.under():
                function(*job)
        except BaseException as error:
            errors.append(error)        # the first is the cause of the others
            waiting.clear()             # what has not begun, does not begin
            stop.set()

    def help(number):
        begun.append(number)            # before it can take a job
        try:
            attempt(number)
        finally:
            ended.append(number)
            news.put(number)

    helpers = []
    try:
        for number in range(1, len(jobs)):
            helper = threading.Thread(target=help, args=(number,), daemon=True)
            helpers.append(helper)
            helper.start()
    except RuntimeError:        # can't start new thread
        helpers.pop()
    except BaseException:       # an interrupt
        waiting.clear()
        stop.set()
        raise
    finally:
        while True:     # in place: where a function is entered, an interrupt would leave it before its try
            try:
                for number in range(len(jobs)):
                    attempt(number)
                while len(ended) < len(begun):
                    news.get()
                for helper in helpers:
                    if helper.is_alive():
                        helper.join()
                break
            except KeyboardInterrupt as error:
                errors.append(error)
                waiting.clear()
                stop.set()
    if errors:
        _raise_first(errors)


def _raise_first(errors):
    """And forget them: error, traceback, frame and list would keep each other, and all arrays, alive."""
    try:
        raise errors[0]
    finally:
        errors.clear()


def map_in_threads(function, items, threads):
    """Yield ``function(item)`` for every item, in order, computed ahead in up to `threads` threads.

    Twice as many items as threads are taken ahead of what has been yielded; with one thread none. An error, be it the
    function's or that of `items`, comes in its turn, after the results before it.
    """
    if threads == 1:
        yield from map(function, items)
        return
    # not at the top: its import takes longer than that of this package's modules
    from concurrent.futures import Future, ThreadPoolExecutor

    failure: list[Exception] = []
    ahead: deque[Future] = deque()
    stop = Stop()

    def under_stop(item):
        with stop.under():
            return function(item)

    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in _until_error(items, failure):
                ahead.append(pool.submit(under_stop, item))
                if len(ahead) > 2 * threads:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            stop.set()      # after an error, or where the caller wants no more
            for future in ahead:
                future.cancel()
    if failure:
        raise failure[0]


def _until_error(items, failure):
    """What `items` yields; an error of its own ends it and is put into `failure`."""
    try:
        yield from items
    except Exception as error:
        failure.append(error)
