"""One network that is trained on the adding problem by cgru alone."""

import time

import numpy as np

import cgru
from bench.adding.problem import sequences
from bench.adding.settings import EVALUATIONS, RATES, SOLVED, TESTS
from bench.common.adam import Adam, clip_norm


class Learner:
    """One network with a linear read-out of its last step, and its optimiser.

    Parameters
    ----------
    network : str
        "RNN", "GRU" or "LSTM".
    settings : Settings
    seed : int
        Of the initial parameters.
    """

    def __init__(self, network, settings, seed):
        self._class, self._max_norm = getattr(cgru, network), settings.max_norm
        self._rate = RATES[network] if settings.rate is None else settings.rate
        H, rng = settings.hidden_size, np.random.default_rng([seed, 1])
        layers = [self._class(2, H, rng=rng), cgru.Linear(H, 1, rng=rng)]
        self.parameters = cgru.Sequential(layers, last=True).state_dict()
        self._optimizer = Adam(self.parameters)

    def _network(self):
        layers = [
            kind.from_state_dict(self.parameters, prefix=f"{place}.", engine="blas")
            for place, kind in enumerate((self._class, cgru.Linear))
        ]
        return cgru.Sequential(layers, last=True)

    def error(self, x, target):
        """Mean squared error on sequences."""
        y, _ = self._network()(x)
        return float(((y[:, 0] - target) ** 2).mean())

    def learn(self, x, target):
        """One step of Adam on a batch; returns its mean squared error before the step."""
        net = self._network()
        y, _, tape = net.record(x)
        difference = y - target[:, None]
        dy = difference * difference.dtype.type(2 / len(target))
        gradients = clip_norm(dict(net.backward(tape, dy)), self._max_norm)
        self._optimizer.update(self.parameters, gradients, self._rate)
        return float((difference**2).mean())


def train(network, length, seed, settings, on_steps=lambda steps: None):
    """Train one network and follow its error on test sequences.

    Parameters
    ----------
    network : str
    length, seed : int
    settings : Settings
    on_steps : callable, optional
        Called now and then with the number of steps done since.

    Returns
    -------
    dict
        ``network``, ``length``, ``seed``, ``steps`` and ``error`` (the curve, from step 0 on), ``solved_at``
        (the first of these steps with an error below `SOLVED`, or None) and ``seconds``.
    """
    start = time.perf_counter()
    tests = sequences(np.random.default_rng([length, 2]), length, TESTS)
    rng = np.random.default_rng([length, seed, 3])
    learner = Learner(network, settings, seed)
    every = max(1, settings.steps // EVALUATIONS)
    steps, errors = [0], [learner.error(*tests)]
    for step in range(1, settings.steps + 1):
        learner.learn(*sequences(rng, length, settings.batch))
        if step % every == 0 or step == settings.steps:
            on_steps(step - steps[-1])
            steps.append(step)
            errors.append(learner.error(*tests))
    solved = [step for step, error in zip(steps, errors, strict=True) if error < SOLVED]
    return {
        "network": network, "length": length, "seed": seed,
        "parameters": sum(map(np.size, learner.parameters.values())),
        "solved_at": solved[0] if solved else None, "seconds": round(time.perf_counter() - start, 1),
        "steps": steps, "error": [round(error, 6) for error in errors],
    }  # fmt: skip
