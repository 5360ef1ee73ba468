"""Jitter of single steps: ``python bench/jitter.py`` is ``python bench/run.py --jitter``."""

import sys

import run

if __name__ == "__main__":
    sys.exit(run.main(["--jitter", *sys.argv[1:]]))
