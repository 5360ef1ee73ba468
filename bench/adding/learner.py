"""One network that is trained on the adding problem by cgru alone."""

import math
import time

import numpy as np

import cgru
from bench.adding.problem import sequences
from bench.adding.settings import EVALUATIONS, RATES, SOLVED, TESTS
from bench.common.adam import Adam, clip_norm


class Learner:
    """One network with a linear read-out of its last state, and its optimiser.

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
        H = settings.hidden_size
        rng = np.random.default_rng([seed, 1])
        self.parameters = self._class(2, H, rng=rng).state_dict()
        bound = 1 / math.sqrt(H)
        self.parameters["head.weight"] = rng.uniform(-bound, bound, (1, H)).astype(np.float32)
        self.parameters["head.bias"] = rng.uniform(-bound, bound, 1).astype(np.float32)
        self._optimizer = Adam(self.parameters)

    def _network(self):
        weights = {name: value for name, value in self.parameters.items() if not name.startswith("head.")}
        return self._class.from_state_dict(weights, engine="blas")

    def _answers(self, h_n):
        return h_n[0] @ self.parameters["head.weight"][0] + self.parameters["head.bias"]

    def error(self, x, target):
        """Mean squared error on sequences."""
        _, state = self._network()(x)
        h_n = state[0] if isinstance(state, tuple) else state
        return float(((self._answers(h_n) - target) ** 2).mean())

    def learn(self, x, target):
        """One step of Adam on a batch; returns its mean squared error before the step."""
        model = self._network()
        _, state, tape = model.record(x)
        pair = isinstance(state, tuple)
        h_n = state[0] if pair else state
        difference = self._answers(h_n) - target
        slope = difference * difference.dtype.type(2 / len(target))
        dh_n = (slope[:, None] * self.parameters["head.weight"])[None]
        gradients = dict(model.backward(tape, None, (dh_n, None) if pair else dh_n))
        gradients |= {"head.weight": (slope @ h_n[0])[None], "head.bias": slope.sum(keepdims=True)}
        gradients = clip_norm(gradients, self._max_norm)
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
