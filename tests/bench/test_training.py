"""The training benchmark: a step of everybody, what is compared, the limit, the memory of processes."""

from types import SimpleNamespace

import numpy as np
import pytest

from bench.common.contestant import Absent
from bench.training import contestants, memory, peak, steps
from cgru.judge.points import Point

POINT = {cell: Point(7, 3, 5, 6, cell) for cell in ("gru", "lstm")}

# ---- contestants


def jobs(cell, threads=(1,)):
    """The contestants that there are."""
    found = {}
    for name, make in contestants.CONTESTANTS.items():
        try:
            found |= {(name, count): make(POINT[cell], count) for count in threads}
        except Absent as reason:
            assert f"no cgru.torch.{cell.upper()}" in str(reason)
    return found


@pytest.mark.parametrize("cell", POINT)
def test_contestants_agree(cell, torch):
    """Outputs, final states and every gradient, one thread and two."""
    before = torch.get_num_threads()
    errors = steps.agree(jobs(cell, (1, 2)), POINT[cell])
    torch.set_num_threads(before)
    assert {("cgru", 1), ("cgru", 2), ("PyTorch", 1), ("PyTorch", 2)} <= errors.keys()
    assert max(errors.values()) < 2e-6


@pytest.mark.parametrize("cell", POINT)
def test_every_output_and_gradient_is_there(cell, torch):
    """By PyTorch's names and shapes, the gradients those of the sum of y * dy."""
    given, found = contestants.problem(POINT[cell]), jobs(cell)["cgru", 1].step()
    layer = getattr(torch.nn, cell.upper())(5, 6, dtype=torch.float64)
    layer.load_state_dict({name: torch.tensor(value).double() for name, value in given.parameters.items()})
    x = torch.tensor(given.x).double().requires_grad_()
    states = [torch.tensor(value).double().requires_grad_() for value in given.states.values()]
    y, final = layer(x, tuple(states) if cell == "lstm" else states[0])
    (y * torch.tensor(given.dy)).sum().backward()
    expected = dict(layer.named_parameters()) | {"x": x} | dict(zip(given.states, states, strict=True))
    expected = {name: leaf.grad for name, leaf in expected.items()} | {"y": y, "h_n": final}
    if cell == "lstm":
        expected |= dict(zip(("h_n", "c_n"), final, strict=True))
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value.detach().numpy(), rtol=0, atol=2e-5, err_msg=name)


def test_a_step_can_be_taken_again(torch):
    """Gradients are those of one step, not sums over all."""
    for name, job in jobs("gru").items():
        first = {key: value.copy() for key, value in job.step().items()}
        assert steps.disagreement(job.step(), first) == 0, name


def test_a_runner_sets_its_threads_before_it_times():
    said = []
    job = contestants.Job(lambda: said.append("step"), lambda: said.append("ready"))
    assert job.runner().sample(2, 3).shape == (3,)
    assert said == ["ready"] + ["step"] * 6


def test_who_has_no_module_for_a_cell_is_absent(torch, monkeypatch):
    import cgru.torch

    monkeypatch.delattr(cgru.torch, "LSTM", raising=False)
    with pytest.raises(Absent, match=r"no cgru\.torch\.LSTM"):
        contestants.bridge_job(POINT["lstm"], 1)
    absent = {}
    found = steps.measure_point(POINT["lstm"], [1], 1e-6, None, absent)
    assert list(absent) == ["cgru.torch LSTM"] and set(found["contestants"]) == {"cgru", "PyTorch"}


def test_disagreement_is_relative_to_the_largest_entry():
    a = {"W": np.array([0.0, 2.0]), "b": np.array([1.0])}
    b = {"W": np.array([0.5, 2.0]), "b": np.array([1.0])}
    assert steps.disagreement(a, a) == 0 and steps.disagreement(b, a) == 0.25


@pytest.mark.parametrize("name", ["y", "h_n", "x", "c_0", "weight_hh_l0", "bias_ih_l0"])
def test_wrong_results_are_not_timed(torch, name):
    """Any output or gradient that is wrong ends the run, and NaN is wrong."""
    found = jobs("lstm")
    right = found["cgru", 1].step

    def wrong(factor):
        return contestants.Job(lambda: {key: value * (factor if key == name else 1) for key, value in right().items()})

    for factor in (1.01, np.nan):
        found["cgru", 1] = wrong(factor)
        with pytest.raises(SystemExit, match="lstm-T7-N3-I5-H6: cgru, threads 1, and PyTorch differ by"):
            steps.agree(found, POINT["lstm"])
    found["cgru", 1] = contestants.Job(lambda: {key: value for key, value in right().items() if key != name})
    with pytest.raises(SystemExit, match="cgru gives"):
        steps.agree(found, POINT["lstm"])


# ---- limit and memory


def test_the_limit_is_three_times_forward():
    point = Point(10, 3, 4, 5, "lstm")
    forward = 2 * 10 * 3 * 20 * (4 + 5)  # T N 4H (I + H) multiply-adds
    assert peak.limit_ns(point, 2.0) == 3 * forward / 2


def test_peaks_of_threads_are_added_and_their_median_is_taken():
    rates = iter([10.0, 6.0, 4.0, 30.0, 10.0, 10.0, 12.0, 9.0, 9.0])
    peaks = peak.Peaks(SimpleNamespace(glance_peak=lambda: next(rates)), (1, 2))
    for _ in range(3):
        peaks.look()
    assert peaks.found == {1: [10.0, 30.0, 12.0], 2: [10.0, 20.0, 18.0]} and peaks.gflops() == {1: 12.0, 2: 18.0}


@pytest.mark.skipif(not memory.CLEAR.exists(), reason="this system does not tell the highest memory since a moment")
@pytest.mark.parametrize("name", contestants.CONTESTANTS)
def test_memory_is_of_a_process_of_its_own(name, torch):
    """What grows is at least x, y, dy and the gates, and no library."""
    point = Point(200, 32, 64, 64)
    found = memory.in_process(point, name, 1)
    tensor = 4 * point.T * point.N * point.H
    assert 6 * tensor < found["growth"] < 40 * tensor
    assert found["growth"] < found["peak"]


def test_a_failing_process_is_told(monkeypatch):
    with pytest.raises(SystemExit, match="memory of nobody at gru-T7-N3-I5-H6 failed"):
        memory.in_process(POINT["gru"], "nobody", 1)


def test_no_memory_where_the_system_does_not_tell(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "CLEAR", tmp_path / "none")
    assert memory.measure([POINT["gru"]], [1], lambda name, cell: False) == {}
