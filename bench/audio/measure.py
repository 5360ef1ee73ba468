"""Cost of a call of every contestant, in turns within this process; and the whole test signal through a stream."""

import time

import numpy as np

from bench.audio import contestants
from bench.audio.contestants import CGRU, CHECK_CALLS, CONTESTANTS
from bench.audio.settings import BLOCK, RATE
from bench.audio.signals import error_to_signal
from bench.common.numpy_cells import ARRAYS, numpy_cell
from bench.common.timing import fastest, interleave

TOLERANCE = 2e-6  # of y, absolute
SAMPLES = {"step": 1, "block": BLOCK, "long": 10 * BLOCK}


def measure(net, x, budget, say=print):
    """Time all contestants.

    Parameters
    ----------
    net : cgru.Sequential
        GRU(1, H), Linear(H, 1), skip.
    x : (T, 1) float32
        Sound; the first samples of it are what the contestants get, again and again.
    budget : float
        Seconds for each contestant and number of samples.
    say : callable
        Told who is absent.

    Returns
    -------
    dict of str to dict
        "step", "block", "long" -> ``samples``, and ``contestants``: name -> ``call`` and the summary of
        `bench.common.timing`, in nanoseconds a call, with ``ns_per_sample`` and ``times_real_time``.
    """
    with contestants.inference():
        return _measure(net, x, budget, say)


def _measure(net, x, budget, say):
    groups = {"step": tuple(CONTESTANTS), "block": tuple(CONTESTANTS), "long": (CGRU,)}
    runners = {}
    for point, names in groups.items():
        for name in names:
            try:
                runners[point, name] = checked(net, x[: SAMPLES[point]], name)
            except ImportError as error:
                say(f"{name} is absent: {error}")
    timed = interleave({"\t".join(key): runner for key, runner in runners.items()}, budget)
    found = {point: {"samples": SAMPLES[point], "contestants": {}} for point in groups}
    for (point, name), runner in runners.items():
        summary = timed[f"{point}\t{name}"]
        each = summary["median"] / SAMPLES[point]
        figures = {"ns_per_sample": each, "times_real_time": 1e9 / RATE / each}
        found[point]["contestants"][name] = {"call": runner.call} | summary | figures
    return found


def checked(net, x, name):
    """The fastest way of a contestant; SystemExit where one of its ways gives another y."""
    of_gru, whole = truth(net, x)
    expected = of_gru if name == contestants.GRU else whole
    ways = CONTESTANTS[name](net, x)
    for way in ways:
        error = float(np.abs(way.result().reshape(expected.shape) - expected).max())
        if not error <= TOLERANCE:
            raise SystemExit(f"{name}, {len(x)} samples, {way.call!r}: differs from the truth by {error:.1e}")
    return fastest(ways)[0]


def truth(net, x):
    """y of the GRU (T, H) and of the network (T, 1) in float64 where x (T, 1) was put in CHECK_CALLS times."""
    gru, head = (layer.state_dict() for layer in net.layers)
    cell = numpy_cell("gru", [gru[f"{name}_l0"] for name in ARRAYS], np.float64)
    x = x.astype(np.float64)
    y, _ = cell(np.tile(x, (CHECK_CALLS, 1))[:, None], np.zeros((1, net.layers[0].hidden_size)))
    of_gru = y[-len(x) :, 0]
    return of_gru, of_gru @ head["weight"].T.astype(np.float64) + head["bias"] + x


def through_stream(net, x, target):
    """The whole test signal sample by sample, in blocks, and in one call.

    Returns
    -------
    dict
        ``seconds`` of sound; by way ``times_real_time``, with the loop in Python around it; ``esr``; ``same_bits``,
        whether all ways give the same y.
    """
    stream, ways, sounds = net.stream(), {"sample by sample": 1, f"blocks of {BLOCK}": BLOCK}, []
    found = {"seconds": len(x) / RATE, "times_real_time": {}}
    for way, size in ways.items():
        stream.reset()
        y = np.empty((len(x), net.output_size), np.float32)
        start = time.perf_counter()
        if size == 1:
            for x_t, y_t in zip(x, y, strict=True):
                stream.step(x_t, out=y_t)
        else:
            for at in range(0, len(x), size):
                stream.run(x[at : at + size], out=y[at : at + size])
        found["times_real_time"][way] = len(x) / RATE / (time.perf_counter() - start)
        sounds.append(y)
    whole, _ = net(x)
    found["esr"] = error_to_signal(whole, target)
    found["same_bits"] = all(np.array_equal(y, whole) for y in sounds)
    return found
