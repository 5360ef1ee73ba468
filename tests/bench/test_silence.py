"""What silence costs: models that forget at a known rate, where states end, contestants, remedies, the command."""

import json

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import cgru
from bench.common import cbuild
from bench.silence import contestants, fate, floating, measure, models, remedies
from bench.silence import run as silence
from bench.silence.settings import BLOCK, LEVELS, RATE


def unit(U):
    """A GRU of one unit: in silence h shrinks by 0.5 + 0.25 U at a step, while it is small."""
    state = {"weight_ih_l0": [[0.0], [0.0], [1.0]], "weight_hh_l0": [[0.0], [0.0], [U]]}
    return cgru.GRU.from_state_dict(state, dtype=np.float32)


# ---- models


@pytest.mark.parametrize("kind", models.KINDS)
def test_a_model_forgets_at_the_rate_that_was_asked_for(kind):
    model = models.remembering(kind, 0.97, hidden_size=7, seed=3)
    if kind.endswith("relu"):
        tanh = models.remembering("rnn", 0.97, hidden_size=7, seed=3)
        assert_array_equal(model.state_dict()["weight_hh_l0"], tanh.state_dict()["weight_hh_l0"])
        assert model.nonlinearity == "relu"
        return
    assert models.slowest(model) == pytest.approx(0.97, abs=1e-5)
    stream = model.astype(np.float64).stream()
    stream.run(fate.burst(0.01).astype(np.float64))
    sizes = []
    for _ in range(2):
        stream.run(np.zeros((600, 1)))
        sizes.append(max(np.linalg.norm(plane) for plane in models.planes(stream.state)))
    assert (sizes[1] / sizes[0]) ** (1 / 600) == pytest.approx(0.97, abs=2e-3)


def test_states_of_every_form_are_scaled():
    h, c = np.array([[0.5, -2.0]], np.float32), np.array([[1.0, 4.0]], np.float32)
    assert models.largest(h) == 2 and models.largest((h, c)) == 4 and len(models.planes(((h, c), h))) == 3
    assert_array_equal(models.scaled(h, 1e-40), np.array([[2.5e-41, -1e-40]], np.float32))
    (inner, last) = models.scaled(((h, c), h), 0.4)
    assert_allclose(inner[0], [[0.05, -0.2]], rtol=1e-6)
    assert_allclose(last, [[0.05, -0.2]], rtol=1e-6)
    assert inner[1].max() == np.float32(0.4) and not models.scaled(h, 0.0).any()


# ---- where states end


def test_a_state_that_halves_reaches_zero_in_known_time():
    found, direction, end = fate.decay(unit(0.0), 1.0)
    block = BLOCK / RATE
    assert (found["end"], found["alive"], found["of"]) == (0.0, 0, 1) and not end.any()
    # from below 1: 63 halvings, 126, and 149 with the block that shows that nothing moves
    assert found["small_squares_after"] <= 2 * block and found["subnormal_after"] <= 2 * block
    assert 3 * block <= found["still_after"] <= 4 * block + 1e-9
    assert direction.shape == (1, 1)


def test_a_state_that_shrinks_slowly_stays_among_the_subnormal_numbers():
    found, _, end = fate.decay(unit(1.99), 5.0)
    between = 63 * np.log(2) / -np.log(0.5 + 0.25 * 1.99) / RATE  # from 2^-63 to 2^-126
    assert found["subnormal_after"] - found["small_squares_after"] == pytest.approx(between, abs=2 * BLOCK / RATE)
    assert found["subnormal_after"] > 126 / 63 * 0.9 * found["small_squares_after"]
    assert found["subnormal_after"] < found["still_after"] < 5
    assert 0 < found["end"] < np.finfo(np.float32).tiny and found["alive"] == 1
    assert models.largest(end) == found["end"]


def test_a_state_that_a_bias_holds_is_not_small():
    state = unit(1.0).state_dict() | {"bias_ih_l0": np.full(3, 0.1, np.float32), "bias_hh_l0": np.zeros(3, np.float32)}
    found, _, _ = fate.decay(cgru.GRU.from_state_dict(state), 1.0)
    assert found["small_squares_after"] is None and found["subnormal_after"] is None and found["end"] > 0.01


# ---- contestants


PEERS = {
    "PyTorch": (contestants.Torch, "torch"), "ONNX Runtime": (contestants.OnnxRuntime, "onnxruntime"),
    "exported C": (contestants.ExportedC, None),
}  # fmt: skip


@pytest.mark.parametrize("kind", ["gru", "lstm", "rnn"])
@pytest.mark.parametrize("name", PEERS)
def test_contestants_start_from_the_state_and_are_right(name, kind):
    make, needs = PEERS[name]
    if needs:
        pytest.importorskip(needs)
        if needs == "onnxruntime":
            pytest.importorskip("onnx")
    model = models.remembering(kind, 0.9, hidden_size=5)
    _, direction, _ = fate.decay(model, 1.0)
    try:
        contestant = make(model)
    except cbuild.NoCompiler as error:
        pytest.skip(str(error))
    measure.check(name, contestant, model, models.scaled(direction, 0.3))
    contestant.at(models.scaled(direction, 0.0))
    assert not contestant.run().any()
    other = models.remembering(kind, 0.8, hidden_size=5)
    with pytest.raises(SystemExit, match="differs from cgru"):
        measure.check(name, contestant, other, models.scaled(direction, 0.3))


def test_levels_are_timed_from_their_states(monkeypatch):
    model = unit(1.99)
    _, direction, end = fate.decay(model, 5.0)
    states = measure.states(model, direction, end)
    assert list(states) == [*LEVELS["float32"], "where it ended"] and models.largest(states["subnormal"]) < 1.1e-40
    seen = []
    contestant = contestants.Stream(model)
    monkeypatch.setattr(contestant, "at", lambda state: seen.append(models.largest(state)))
    timed = measure.levels({"a": (contestant, states)}, rounds=4)
    assert sorted(seen) == sorted([*map(models.largest, states.values())] * 4)
    assert all(0 < one["median"] <= one["max"] for one in timed["a"].values())


def test_models_are_built_for_each_instruction_set():
    model = models.with_weights(models.remembering("gru", 0.9, hidden_size=5), "int8")
    usable = cgru.engines.isas_usable()
    built = measure.on_each(model, usable)
    assert {isa: again.isa for isa, again in built.items()} == {isa: isa for isa in usable}
    assert all(again == model for again in built.values())
    other = measure.on_blas(models.remembering("rnn relu", 0.9, hidden_size=5))
    assert other.engine == "blas" and other.nonlinearity == "relu"


def test_blocks_after_sound():
    found = measure.after_sound(models.remembering_network(0.9, hidden_size=5), seconds=0.05, times=2)
    assert found["of"] == pytest.approx(0.05, abs=1e-2) and found["sound"] > 0 and found["longest"] > 0
    assert 0 <= found["over_real_time"] <= found["of"] and 0 <= found["slow"] <= found["of"]


def test_where_it_ended_is_left_out_where_that_is_zero():
    _, direction, end = fate.decay(unit(0.0), 1.0)
    assert "where it ended" not in measure.states(unit(0.0), direction, end)


def test_layers_with_biases_get_zeros_and_subnormal_numbers():
    cases = measure.input_cases()
    assert len(cases) == 4
    for name, (contestant, states) in cases.items():
        contestant.at(states["signal"])
        assert np.abs(contestant.run()).max() > 0.01 and np.unique(contestant._x).size == 1
        assert float(name.split()[-1]) == pytest.approx(contestant._x[0, 0], rel=1e-4, abs=0)


def test_who_is_absent_is_told_of():
    said = []
    with measure.left_out("someone", said.append):
        raise ImportError("no peer")
    assert said == ["someone is absent: no peer"]


# ---- remedies


@pytest.mark.skipif(not floating.AVAILABLE, reason="knows Linux on x86-64 alone")
def test_the_thread_s_mode_is_switched_and_switched_back():
    smallest, tiny, half, large = (np.array([value], np.float32) for value in (2e-38, 1e-40, 0.5, 1e30))
    with floating.flushed():
        flushed = smallest * half, tiny * large  # a result, and an operand
    assert flushed[0][0] == flushed[1][0] == 0  # with it on, a subnormal number would be equal to 0
    assert (smallest * half)[0] > 0 and (tiny * large)[0] > 0


def test_remedies_do_what_they_say():
    gru, head = unit(1.99), cgru.Linear.from_state_dict({"weight": [[0.7]]}, dtype=np.float32)
    net = cgru.Sequential([gru, head], skip=True)
    biased = remedies.biased(net, 0.25)
    y, _ = biased(np.zeros((3, 1), np.float32))
    n = np.tanh(0.25)
    assert_allclose(y[0], 0.7 * 0.5 * n, rtol=1e-6)
    x = remedies.noise(1e-15)(net, 1000)
    assert x.shape == (1000, 1) and 0.9e-15 < np.abs(x).max() <= 1e-15 and abs(x.mean()) < 1e-16
    found = remedies.measure(net, seconds=1.1, rounds=2)
    assert set(found) == set(remedies.remedies(net))
    assert found[remedies.NOTHING]["difference"] == 0 and found[remedies.NOTHING]["same_bits"] == [True, True]
    assert found["noise of 1e-12 in x"]["same_bits"][0] and 0 < found["noise of 1e-12 in x"]["difference"] < 1e-10
    assert all(one["ns"] > 0 for one in found.values())
    for name in set(found) & {"reset() after a second", "subnormals flushed by the thread"}:
        assert found[name]["same_bits"] == [True, True] and 0 < found[name]["difference"] < 1e-35


# ---- command


def test_command(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(silence, "measured", lambda quick: FOUND)
    assert silence.main(["--quick", "--output", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "gru, as drawn" in said and "subnormal 500 (5.0)" in said and "the same and others" in said
    assert json.loads((tmp_path / "results.json").read_text()) == FOUND
    with pytest.raises(SystemExit):
        silence.main(["--quick", "--record"])


TIMES = {"small_squares_after": 0.1, "subnormal_after": 0.2, "still_after": None, "end": 1e-43, "alive": 3, "of": 40}
FOUND = {
    "drawn": {"gru": TIMES},
    "fates": {"gru, int8": TIMES},
    "levels": {"a": {"signal": {"median": 100.0, "max": 110.0}, "subnormal": {"median": 500.0, "max": 600.0}}},
    "after sound": {"a": {"sound": 300.0, "longest": 900.0, "slow": 0.5, "over_real_time": 0.0, "of": 0.5}},
    "single steps": {"signal": {"median": 1.0, "p99": 2.0, "max": 3.0}},
    "remedies": {"nothing": {"ns": 5.0, "over_sound": 2.0, "difference": 0.0, "same_bits": [True, False]}},
}
