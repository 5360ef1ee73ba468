"""Shapes that others have published figures for, by the name of the suite, and those figures with their sources.

Recurrent layers only: what the models have behind them (Linear layers, skips) is left out, and so the full models of
their authors do a little more. Weights are random. Lists of T, N and so on are as published. The figures are their
authors', on their machines: they say what size of figure belongs to a shape, and are no comparison.
"""

from typing import NamedTuple

from cgru.judge.points import Point

ROUNDS = 3


class Published(NamedTuple):
    """A figure that somebody published.

    Attributes
    ----------
    ns : float
        Nanoseconds a call.
    what : str
        Of what, on what machine, which statistic.
    source : str
        Of SOURCES.
    """

    ns: float
    what: str
    source: str


SOURCES = {
    "RTNeural": "RTNeural-compare, Intel i7-8700B of 2018",
    "STAC": "stacresearch.com, news NVDA221118 and MRTL230426; NVIDIA's developer blog on single-digit microsecond "
    "inference; audited, of whole models with a sliding window",
    "VOLLO": "Myrtle.ai, VOLLO 25.1.2, an FPGA, with a Linear layer of 32 outputs behind",
    "cloud": "not audited: ONNX Runtime on a cloud machine of 4 vCPUs, every window afresh",
    "ORT 644": "github.com/microsoft/onnxruntime, issue 644, 2019",
    "MXNet 10311": "github.com/apache/mxnet, issue 10311, 40 cores",
    "PyTorch 123148": "github.com/pytorch/pytorch, issue 123148",
}


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
    long = (187, 375, 750, 1500)
    gru: list[tuple[int, tuple[int, ...]]] = [(2816, long), (2048, long), (1536, long), (2560, long)]
    gru += [(512, (1,)), (1024, (1500,))]
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
    "audio": _audio(),
    "deepbench": _deepbench(),
    "benchdnn": _benchdnn(),
    "serving": _serving(),
    "markets": _markets(),
}


def _series(points, figures, what, source):
    return [(point, Published(ns, what, source)) for point, ns in zip(points, figures, strict=True)]


def _published():
    markets, audio, serving = SUITES["markets"], SUITES["audio"], SUITES["serving"]
    gru, lstm = audio[:5], audio[5:10]
    ort = "ONNX Runtime 1.15, from C++"
    found = [
        *_series(gru, (62, 106, 219, 736, 2402), "RTNeural, its best, sizes fixed", "RTNeural"),
        *_series(gru, (96, 141, 254, 669, 2409), "RTNeural Eigen, sizes at run time", "RTNeural"),
        *_series(gru, (14256, 13921, 13871, 14517, 16898), ort, "RTNeural"),
        *_series(lstm, (78, 148, 320, 884, 3225), "RTNeural, its best, sizes fixed", "RTNeural"),
        *_series(lstm, (14651, 14365, 14852, 16141, 18454), ort, "RTNeural"),
        *_series(markets[:1], (4_700,), "NVIDIA GH200 (2025-26; 4.6 to 4.7 us), p99", "STAC"),
        *_series(markets[:3], (35_200, 68_500, 640_000), "NVIDIA A100, p99", "STAC"),
        *_series(markets[:3], (5_070, 6_890, 31_000), "Myrtle VOLLO, an FPGA (2023), p99", "STAC"),
        *_series(markets[:3], (570_000, 4_294_000, 193_470_000), "ONNX Runtime, p50", "cloud"),
        *_series(markets[3:], (1_900, 3_000, 4_200, 4_300, 8_500), "VOLLO, an FPGA, mean", "VOLLO"),
        *_series(serving[:6], (10.5e6, 15.2e6, 26.9e6, 55.7e6, 72.3e6, 112.8e6), "ONNX Runtime", "ORT 644"),
        *_series(serving[6:7], (48e6,), "MXNet, forward", "MXNet 10311"),
        *_series(serving[7:], (8.9e6,), "PyTorch, on an M2", "PyTorch 123148"),
    ]
    table: dict[Point, list[Published]] = {}
    for point, figure in found:
        table.setdefault(point, []).append(figure)
    return table


PUBLISHED = _published()
