"""The amplifier model: its sound, its training, its contestants, its verdicts, its command."""

import json

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import cgru
from bench.audio import contestants, goals, learner, measure, signals
from bench.audio import run as audio
from bench.audio.settings import QUICK, RATE, Settings
from bench.common.adam import clip_norm
from support import reference

PEERS = {contestants.ORT: "onnxruntime", contestants.TORCH: "torch"}


def generator(*seed):
    return np.random.default_rng(seed)


def random_network(hidden_size=7, seed=4):
    """Not as drawn for training: no bias is zero."""
    return learner.network(learner.initial(generator(seed), hidden_size))


# ---- sound


@pytest.mark.parametrize("period", [73, 291])
def test_a_string_has_its_pitch_and_dies_away(period):
    y = signals.plucked_string(generator(1), period, RATE)
    spectrum = np.abs(np.fft.rfft(y[: RATE // 2] * np.hanning(RATE // 2)))
    pitch = RATE / (period + 0.5)
    peaks = [int(spectrum[int(k * pitch / 2 - 8) : int(k * pitch / 2 + 9)].argmax()) - 8 for k in (1, 2)]
    assert max(map(abs, peaks)) <= 2  # bins of 2 Hz, of the first partial and the second
    assert spectrum[int(pitch / 2 - 3) : int(pitch / 2 + 4)].max() > 20 * np.median(spectrum)
    first, last = (np.square(part).mean() for part in (y[:4800], y[-4800:]))
    assert last < first / 3


def test_recordings():
    x, target = signals.recording(generator(2), 1.5)
    assert x.shape == target.shape == (72_000, 1) and x.dtype == target.dtype == np.float32
    assert np.abs(x).max() == 1 and 0.2 < np.abs(target).max() < 1.5
    again, _ = signals.recording(generator(2), 1.5)
    other, _ = signals.recording(generator(3), 1.5)
    assert_array_equal(x, again)
    assert (x != other).any()


def test_the_amplifier_bends_one_side_more_and_looks_at_the_past_only():
    x = 0.5 * np.sin(2 * np.pi * 220 * np.arange(RATE) / RATE)
    y = signals.amplifier(x)[RATE // 2 :]
    assert abs(y.mean()) < 0.02  # without its direct current
    assert not np.isclose(y.max(), -y.min(), rtol=0.05)
    spectrum = np.abs(np.fft.rfft(y))  # bins of 2 Hz
    assert all(spectrum[110 * k] > 20 * np.median(spectrum) for k in (1, 2, 3))  # even and odd harmonics
    changed = x.copy()
    changed[1000:] = 0
    assert_array_equal(signals.amplifier(changed)[:1000], signals.amplifier(x)[:1000])
    assert (signals.amplifier(changed)[1000:1100] != signals.amplifier(x)[1000:1100]).all()


def test_error_to_signal_ratio():
    target = np.array([[3.0], [-4.0]], np.float32)
    assert signals.error_to_signal(target, target) == 0
    assert signals.error_to_signal(0 * target, target) == 1
    assert signals.error_to_signal(target + np.float32(0.5), target) == pytest.approx(0.5 / 25)


# ---- training


def test_pieces_stand_side_by_side():
    cut = learner.side_by_side(np.arange(11.0)[:, None], 3)
    assert cut.shape == (3, 3, 1)
    assert_array_equal(cut[:, :, 0], [[0, 3, 6], [1, 4, 7], [2, 5, 8]])


def test_a_step_takes_the_state_along_and_goes_down_the_gradient(monkeypatch):
    x, target = (learner.side_by_side(signal, 5) for signal in signals.recording(generator(5), 0.01))
    energy = float(np.square(target).mean())
    student = learner.Learner(Settings(max_norm=1e9), energy, 10)
    before = {name: value.copy() for name, value in student.parameters.items()}
    _, hx = learner.network(before)(x[:40])
    taken = {}
    monkeypatch.setattr(student._optimizer, "update", lambda tensors, gradients, rate: taken.update(gradients))
    loss, after = student.learn(x[40:], target[40:], hx)
    assert_allclose(after[0], learner.network(before)(x)[1][0], atol=2e-6)
    assert taken.keys() == before.keys()

    def loss_of(parameters):
        y, _ = learner.network(parameters)(x[40:], hx)
        return float(np.square(y - target[40:], dtype=np.float64).mean() / energy)

    assert loss == pytest.approx(loss_of(before), rel=1e-4)
    for name, gradient in taken.items():
        norm, step = np.linalg.norm(gradient), np.float32(1e-2)
        assert norm > 0
        up, down = (loss_of(before | {name: before[name] + s * gradient / norm}) for s in (step, -step))
        assert (up - down) / (2 * step) == pytest.approx(norm, rel=1e-2, abs=1e-4), name


def test_gradients_are_clipped_and_the_rate_falls(monkeypatch):
    x, target = (learner.side_by_side(signal, 4) for signal in signals.recording(generator(5), 0.01))
    student, seen = learner.Learner(Settings(max_norm=1e-3, rate=0.5), 1.0, 4), []
    monkeypatch.setattr(
        student._optimizer, "update", lambda tensors, gradients, rate: seen.append((dict(gradients), rate))
    )
    for _ in range(3):
        student.learn(x, target, None)
    assert_allclose([rate for _, rate in seen], 0.5 * (1 + np.cos(np.pi * np.arange(3) / 4)) / 2)
    for gradients, _ in seen:
        assert np.sqrt(sum(np.square(g).sum() for g in gradients.values())) == pytest.approx(1e-3, rel=1e-4)
        assert clip_norm(gradients, 1.0)["1.bias"] == gradients["1.bias"]


def test_a_short_training_learns_and_repeats():
    settings = Settings(seconds=1.0, test_seconds=0.3, rows=8, chunk=200, epochs=2)
    esrs = []
    net, found, (x, target) = learner.train(settings, esrs.append)
    assert found["steps"] == len(esrs) == 60 and len(found["esr"]) == 3
    assert esrs[0] == pytest.approx(found["esr"][0], abs=1e-6) and esrs[-1] == pytest.approx(found["esr"][1], abs=1e-6)
    assert found["esr"][-1] < 0.8 * found["esr"][0]
    assert found["esr"][-1] == pytest.approx(signals.error_to_signal(net(x)[0], target), abs=1e-6)
    assert net.skip and [type(layer) for layer in net.layers] == [cgru.GRU, cgru.Linear]
    assert net.num_parameters == 3 * 40 * (1 + 40 + 2) + 41
    again, _, _ = learner.train(settings)
    for name, value in net.state_dict().items():
        assert_array_equal(value, again.state_dict()[name])


# ---- contestants


def test_truth_is_the_oracle_s():
    net, x = random_network(), signals.recording(generator(6), 0.001)[0]
    of_gru, whole = measure.truth(net, x)
    gru, head = (layer.state_dict() for layer in net.layers)
    y, _ = reference.gru(np.tile(x, (contestants.CHECK_CALLS, 1)), gru)
    assert_allclose(of_gru, y[-len(x) :], atol=1e-13)
    assert_allclose(whole, (y @ head["weight"].T.astype(np.float64) + head["bias"])[-len(x) :] + x, atol=1e-13)


@pytest.mark.parametrize("name", contestants.CONTESTANTS)
@pytest.mark.parametrize("samples", [1, 9])
def test_contestants_are_right(name, samples):
    if name in PEERS:
        pytest.importorskip(PEERS[name])
    net = random_network()
    x = np.ascontiguousarray(signals.recording(generator(6), 0.1)[0][1000 : 1000 + samples])
    assert np.abs(x).min() > 1e-4
    of_gru, whole = measure.truth(net, x)
    expected = of_gru if name == contestants.GRU else whole
    ways = contestants.CONTESTANTS[name](net, x)
    assert ways
    for way in ways:
        for _ in range(2):  # the second time after a run: it starts afresh
            assert_allclose(way.result().reshape(expected.shape), expected, atol=measure.TOLERANCE)
            assert (way.sample(2, 3) > 0).all()


def test_a_wrong_contestant_is_not_timed(monkeypatch):
    net, x = random_network(), signals.recording(generator(6), 0.001)[0]
    wrong = learner.network({name: 1.01 * value for name, value in net.state_dict().items()})
    monkeypatch.setitem(contestants.CONTESTANTS, contestants.GLUE, lambda net, x: contestants.glue(wrong, x))
    with pytest.raises(SystemExit, match=f"{contestants.GLUE}, 48 samples, .* differs from the truth"):
        measure.checked(net, x, contestants.GLUE)


def test_an_absent_peer_is_told_and_left_out(monkeypatch):
    def absent(net, x):
        raise ImportError("No module named 'peer'")

    monkeypatch.setattr(
        measure, "CONTESTANTS", {name: contestants.CONTESTANTS[name] for name in (contestants.CGRU, contestants.GRU)}
    )
    monkeypatch.setitem(measure.CONTESTANTS, contestants.ORT, absent)
    said = []
    points = measure.measure(random_network(), signals.recording(generator(6), 0.02)[0], 0.001, said.append)
    assert len(said) == 2 and contestants.ORT in said[0] and "'peer'" in said[0]
    assert {point: (line["samples"], set(line["contestants"])) for point, line in points.items()} == {
        "step": (1, {contestants.CGRU, contestants.GRU}),
        "block": (64, {contestants.CGRU, contestants.GRU}),
        "long": (640, {contestants.CGRU}),
    }
    line = points["block"]["contestants"][contestants.CGRU]
    assert line["ns_per_sample"] == line["median"] / 64
    assert line["times_real_time"] == pytest.approx(1e9 / 48_000 / line["ns_per_sample"])


def test_the_whole_sound_is_the_same_bits_through_a_stream():
    x, target = signals.recording(generator(7), 0.05)
    net = random_network()
    found = measure.through_stream(net, x[:2371], target[:2371])  # the last block is a short one
    assert found["seconds"] == 2371 / 48_000
    assert found["esr"] == signals.error_to_signal(net(x[:2371])[0], target[:2371])
    assert found["same_bits"] is True or net.layers[0].engine != "packed"
    assert set(found["times_real_time"]) == {"sample by sample", "blocks of 64"}


# ---- goals, command


def points(**changes):
    times = {
        "step": {contestants.CGRU: 370.0, contestants.GRU: 250.0, contestants.ORT: 5600.0},
        "block": {contestants.CGRU: 22_000.0, contestants.ORT: 34_000.0},
        "long": {contestants.CGRU: 200_000.0},
    }
    for point, time in changes.items():
        times[point] = times[point] | {contestants.CGRU: time}
    return times


@pytest.mark.parametrize(
    ("changes", "met"),
    [
        ({}, [True, True, True, True]),
        ({"step": 373.0}, [False, True, True, True]),
        ({"step": 374.0}, [False, True, False, True]),
        ({"block": 22_900.0}, [True, True, True, False]),
        ({"long": 190_000.0}, [True, False, True, True]),
    ],
)
def test_goals(changes, met):
    times = points(**changes)
    times["step"][contestants.GRU] = 249.9
    assert [goal["met"] for goal in goals.evaluate(times)] == met


def test_no_verdict_without_a_figure():
    times = points()
    for line in times.values():
        line.pop(contestants.ORT, None)
    assert [goal["met"] for goal in goals.evaluate(times)] == [True, True, None, None]


def test_command(tmp_path, capsys):
    assert audio.main(["--quick", "--epochs", "1", "--output", str(tmp_path / "new")]) == 0
    output, errors = capsys.readouterr()
    assert errors == ""
    found = json.loads((tmp_path / "new" / "results.json").read_text())
    assert found["settings"] == {**vars(QUICK), "epochs": 1} and found["training"]["steps"] == 23
    assert len(found["goals"]) == 4 and set(found["points"]) == {"step", "block", "long"}
    net = cgru.load(tmp_path / "new" / "network.safetensors")
    x, target = signals.recording(generator(0, 2), QUICK.test_seconds)
    assert signals.error_to_signal(net(x)[0], target) == pytest.approx(found["stream"]["esr"], rel=1e-6)
    assert output.count(f"  {contestants.CGRU:20} ") == 3
    if "no picture" not in output:
        assert (tmp_path / "new" / "waveforms.png").read_bytes()[:4] == b"\x89PNG"


def test_bad_arguments(capsys):
    for arguments in (["--epochs", "0"], ["--budget", "-1"], ["--quick", "--record"]):
        with pytest.raises(SystemExit):
            audio.main(arguments)
        assert arguments[0] in capsys.readouterr().err
