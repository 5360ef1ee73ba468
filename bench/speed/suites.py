"""Shapes that others have published figures for, by the name of the suite; README.md has the figures and sources.

Recurrent layers only: what the models have behind them (Linear layers, skips) is left out, and so the full models of
their authors do a little more. Weights are random. Lists of T, N and so on are as published.
"""

from bench.common.problem import Point

ROUNDS = 3


def _markets():
    """Windows that start afresh, then single steps."""
    windows = [(50, 100, 2, 100), (100, 250, 3, 200), (100, 500, 4, 1000)]  # T, I, layers, H
    steps = [(2, 128), (3, 256), (3, 480), (6, 320), (3, 960)]  # layers, H = I
    return [Point(t, 1, i, h, "lstm", layers) for t, i, layers, h in windows] + [
        Point(1, 1, h, h, "lstm", layers) for layers, h in steps
    ]


def _audio():
    """A sample a call; then blocks of 64 samples by the models of amplifiers."""
    samples = [Point(1, 1, h, h, cell) for cell in ("gru", "lstm") for h in (4, 8, 16, 32, 64)]
    presets = [(1, 8), (1, 12), (1, 16), (1, 24), (2, 8), (2, 12), (2, 16)]  # layers, H
    blocks = [Point(64, 1, 1, h, "lstm", layers) for layers, h in presets]
    skips = [("gru", 12), ("gru", 16), ("gru", 40), ("lstm", 40)]  # the rest of these are presets above
    return samples + blocks + [Point(64, 1, 1, h, cell) for cell, h in skips]


def _deepbench():
    """Inference on servers and devices: I = H, one layer. The input projection, which its rules leave out, is timed."""
    gru = [(2816, (187, 375, 750, 1500)), (2048, (187, 375, 750, 1500)), (1536, (187, 375, 750, 1500))]
    gru += [(2560, (187, 375, 750, 1500)), (512, (1,)), (1024, (1500,))]
    lstm = [(512, 25), (1024, 25), (2048, 25), (1536, 50), (256, 150)]
    return (
        [Point(t, n, h, h, "gru") for h, steps in gru for n in (1, 2, 4) for t in steps]
        + [Point(t, n, h, h, "lstm") for h, t in lstm for n in (1, 2, 4)]
        + [Point(t, 1, h, h, "rnn") for h, t in ((32, 672), (64, 96))]
    )


def _benchdnn():
    gru = [Point(t, n, h, h, "gru") for n in (1, 64) for t, h in ((50, 1760), (100, 760), (200, 1760))]
    both = [Point(t, n, h, h, "lstm", directions=2) for h in (256, 512) for n in (1, 64) for t in (10, 101)]
    single = [(30, 1, 512, 512), (50, 1, 500, 500), (629, 1, 128, 128), (10, 1, 512, 128)]
    return gru + both + [Point(*shape, "lstm") for shape in single]


def _serving():
    batches = [Point(30, n, h, h, "gru") for h in (512, 1024) for n in (8, 16, 32)]
    return [*batches, Point(300, 20, 800, 800, "gru"), Point(128, 1, 384, 256, "gru", directions=2)]


SUITES = {
    "markets": _markets(),
    "audio": _audio(),
    "deepbench": _deepbench(),
    "benchdnn": _benchdnn(),
    "serving": _serving(),
}
