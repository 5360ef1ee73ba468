"""The language model of the training benchmark: its text, its runs, the distance of its curves, its picture."""

from itertools import pairwise

import numpy as np
import pytest

from bench.training import goals, report, text
from support.peers import peer

LENGTH = 20_000

# ---- the text


@pytest.fixture(scope="module")
def made():
    return text.make(LENGTH)


def sentences(made):
    """Sentences as lists of words, tuples of symbols; those cut off at the end left out."""
    words = "".join(map(chr, made.symbols)).split(chr(text.SPACE))
    found, sentence = [], []
    for word in words[:-1]:
        sentence.append(tuple(map(ord, word.rstrip(chr(text.STOP)))))
        if word.endswith(chr(text.STOP)):
            found.append(sentence)
            sentence = []
    return found


def test_the_text_is_the_same_for_the_same_seed(made):
    again, other = text.make(LENGTH), text.make(LENGTH, seed=text.SEED + 1)
    assert np.array_equal(made.symbols, again.symbols) and made.nats == again.nats
    assert np.array_equal(text.make(LENGTH // 3).symbols, made.symbols[: LENGTH // 3])
    assert not np.array_equal(made.symbols, other.symbols) and made.lexicon != other.lexicon
    assert made.symbols.dtype == np.int64 and made.symbols.shape == (LENGTH,)


def test_it_does_not_change_from_version_to_version():
    """Its first symbols: who changes the generator records anew."""
    assert text.make(12).symbols.tolist() == [50, 36, 0, 31, 16, 54, 0, 10, 36, 1, 0, 39]


def test_it_has_words(made):
    """Only of the lexicon, which spells them by a chain of letters."""
    lexicon = set(map(tuple, made.lexicon))
    assert len(made.lexicon) == len(lexicon) == text.WORDS
    assert all(text.LENGTHS[0] <= len(word) <= text.LENGTHS[1] for word in lexicon)
    assert {symbol for word in lexicon for symbol in word} <= set(range(text.FIRST_LETTER, text.VOCABULARY))
    pairs = {}
    for word in lexicon:
        for a, b in pairwise(word):
            pairs.setdefault(a, set()).add(b)
    assert max(map(len, pairs.values())) <= text.FOLLOWERS
    used = {word for sentence in sentences(made) for word in sentence}
    assert used <= lexicon and len(used) > text.WORDS / 2


def test_it_has_a_grammar(made):
    """At most SUCCESSORS words follow a word, the first one most often; sentences end as often as they should."""
    found = sentences(made)
    followers = {}
    for sentence in found:
        for a, b in pairwise(sentence):
            counts = followers.setdefault(a, {})
            counts[b] = counts.get(b, 0) + 1
    assert max(map(len, followers.values())) <= text.SUCCESSORS
    total = sum(sum(counts.values()) for counts in followers.values())
    first = sum(max(counts.values()) for counts in followers.values()) / total
    chance = 1 / sum(1 / rank for rank in range(1, text.SUCCESSORS + 1))
    assert abs(first - chance) < 0.05
    assert abs(len(found) / sum(map(len, found)) - text.END) < 0.02


def test_its_entropy_is_below_what_little_memory_sees(made):
    """What the generator knows is less than what one symbol back, or none, tells: there is more to learn."""
    symbols = made.symbols
    singles = np.bincount(symbols, minlength=64) / LENGTH
    pairs = np.bincount(64 * symbols[:-1] + symbols[1:], minlength=64 * 64) / (LENGTH - 1)

    def entropy(p):
        return -float((p[p > 0] * np.log(p[p > 0])).sum())

    assert made.nats < 0.45 < entropy(pairs) - entropy(singles) - 0.5 < entropy(singles) - 1.5


def test_batches_are_windows_of_the_text(made):
    batches = text.batches(made, 5, T=7, N=3)
    assert batches.shape == (5, 8, 3) and np.array_equal(batches, text.batches(made, 5, T=7, N=3))
    windows = {tuple(window) for window in np.lib.stride_tricks.sliding_window_view(made.symbols, 8)}
    columns = [tuple(column) for batch in batches for column in batch.T]
    assert set(columns) <= windows and len(set(columns)) > 10


# ---- the measure


def test_the_distance_of_curves_is_the_greatest_of_the_first_steps():
    exact = [4.0, 3.0, 2.0, 1.0]
    assert goals.distance([4.0, 3.25, 1.5, 9.0], exact, steps=3) == 0.5
    assert goals.distance([4.0, 3.25, 1.5, 9.0], exact) == 8.0
    assert goals.curve_ratio([4.0, 3.0, 2.5, 1.0], [4.25, 3.0, 2.0, 1.0], exact) == 2.0
    assert goals.curve_ratio(exact, exact, exact) == 0
    assert goals.curve_ratio([4.5, 3.0, 2.0, 1.0], exact, exact) == float("inf")
    with pytest.raises(ValueError, match="zip"):
        goals.distance(exact[:3], exact)


def part(far, steps=goals.STEPS):
    """The part "text" of a run whose own curve is `far` from float64's at one step, and PyTorch's 0.25."""
    exact = [4.0 - 0.01 * step for step in range(steps)]
    own, peers = exact.copy(), exact.copy()
    own[steps // 2] += far
    peers[steps // 3] -= 0.25
    runs = {"own": own, "peer": peers, "exact": exact}
    optimizer = {
        "options": {"lr": 0.5},
        "runs": {who: {"losses": losses, "seconds": 2.5, "median_ms": 20.0} for who, losses in runs.items()},
    }
    machine = {"cpu": "a CPU", "cores": 2, "load_average_before": 0, "load_average_after": 1}
    return {
        "date": "today", "machine": machine, "versions": {"cgru": "1"}, "steps": steps, "threads": 2, "T": 64, "N": 32,
        "embedding": 32, "hidden": 128, "layers": 2, "symbols": 9, "vocabulary": 64, "nats": 0.4,
        "own": "own", "peer": "peer", "exact": "exact", "optimizers": {"SGD": optimizer},
    }  # fmt: skip


@pytest.mark.parametrize(("far", "steps", "met"), [(0.5, 100, True), (-0.75, 100, False), (0.5, 99, None)])
def test_goal_and_report(far, steps, met):
    found = {"parts": {"text": part(far, steps)}}
    found["goals"] = goals.evaluate(found["parts"])
    (goal,) = found["goals"]
    assert goal["met"] is met and goal["figure"] == (None if met is None else pytest.approx(abs(far) / 0.25))
    said = "\n".join(report.lines(found))
    assert {True: ": 2, at most 2: met", False: ": 3, at most 2: MISSED", None: ": not measured"}[met] in said
    assert f"from float64, {steps} steps" in said and "SGD, lr 0.5" in said and f"{abs(far):.1e}" in said


def test_steps_after_the_first_hundred_do_not_count():
    found = part(0.5, steps=150)
    found["optimizers"]["SGD"]["runs"]["own"]["losses"][120] += 3
    assert goals.text(found)[0]["figure"] == pytest.approx(2)


def test_curves_are_drawn(tmp_path):
    peer("matplotlib")
    from bench.training import plots

    figure = plots.curves(part(0.5))
    above, below = figure.axes
    assert above.get_title() == "SGD" and len(above.lines) == 3 + 1 and len(below.lines) == 2
    assert max(below.lines[1].get_ydata()) == pytest.approx(0.5)
    assert {"own: 2.5 s", "peer: 2.5 s"} <= {line.get_label() for line in above.lines}
    assert plots.draw({"text": part(0.5)}, tmp_path) == [tmp_path / "curves.png"]


# ---- the runs


def test_runs_differ_in_rounding_only(torch):
    """The same parameters at first, the same batches; and the loss falls."""
    from bench.training import language

    before = torch.get_num_threads()
    told = []
    found = language.measure(8, 1, lambda: told.append(1))
    torch.set_num_threads(before)
    assert len(told) == 8 * len(found["optimizers"]) and set(found["optimizers"]) == {"SGD", "AdamW"}
    for optimizer in found["optimizers"].values():
        runs = optimizer["runs"]
        exact = runs[language.EXACT]["losses"]
        assert exact[-1] < exact[0] - 0.2 and abs(exact[0] - np.log(64)) < 0.1
        for who in (language.OWN, language.PEER):
            assert 0 < goals.distance(runs[who]["losses"], exact) < 1e-5
        assert all(run["seconds"] > 0 and len(run["losses"]) == 8 for run in runs.values())


def test_the_model_is_the_issues(torch):
    """Embedding 32, two GRU layers of 128, Linear 64; in `cgru.torch` only the GRU is another."""
    from bench.training import language

    runs = {name: language.Run(*of, "SGD").model for name, of in language.RUNS.items()}
    shapes = {name: tuple(value.shape) for name, value in runs[language.PEER].state_dict().items()}
    assert shapes["embedding.weight"] == (64, 32) and shapes["head.weight"] == (64, 128)
    assert shapes["gru.weight_ih_l0"] == (384, 32) and shapes["gru.weight_hh_l1"] == (384, 128)
    assert "gru.weight_ih_l2" not in shapes
    kinds = {name: type(model.gru).__module__.split(".")[0] for name, model in runs.items()}
    assert kinds == {language.OWN: "cgru", language.PEER: "torch", language.EXACT: "torch"}
    for name, value in runs[language.PEER].state_dict().items():
        assert torch.equal(value, runs[language.OWN].state_dict()[name]), name
        assert torch.equal(value.double(), runs[language.EXACT].state_dict()[name]), name
