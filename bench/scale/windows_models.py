"""Networks of the three shapes with random weights, what goes into them, and the right answers in float64."""

import numpy as np

import cgru
from bench.common.numpy_cells import numpy_model
from cgru.judge.suites import SUITES

WEIGHTS = ("float32", "bfloat16", "int8")
POINTS = dict(zip("ABC", SUITES["markets"], strict=False))  # the windows of the suite; single steps come behind
GAIN = 2  # of the weights that PyTorch draws: through four layers of those hardly any of x would reach y
ROWS = 64  # windows that go through a network at once where results are compared


def network(letter, weights, number=0):
    """LSTM layers and Linear 1: the model `number` of a shape, on the engine packed."""
    point = POINTS[letter]
    rng = np.random.default_rng([number, point.T, point.I, point.H])
    drawn = {name: np.float32(GAIN) * values for name, values in point.draw_weights(rng).items()}
    lstm = cgru.LSTM.from_state_dict(drawn, engine="packed")
    bound = GAIN / np.sqrt(point.H)
    head = {name: rng.uniform(-bound, bound, shape).astype(np.float32)
            for name, shape in (("weight", (1, point.H)), ("bias", (1,)))}  # fmt: skip
    net = cgru.Sequential([lstm, cgru.Linear.from_state_dict(head, engine="packed")], last=True)
    return net if weights == "float32" else net.quantize(weights)


def samples(letter, count, number=0):
    """x (count, I) of the model `number`, float32, standard normal."""
    point = POINTS[letter]
    rng = np.random.default_rng([number, point.T, point.I, point.H, 1])
    return rng.standard_normal((count, point.I), np.float32)


def windows(x, T):
    """Every window of T samples of x (S, I), without a copy: (S - T + 1, T, I)."""
    return np.lib.stride_tricks.sliding_window_view(x, T, axis=0).swapaxes(1, 2)


def by_itself(net, x, T):
    """What the network gives for every whole window of x, the window as one sequence: (S - T + 1, 1)."""
    return np.concatenate([net(rows.swapaxes(0, 1))[0] for rows in _blocks(windows(x, T))])


def oracle(net, x, T):
    """The same in float64, with the weights as they were rounded: another program's answer."""
    lstm, head = _in_float64(net)
    layers = net.layers[0]
    found = []
    for rows in _blocks(windows(x, T)):
        planes = np.zeros((layers.num_layers, len(rows), layers.hidden_size))
        y, _ = lstm(rows.swapaxes(0, 1).astype(np.float64), (planes, planes))
        found.append(head(y[-1]))
    return np.concatenate(found)


def whole(net, x):
    """What the layers give at every step of one sequence: (S, 1), as a stream gives it."""
    return cgru.Sequential(net.layers)(x)[0]


def whole_oracle(net, x):
    """The same in float64."""
    lstm, head = _in_float64(net)
    planes = np.zeros((net.layers[0].num_layers, 1, net.layers[0].hidden_size))
    y, _ = lstm(x[:, None].astype(np.float64), (planes, planes))
    return head(y[:, 0])


def _in_float64(net):
    lstm, linear = (layer.state_dict() for layer in net.layers)
    weight, bias = (linear[name].astype(np.float64) for name in ("weight", "bias"))
    return numpy_model("lstm", lstm, np.float64), lambda h: h @ weight.T + bias


def _blocks(rows):
    return (rows[at : at + ROWS] for at in range(0, len(rows), ROWS))
