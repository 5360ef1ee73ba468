"""All runs, in processes of their own."""

import multiprocessing

from bench.adding.learner import train


def _start_worker(counter):
    global _done
    _done = counter


def _job(arguments):
    def count(steps):
        with _done.get_lock():
            _done.value += steps

    return train(*arguments, count)


def run_all(jobs, workers, bar):
    """Train all jobs, each the arguments of `train`; the bar counts steps."""
    context = multiprocessing.get_context("spawn")
    counter = context.Value("q", 0)
    with context.Pool(workers, _start_worker, (counter,)) as pool:
        found = pool.map_async(_job, jobs, chunksize=1)
        while not found.ready():
            found.wait(0.5)
            bar.update(counter.value - bar.n)
        return found.get()
