"""A random search for broken bits: models of every kind, fed in every way, on every instruction set of this machine.

A failure shows the program of its case and the seed that the search begins with it:

    pytest tests/search --seconds 60 --seed random -s       # a minute from somewhere new; -s shows what was counted
    pytest tests/search --seed 1403                         # the case of this seed, and those after it
"""

import itertools
import time
from collections import Counter

import numpy as np
import pytest

from search import relations
from search.cases import draw_case
from search.relations import Subject
from support.compare import assert_close, assert_same_bits, flat
from support.variants import QUANTIZED, TOLERANCE, variants

#: int8: activations as near to a tie, in steps, may fall to the other side of it; see contract/test_quantized.py.
MARGIN = 5e-4


def growth(result):
    """1, or the largest of the outputs where they are not bounded: errors grow with them."""
    return max(1.0, *(float(np.abs(array).max(initial=0)) for array in flat(result)))


def compare(case, found, wanted):
    """Bit by bit where that is promised; else within the contract's errors of two results."""
    if case.exact:
        assert_same_bits(found, wanted)
        return
    for one, other in zip(flat(found), flat(wanted), strict=True):
        assert one.dtype == other.dtype
        assert_close(one, other, 4 * TOLERANCE[case.variant.name] * growth(np.nan_to_num(other, posinf=0, neginf=0)))


def against_the_oracle(case, variables, subject):
    """With lengths or without, so that all equally wrong is found too."""
    lengths, found = ((None, subject.whole), (subject.lengths, subject.cut))[case.seed % 2]
    (y, *final), margin = case.oracle(variables, variables["x"], subject.hx, lengths)
    loose = case.variant.weights == "int8" and margin < MARGIN
    tolerance = 0.1 if loose else 8 * TOLERANCE[case.variant.name]
    assert_close(found, (subject.turned(y), *final), tolerance * growth((y, *final)))


def other_instruction_sets(case, subject):
    """The same program on all others with fused multiply-adds."""
    if not case.exact or not case.variant.fused:
        return
    kind, weights = case.variant.kind, case.variant.weights
    for other in variants(kind=kind, engine="packed", weights=weights, fused=True):
        if other.isa != case.variant.isa:
            elsewhere = Subject(case, case.run(other.isa), subject.folder)
            yield f"on {other.isa}", (elsewhere.whole, elsewhere.cut), (subject.whole, subject.cut)


def examine(case, counts, folder):
    """All comparisons of a case; an AssertionError says where one fails."""
    doing = "the program"
    try:
        variables = case.run()
        subject = Subject(case, variables, folder)
        doing = "the oracle"
        against_the_oracle(case, variables, subject)
        counts["the oracle"] += 1
        rng = np.random.default_rng(case.seed)
        with case.variant.selected():
            for function in relations.EVERY:
                doing = f"the next comparison of {function.__name__}"
                for name, found, wanted in function(subject, rng):
                    doing = name
                    compare(case, found, wanted)
                    counts[function.__name__] += 1
        for name, found, wanted in other_instruction_sets(case, subject):
            doing = name
            compare(case, found, wanted)
            counts["instruction sets"] += 1
    except Exception as error:
        raise AssertionError(
            f"{case.variant}: {doing}\n{type(error).__name__}: {error}\n\n{case.program}\n"
            f"Again: pytest tests/search --seed {case.seed}"
        ) from error


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_no_bit_depends_on_how_a_model_is_fed(seconds, seed, tmp_path):
    """Cases of this seed and those that follow it, until the time is over."""
    end, counts, kinds = time.monotonic() + seconds, Counter(), Counter()
    for case in map(draw_case, itertools.count(seed)):
        examine(case, counts, tmp_path)
        kinds["network" if case.recipe else case.variant.kind] += 1
        kinds[case.variant.weights if case.variant.weights in QUANTIZED else case.variant.name] += 1
        if time.monotonic() > end:
            break
    cases = sum(kinds[kind] for kind in ("network", "gru", "lstm", "rnn"))
    print(f"\nsearch from {seed}: {cases} cases, {sum(counts.values())} comparisons")
    print(f"cases: {dict(kinds)}; comparisons: {dict(counts)}")
