"""Adam in NumPy, for experiments that train by cgru's `backward`."""

import math

import numpy as np


class Adam:
    """Adam (Kingma and Ba, "Adam: a method for stochastic optimization", 2015) on a dict of arrays, in place.

    With m and v running means of g and g * g, both divided by 1 - beta**t against their start at zero::

        p <- p - rate * m / (sqrt(v) + eps)
    """

    BETAS, EPS = (0.9, 0.999), 1e-8

    def __init__(self, tensors):
        self._moments = {name: (np.zeros_like(p), np.zeros_like(p)) for name, p in tensors.items()}
        self._steps = 0

    def update(self, tensors, gradients, rate):
        """Make one step of length `rate`; `gradients` may hold more names than `tensors`."""
        self._steps += 1
        b1, b2 = self.BETAS
        unbias1, unbias2 = 1 - b1**self._steps, 1 - b2**self._steps
        for name, p in tensors.items():
            g, (m, v) = gradients[name], self._moments[name]
            m += (1 - b1) * (g - m)
            v += (1 - b2) * (g * g - v)
            p -= rate * ((m / unbias1) / (np.sqrt(v / unbias2) + self.EPS))


def clip_norm(gradients, most):
    """Scale gradients down to a joint Euclidean norm of at most `most`; returns new arrays."""
    norm = math.sqrt(sum(float(np.vdot(g, g)) for g in gradients.values()))
    scale = min(1.0, most / norm) if norm else 1.0
    return {name: g * g.dtype.type(scale) for name, g in gradients.items()}
