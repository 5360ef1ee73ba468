"""Adam and AdamW in NumPy, for models whose gradients `backward` gives."""

import math

import numpy as np


class AdamW:
    """Adam with decoupled weight decay, on a dict of arrays, in place.

    With m and v running means of g and g * g, both divided by 1 - beta**t against their start at zero::

        p <- p - rate * (weight_decay * p + m / (sqrt(v) + eps))

    Parameters
    ----------
    tensors : dict of str to ndarray
        What is to be trained; only the shapes and dtypes are taken from it here.
    weight_decay : float, default 0
        0 is plain Adam.
    betas : (float, float)
        Of m and v.
    eps : float

    References
    ----------
    Kingma and Ba, "Adam: a method for stochastic optimization", 2015; Loshchilov and Hutter, "Decoupled
    weight decay regularization", 2019.
    """

    def __init__(self, tensors, weight_decay=0.0, betas=(0.9, 0.999), eps=1e-8):
        self._decay, self._betas, self._eps = weight_decay, betas, eps
        self._moments = {name: (np.zeros_like(p), np.zeros_like(p)) for name, p in tensors.items()}
        self._steps = 0

    def update(self, tensors, gradients, rate):
        """Make one step of length `rate` against the gradients, changing `tensors` in place.

        Parameters
        ----------
        tensors, gradients : dict of str to ndarray
            Of the names, shapes and dtypes given at construction; `gradients` may hold more.
        rate : float
        """
        self._steps += 1
        b1, b2 = self._betas
        unbias1, unbias2 = 1 - b1**self._steps, 1 - b2**self._steps
        for name, p in tensors.items():
            g, (m, v) = gradients[name], self._moments[name]
            m += (1 - b1) * (g - m)
            v += (1 - b2) * (g * g - v)
            p -= rate * (self._decay * p + (m / unbias1) / (np.sqrt(v / unbias2) + self._eps))


def clip_norm(gradients, most):
    """Scale gradients down to a joint Euclidean norm of at most `most`; returns new arrays."""
    norm = math.sqrt(sum(float(np.vdot(g, g)) for g in gradients.values()))
    scale = min(1.0, most / norm) if norm else 1.0
    return {name: g * g.dtype.type(scale) for name, g in gradients.items()}
