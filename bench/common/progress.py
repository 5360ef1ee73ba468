"""How far a run has come: a bar on a terminal, nothing otherwise."""

import sys


def bar(total, unit="it"):
    """A tqdm bar where standard error is a terminal and tqdm is installed; otherwise one that shows nothing."""
    if sys.stderr.isatty():
        try:
            from tqdm import tqdm
        except ImportError:
            pass
        else:
            return tqdm(total=total, unit=unit, leave=False)
    return _Silent()


class _Silent:
    """As much of tqdm's interface as the experiments use."""

    n = 0

    def update(self, n=1):
        self.n += n

    def set_description(self, text):
        pass

    def close(self):
        pass
