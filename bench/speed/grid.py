"""The shapes that are measured, the grid and that of quantised weights; README.md says why these."""

from cgru.judge.points import Point

CELLS = ("gru", "lstm")


def _shapes():
    steps = [(1, 1, h, h) for h in (8, 16, 24, 32, 33, 64, 100, 128, 256, 512)] + [(1, 1, 40, 100)]
    single = [(100, 1, h, h) for h in (24, 32, 33, 64, 100, 128, 256, 512)] + [(100, 1, 40, 100)]
    batches = [(100, n, h, h) for n in (4, 8, 32) for h in (32, 64, 128, 256, 512)]
    tails = [(100, n, h, h) for n in (3, 9, 33) for h in (33, 100, 256)] + [(37, 17, 200, 200)]
    odd = [(100, n, 40, 100) for n in (4, 8, 32)]
    return steps + single + batches + tails + odd


_QUICK = [(1, 1, 32, 32), (1, 1, 128, 128), (1, 1, 40, 100), (100, 1, 64, 64), (100, 8, 128, 128)]

_SIZES = [*((h, h) for h in (32, 64, 128, 256, 512, 1024)), (40, 100)]  # I, H
_WEIGHTS = [(t, n, i, h) for t, n in ((1, 1), (100, 1), (100, 8), (100, 32)) for i, h in _SIZES]
_WEIGHTS_QUICK = [(1, 1, 128, 128), (1, 1, 40, 100), (100, 1, 256, 256), (100, 32, 256, 256)]

GRID = [Point(*shape, cell) for cell in CELLS for shape in _shapes()]
QUICK = [Point(*shape, cell) for cell in CELLS for shape in _QUICK]
WEIGHTS_GRID = [Point(*shape, cell) for cell in CELLS for shape in _WEIGHTS]
WEIGHTS_QUICK = [Point(*shape, cell) for cell in CELLS for shape in _WEIGHTS_QUICK]
