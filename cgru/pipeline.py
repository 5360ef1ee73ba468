"""Stages of work that several threads share: each task is begun as soon as those are done that it needs."""

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import NamedTuple

from cgru.engines.interruption import check
from cgru.threads import in_threads

WAIT = 0.05     # seconds until a thread without a task asks whether the call is to stop, as engines do


class Stage(NamedTuple):
    """A part of a computation, behind the stage before it: tasks 0, 1, ..., which begin in this order.

    Attributes
    ----------
    run : callable
        ``run(number)`` computes a task.
    tasks : int
        How many; at least 1.
    serial : bool
        A task waits for the one before it.
    piped : bool
        A task waits for that of its number in the stage before; otherwise for the whole stage before.
    room : int or None
        How many results there is room for: a task waits for that `room` numbers before it in the next stage, which is
        piped and has read what it overwrites.
    """

    run: Callable[[int], None]
    tasks: int
    serial: bool = False
    piped: bool = False
    room: int | None = None


def run_stages(stages, threads):
    """Run all tasks of all stages in up to `threads` threads, this one among them.

    A thread waits only while another computes, so any number of threads, also this one alone, comes to the end. Errors
    and interrupts are those of `in_threads`.
    """
    board = _Board(stages)
    in_threads(board.work, [()] * threads)


class _Board:
    """Who may begin what. Whoever ends a task begins one that now may, and leaves the rest to the others."""

    def __init__(self, stages):
        self.stages = stages
        self.begun = [0 for _ in stages]
        self.done = [bytearray(stage.tasks) for stage in stages]
        self.left = [stage.tasks for stage in stages]
        self.over = False
        self.threads = 0                # at work or waiting
        self.lock = threading.Lock()
        self.ready: SimpleQueue[tuple[int, int] | None] = SimpleQueue()     # a None for each thread when it is over
        for task in self._startable(0, []):
            self.ready.put(task)

    def work(self):
        """What each thread does until nothing is left for it, or one has failed."""
        with self.lock:
            self.threads += 1
        try:
            task = self._taken()
            while task is not None and not self.over:
                check()
                stage, number = task
                self.stages[stage].run(number)
                task = self._ended(stage, number) or self._taken()
        except BaseException:
            self.over = True        # first: there may be another interrupt
            raise
        finally:
            with self.lock:
                self.threads -= 1
            if self.over:
                for _ in range(self.threads):
                    self.ready.put(None)

    def _taken(self):
        """A task, when there is one; None where none is left for this thread."""
        while not self.over:
            try:
                return self.ready.get_nowait()
            except Empty:
                if self.threads > self._most():
                    return None
            try:
                return self.ready.get(timeout=WAIT)
            except Empty:
                check()
        return None

    def _most(self):
        """How many threads there may be work for at one time, from now on."""
        pairs = zip(self.stages, self.left, strict=True)
        return sum(min(left, 1) if stage.serial else left for stage, left in pairs)

    def _ended(self, stage, number):
        """Note it, and return a task that may now begin, of the same stage first, whose weights are near; or None."""
        with self.lock:
            self.done[stage][number] = True
            self.left[stage] -= 1
            if not self.left[-1]:
                self.over = True
                return None
            found: list[tuple[int, int]] = []
            for near in (stage, stage + 1, stage - 1):
                self._startable(near, found)
        for task in found[1:]:
            self.ready.put(task)
        return found[0] if found else None

    def _startable(self, stage, found):
        """Add the tasks of a stage that may begin, and count them as begun."""
        if 0 <= stage < len(self.stages):
            while self.begun[stage] < self.stages[stage].tasks and self._may_begin(stage, self.begun[stage]):
                found.append((stage, self.begun[stage]))
                self.begun[stage] += 1
        return found

    def _may_begin(self, stage, number):
        _, _, serial, piped, room = self.stages[stage]
        if serial and number and not self.done[stage][number - 1]:
            return False
        if stage and (not self.done[stage - 1][number] if piped else self.left[stage - 1]):
            return False
        return room is None or number < room or bool(self.done[stage + 1][number - room])
