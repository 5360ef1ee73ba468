"""The shapes that are measured; README.md says why these."""

from bench.common.problem import Point


def _grid():
    steps = [Point(1, 1, h, h) for h in (8, 16, 24, 32, 33, 64, 100, 128, 256, 512)] + [Point(1, 1, 40, 100)]
    single = [Point(100, 1, h, h) for h in (24, 32, 33, 64, 100, 128, 256, 512)] + [Point(100, 1, 40, 100)]
    batches = [Point(100, n, h, h) for n in (4, 8, 32) for h in (32, 64, 128, 256, 512)]
    tails = [Point(100, n, h, h) for n in (3, 9, 33) for h in (33, 100, 256)]
    odd = [Point(100, n, 40, 100) for n in (4, 8, 32)]
    return steps + single + batches + tails + odd


GRID = _grid()
QUICK = [
    Point(1, 1, 32, 32),
    Point(1, 1, 128, 128),
    Point(1, 1, 40, 100),
    Point(100, 1, 64, 64),
    Point(100, 8, 128, 128),
]
