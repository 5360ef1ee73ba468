"""Jitter of single steps: ``python bench/jitter.py`` is ``python bench/run.py --jitter``."""

import sys

import environment

if __name__ == "__main__":
    environment.ensure_clean(1)
    import run

    sys.exit(run.main(["--jitter", *sys.argv[1:]]))
