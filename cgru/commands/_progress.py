"""Progress: a bar on a terminal."""

import sys


class Progress:
    """A bar on a terminal (where tqdm is installed), and lines that do not disturb it."""

    def __init__(self, total, unit):
        self._bar = None
        if sys.stderr.isatty():
            try:
                from tqdm import tqdm
            except ModuleNotFoundError:
                return
            self._bar = tqdm(total=total, unit=unit, unit_scale=total >= 10_000, smoothing=0.05, leave=False)

    def update(self, count=1):
        """One unit is done, or `count`."""
        if self._bar is not None:
            self._bar.update(count)

    def write(self, line):
        """Print a line."""
        if self._bar is None:
            print(line, flush=True)
        else:
            self._bar.write(line)

    def close(self):
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()
