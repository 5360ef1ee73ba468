"""The goals of windows as data, and their verdicts. They are the project's: a run never changes them."""

from cgru import engines
from cgru.engines.isas import module_row

GOAL_SHAPE = "A"
STEP = 1.15  # float32: p50 of a window's step over that of a stream's, at most
INT8_P50 = {"VNNI": 3_500, "AVX2": 5_000}  # ns by what int8 products are made of, at most
INT8_P99 = {"VNNI": 4_700}  # the audited figure of a GPU
ONNX_RUNTIME = {"float32": 40, "int8": 100}  # its recomputed window, times as long at p50, at least


def products():
    """What int8 products are made of here: "VNNI", "AVX2" (with AVX-512 too, where there is no VNNI), or None."""
    name = module_row(engines.isa(), "packed", "int8").name
    if name.endswith("-vnni"):
        return "VNNI"
    return "AVX2" if name in ("x86-64-v3", "x86-64-v4") else None


def evaluate(shapes, int8, forced=False):
    """Verdicts on a run.

    Parameters
    ----------
    shapes : list of dict
        As `windows_measure.measure` gives them.
    int8 : str or None
        As `products` has it.
    forced : bool
        Whether cgru was held to an instruction set: ONNX Runtime cannot be, and is not compared then.

    Returns
    -------
    list of dict
        ``goal``, ``figure``, ``at_most`` or ``at_least``, and ``met``; `met` is None, and `figure` too, where the
        shape was not run, somebody is absent, or the processor has not what the goal presupposes. A figure without
        `met` does not count: it stands beside the one that does.
    """
    found = next((one["contestants"] for one in shapes if one["shape"] == GOAL_SHAPE), [])
    table = {(one["way"], one["weights"]): one for one in found if one["models"] == 1}

    def of(name, way, weights="float32"):
        return table[way, weights][name] if (way, weights) in table else None

    shape = f"LSTM_{GOAL_SHAPE}-shaped"
    verdicts = [
        _verdict(
            f"{shape}, float32: p50 of a window's step over a stream's",
            _over(of("p50", "window"), of("p50", "stream")), at_most=STEP,
        ),
        *(
            _verdict(
                f"{shape}, int8 on {name}: {statistic} of a window's step, ns",
                of(statistic, "window", "int8") if name == int8 else None, at_most=bound,
            )
            for statistic, bounds in (("p50", INT8_P50), ("p99", INT8_P99))
            for name, bound in bounds.items()
        ),
    ]  # fmt: skip
    for weights, theirs in (("float32", "float32"), ("int8", "int8"), ("int8", "float32")):
        times = None if forced else _over(of("p50", "ONNX Runtime", theirs), of("p50", "window", weights))
        goal = f"{shape}, {weights}: ONNX Runtime's recomputed window, {theirs}, times as long"
        verdicts.append(_verdict(goal, times, at_least=ONNX_RUNTIME[weights]))
    if ("ONNX Runtime", "int8") in table:
        verdicts[-1]["met"] = None  # its int8 is the one to beat
    return verdicts


def _over(figure, other):
    return None if figure is None or other is None else figure / other


def _verdict(goal, figure, *, at_most=None, at_least=None):
    bound = {"at_least": at_least} if at_most is None else {"at_most": at_most}
    met = figure is not None and (figure >= at_least if at_most is None else figure <= at_most)
    return {"goal": goal, "figure": figure, **bound, "met": None if figure is None else met}
