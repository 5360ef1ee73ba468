"""Neural Amp Modeler's .nam: against PyTorch's LSTM laid out as its exporter does, and what its core computed."""

import json
from pathlib import Path

import numpy as np
import pytest

import cgru
from cgru.convert.chains import NotAChain
from cgru.convert.nam import chain_from_nam
from support.peers import assert_same, peer, single

TOLERANCE = 1e-5
RECORDED = json.loads((Path(__file__).parent / "data" / "nam.json").read_text())


def read(source, **options):
    return cgru.Sequential.from_nam(source, **options)


@pytest.mark.parametrize("name", RECORDED)
def test_what_its_core_computed(name, tmp_path):
    case = RECORDED[name]
    x, y = single(case["x"]), np.array(case["y"])
    path = tmp_path / "model.nam"
    path.write_text(json.dumps(case["model"]))
    for source in (path, str(path), case["model"]):
        net = read(source)
        assert_same(net(x)[0], y, TOLERANCE)
        assert_same(net.stream().run(x), y, TOLERANCE)
    assert len(x) == 40 and np.abs(np.diff(y, axis=0)).max() > 1e-3
    without = net(x, (tuple(np.zeros_like(plane) for plane in net(x)[1][0]),))[0]
    assert np.abs(without[0] - y[0]).max() > 1e-3, "the stored state makes no difference"


def exported(torch, I, H, L):      # noqa: E741
    """The module, its first state, and the .nam that the trainer would write."""
    lstm, head = torch.nn.LSTM(I, H, L, batch_first=True).double(), torch.nn.Linear(H, 1).double()
    hx = [torch.randn(L, H).float().double() for _ in range(2)]
    flat = []
    with torch.no_grad():
        for parameter in (*lstm.parameters(), *head.parameters()):
            parameter.copy_((2 * parameter).float())
        for layer in range(L):
            w_ih, w_hh, b_ih, b_hh = (getattr(lstm, f"{name}_l{layer}") for name in (
                "weight_ih", "weight_hh", "bias_ih", "bias_hh"))  # fmt: skip
            flat += [torch.cat([w_ih, w_hh], dim=1), b_ih + b_hh, hx[0][layer], hx[1][layer]]
        flat += [head.weight, head.bias]
        weights = torch.cat([part.flatten() for part in flat]).tolist()
    config = {"input_size": I, "hidden_size": H, "num_layers": L}
    metadata = {"loudness": -20.5, "gain": 0.5, "name": "a", "modeled_by": "b"}
    return lstm, head, hx, {"version": "0.5.4", "metadata": metadata, "architecture": "LSTM", "config": config,
                            "weights": weights, "sample_rate": 44100}  # fmt: skip


@pytest.mark.parametrize("L", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("I", [1, 2])
def test_random_networks(rng, I, L, tmp_path):      # noqa: E741
    torch = peer("torch")
    torch.manual_seed(L)
    lstm, head, hx, model = exported(torch, I, 4, L)
    path = tmp_path / "model.nam"
    path.write_text(json.dumps(model))
    x = single(rng.normal(size=(3, 11, I)))
    with torch.no_grad():
        y = head(lstm(torch.as_tensor(x, dtype=torch.float64), tuple(h[:, None].tile(1, 3, 1) for h in hx))[0]).numpy()
    net = read(path, batch_first=True)
    assert_same(net(x)[0], y, TOLERANCE)
    assert [layer.kind for layer in net.layers] == ["lstm", "linear"] and net.layers[0].num_layers == L
    assert net.layers[0].config.initial_state and net.dtype == np.float32
    wide = cgru.Sequential.from_nam(path, dtype="float64")
    np.testing.assert_allclose(wide(x.swapaxes(0, 1))[0].swapaxes(0, 1), y, rtol=0, atol=1e-12)


def test_prewarmed(rng):
    """As its players do: half a second of silence first."""
    torch = peer("torch")
    lstm, head, hx, model = exported(torch, 1, 4, 2)
    x = single(rng.normal(size=(20, 1)))
    stream = read(model).stream()
    stream.prewarm(500)
    with torch.no_grad():
        given = torch.cat([torch.zeros(500, 1), torch.as_tensor(x)]).double()
        y = head(lstm(given, tuple(hx))[0]).numpy()
    assert_same(stream.run(x), y[500:], TOLERANCE)


@pytest.mark.parametrize("name", ["WaveNet", "ConvNet", "SlimmableContainer", "CatLSTM"])
def test_other_architectures(name, tmp_path):
    path = tmp_path / "model.nam"
    path.write_text(json.dumps(RECORDED["one"]["model"] | {"architecture": name}))
    with pytest.raises(NotAChain, match=rf"model\.nam: the architecture '{name}' is no chain .*'LSTM' is"):
        chain_from_nam(path)


def test_the_line_for_a_linear(rng):
    """It is a convolution of PyTorch, padded in front."""
    torch = peer("torch")
    x, net = rng.normal(size=30), torch.nn.Conv1d(1, 1, 5).double()
    model = {"architecture": "Linear", "config": {"receptive_field": 5, "bias": True}, "weights": []}
    with pytest.raises(NotAChain, match="the architecture 'Linear' is a filter") as caught:
        chain_from_nam(model)
    line = str(caught.value).rpartition(": y = ")[2]
    weights = np.concatenate([net.weight.detach().numpy().ravel(), net.bias.detach().numpy()])
    y = eval(line, {"numpy": np, "x": x, "weights": weights, "n": 5, "bias": weights[5]})
    with torch.no_grad():
        expected = net(torch.as_tensor(np.concatenate([np.zeros(4), x]))[None, None])[0, 0].numpy()
    np.testing.assert_allclose(y, expected, atol=1e-12)


def test_damaged_files(tmp_path):
    good = RECORDED["three"]["model"]
    config, weights = good["config"], good["weights"]
    path = tmp_path / "model.nam"
    count = len(weights)
    cases = [
        (good | {"weights": weights[:-1]}, rf"it has {count - 1} weights, expected {count} for an LSTM with "),
        (good | {"weights": [*weights, 0.5]}, rf"it has {count + 1} weights, expected {count}"),
        (good | {"weights": ["a", "b"]}, "weights has dtype"),
        (good | {"weights": [[1.0], [2.0]]}, r"weights has shape \(2, 1\), expected \(any\)"),
        (good | {"weights": None}, "weights has dtype"),
        (good | {"config": config | {"hidden_size": 10**9}}, rf"it has {count} weights, expected \d{{19,}} for "),
        (good | {"config": config | {"num_layers": 0}}, "num_layers must be at least 1"),
        (good | {"config": config | {"input_size": "1"}}, "input_size must be an integer"),
        (good | {"config": config | {"out_channels": 2}}, "out_channels=2"),
        (good | {"config": {}}, "input_size must be an integer; got None"),
        (good | {"config": []}, "this is no .nam file"),
        ({"weights": weights}, "this is no .nam file"),
    ]  # fmt: skip
    for model, words in cases:
        path.write_text(json.dumps(model))
        with pytest.raises(ValueError, match=rf"model\.nam: .*{words}") as caught:
            chain_from_nam(path)
        assert "\n" not in str(caught.value)
    path.write_text("[")
    with pytest.raises(ValueError, match=r"model\.nam is not JSON"):
        chain_from_nam(path)
    with pytest.raises(TypeError, match="expected a path or a dict with architecture, config and weights; got int"):
        chain_from_nam(3)
    with pytest.raises(TypeError, match="dtype must be float32 or float64; got 'int8'"):
        chain_from_nam(good, dtype="int8")
    with pytest.raises(OSError, match=r"missing\.nam"):
        chain_from_nam(tmp_path / "missing.nam")
