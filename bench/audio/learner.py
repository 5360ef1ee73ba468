"""The network, trained by cgru alone: backpropagation cut to chunks, the state going on from one to the next."""

import math
import time

import numpy as np

import cgru
from bench.audio import signals
from bench.audio.settings import HIDDEN
from bench.common.adam import Adam, clip_norm


def network(parameters, engine="auto"):
    """GRU(1, H), Linear(H, 1) and the way around them: of the names that its `state_dict` and gradients have."""
    gru = cgru.GRU.from_state_dict(parameters, prefix="0.", engine=engine)
    return cgru.Sequential([gru, cgru.Linear.from_state_dict(parameters, prefix="1.", engine=engine)], skip=True)


def initial(rng, hidden_size=HIDDEN, bias=True):
    """Parameters as PyTorch draws them, by name."""
    layers = [cgru.GRU(1, hidden_size, bias=bias, rng=rng), cgru.Linear(hidden_size, 1, bias=bias, rng=rng)]
    return cgru.Sequential(layers).state_dict()


class Learner:
    """The parameters, and their optimiser.

    Parameters
    ----------
    settings : Settings
    energy : float
        Mean square of the training target: the loss is the mean squared error in units of it.
    steps : int
        Of Adam, in all.
    """

    def __init__(self, settings, energy, steps):
        self.parameters = initial(np.random.default_rng([settings.seed, 3]), bias=settings.bias)
        self._settings, self._energy, self._steps, self._done = settings, energy, steps, 0
        self._optimizer = Adam(self.parameters)

    def learn(self, x, target, hx):
        """One step of Adam.

        Parameters
        ----------
        x, target : (T, N, 1) float32
        hx : tuple or None
            The network's state before x.

        Returns
        -------
        loss : float
            Before the step.
        hx : tuple
            The state behind x, which the next chunk starts from; no gradient goes back over it.
        """
        net = network(self.parameters, "blas")
        y, hx, tape = net.record(x, hx)
        error = y - target
        dy = error * np.float32(2 / (error.size * self._energy))
        gradients = clip_norm(dict(net.backward(tape, dy)), self._settings.max_norm)
        rate = self._settings.rate * (1 + math.cos(math.pi * self._done / self._steps)) / 2
        self._optimizer.update(self.parameters, gradients, rate)
        self._done += 1
        return float(np.square(error, dtype=np.float64).mean() / self._energy), hx


def train(settings, on_step=lambda esr: None):
    """Train a network on signals made from the settings' seed.

    Parameters
    ----------
    settings : Settings
    on_step : callable, optional
        Called after each step with the ESR on the test signal after the last epoch.

    Returns
    -------
    net : cgru.Sequential
    found : dict
        ``steps``, ``seconds``, ``esr`` on the test signal (before the first epoch and after each) and ``training_loss``
        of each epoch.
    test : (ndarray, ndarray)
        The test signal (T, 1), and the amplifier's sound of it.
    """
    start = time.perf_counter()
    x, target = signals.recording(np.random.default_rng([settings.seed, 1]), settings.seconds)
    test = signals.recording(np.random.default_rng([settings.seed, 2]), settings.test_seconds)
    x, target = side_by_side(x, settings.rows), side_by_side(target, settings.rows)
    chunks = [slice(at, at + settings.chunk) for at in range(0, len(x) - settings.chunk + 1, settings.chunk)]
    learner = Learner(settings, float(np.square(target, dtype=np.float64).mean()), settings.epochs * len(chunks))
    esr, losses = [tested(learner, *test)], []
    for _ in range(settings.epochs):
        hx, loss = None, 0.0
        for chunk in chunks:
            of_chunk, hx = learner.learn(x[chunk], target[chunk], hx)
            loss += of_chunk / len(chunks)
            on_step(esr[-1])
        losses.append(loss)
        esr.append(tested(learner, *test))
    found = {
        "steps": settings.epochs * len(chunks), "seconds": round(time.perf_counter() - start, 1),
        "esr": [round(value, 6) for value in esr], "training_loss": [round(value, 6) for value in losses],
    }  # fmt: skip
    return network(learner.parameters), found, test


def side_by_side(signal, rows):
    """(T, 1) cut into pieces of equal length: (T // rows, rows, 1); what is left over goes."""
    length = len(signal) // rows
    return np.ascontiguousarray(signal[: rows * length].reshape(rows, length, 1).swapaxes(0, 1))


def tested(learner, x, target):
    """ESR on the test signal."""
    y, _ = network(learner.parameters)(x)
    return signals.error_to_signal(y, target)
