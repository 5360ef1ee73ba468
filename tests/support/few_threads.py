"""A process that may start no more than some threads."""

import threading


def allow_threads(monkeypatch, allowed):
    """From now on so many can be started; the list of those that were."""
    started, start = [], threading.Thread.start

    def limited(thread):
        if len(started) == allowed:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
    return started
