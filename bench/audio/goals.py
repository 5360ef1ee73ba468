"""The goals as data, and their verdicts. They are the project's: a run never changes them."""

from bench.audio.contestants import CGRU, GRU, ORT

STEP_FACTOR, STEP_NS = 1.25, 60  # a step of the network: of the GRU's, and nanoseconds more; at most
BLOCK_FACTOR = 1.15  # a block of 64 samples: of a tenth of one of 640; at most
FASTER_STEP, FASTER_BLOCK = 15.0, 1.5  # than ONNX Runtime; at least


def evaluate(points):
    """Verdicts on a run.

    Parameters
    ----------
    points : dict of str to dict
        "step", "block" and "long": name of the contestant -> nanoseconds of a call.

    Returns
    -------
    list of dict
        ``goal``, ``figure``, ``at_most`` or ``at_least``, and ``met``; `figure` and `met` are None where ONNX Runtime
        is absent.
    """
    step, block, long = (points[name] for name in ("step", "block", "long"))
    return [
        _at_most("step, ns: 1.25 times the GRU's and 60", step[CGRU], STEP_FACTOR * step[GRU] + STEP_NS),
        _at_most("block of 64, ns: 1.15 times a tenth of 640", block[CGRU], BLOCK_FACTOR * long[CGRU] / 10),
        _at_least("step, times as fast as ONNX Runtime", step, FASTER_STEP),
        _at_least("block of 64, times as fast as ONNX Runtime", block, FASTER_BLOCK),
    ]


def _at_most(goal, figure, bound):
    return {"goal": goal, "figure": figure, "at_most": bound, "met": figure <= bound}


def _at_least(goal, times, bound):
    figure = times[ORT] / times[CGRU] if ORT in times else None
    return {"goal": goal, "figure": figure, "at_least": bound, "met": None if figure is None else figure >= bound}
