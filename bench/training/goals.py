"""The goals as data, and their verdicts. The targets are the project's: a run never changes them."""

TARGETS = {64: 2.5, 128: 2.0, 256: 1.7}  # H: times as fast as PyTorch, at least


def evaluate(line):
    """Verdicts on one H.

    Parameters
    ----------
    line : dict
        ``H``, ``ratios`` and ``contestants`` of the results.

    Returns
    -------
    dict
        ``target``; ``fast_enough`` and ``memory_no_higher``: None where there is no goal or no figure.
    """
    target = TARGETS.get(line["H"])
    own, rival = (line["contestants"][name]["memory"] for name in ("cgru.GRU", "PyTorch nn.GRU"))
    return {
        "target": target,
        "fast_enough": None if target is None else line["ratios"]["cgru.GRU"] >= target,
        "memory_no_higher": own["growth"] <= rival["growth"] if own else None,
    }


def missed(line):
    """Whether a goal was measured and not met."""
    return line["fast_enough"] is False or line["memory_no_higher"] is False
