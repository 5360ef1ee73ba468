"""The goals as data, and their verdicts. They are the project's: a run never changes them."""

EXPORTED, KERNEL, RTNEURAL = "exported C", "cgru's kernel", "RTNeural"
CELLS = ("gru", "lstm")
AGAINST_RTNEURAL, RTNEURAL_SIZES = 1.05, (8, 16, 32, 64)  # times its best backend, at most
AGAINST_KERNEL, KERNEL_SIZES = 1.3, (32, 64, 128, 256)  # times cgru's own kernel, at most


def sizes():
    """Every H, in order."""
    return sorted({*RTNEURAL_SIZES, *KERNEL_SIZES})


def evaluate(points):
    """Verdicts on a run.

    Parameters
    ----------
    points : list of dict
        ``cell``, ``H`` and ``medians``: name of the contestant -> ns of a step. RTNeural's begin with its name.

    Returns
    -------
    list of dict
        ``goal``, ``figure``, ``at_most``, ``met``, and ``against``, who it was; `figure` and `met` are None where
        somebody is absent.
    """
    found = []
    for point in points:
        medians, where = point["medians"], f"{point['cell'].upper()} H={point['H']}"
        for name, bound, at in ((RTNEURAL, AGAINST_RTNEURAL, RTNEURAL_SIZES), (KERNEL, AGAINST_KERNEL, KERNEL_SIZES)):
            if point["H"] not in at:
                continue
            others = {other: ns for other, ns in medians.items() if other.startswith(name)}
            best = min(others, key=others.get, default=None)
            figure = medians[EXPORTED] / others[best] if best and EXPORTED in medians else None
            found.append({
                "goal": f"{where}: {EXPORTED} over {name}", "figure": figure, "at_most": bound, "against": best,
                "met": None if figure is None else figure <= bound,
            })  # fmt: skip
    return found
