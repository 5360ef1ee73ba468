"""The oracle of the activations and of their slopes, in float64 NumPy, and of softmax, which goes over rows.

Slopes at kinks are PyTorch's. The tests in oracle/ prove them with PyTorch and its autograd.
"""

import math

import numpy as np


def sigmoid(a):
    """1 / (1 + exp(-a)), without overflow: exp only ever sees -|a|."""
    e = np.exp(-np.abs(a))
    return np.where(a >= 0, 1 / (1 + e), e / (1 + e))


tanh = np.tanh


def relu(a):
    """max(a, 0); NaN stays NaN."""
    return np.maximum(a, 0)


#: Phi of the normal distribution, in full relative accuracy on both sides.
normal = np.vectorize(lambda x: math.erfc(-x / math.sqrt(2)) / 2, otypes=[np.float64])


def bell(x):
    """Its density, Phi'."""
    return np.exp(-x * x / 2) / np.sqrt(2 * np.pi)


def gelu_argument(x):
    """v with gelu_tanh(x) = x / 2 (1 + tanh(v))."""
    return np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)


#: Functions of x and their two parameters.
ACTIVATIONS = {
    "sigmoid": lambda x, a, b: sigmoid(x),
    "tanh": lambda x, a, b: np.tanh(x),
    "hard_sigmoid": lambda x, a, b: np.clip(a * x + b, 0, 1),
    "relu": lambda x, a, b: np.maximum(x, 0),
    "linear": lambda x, a, b: a * x + b,
    "softsign": lambda x, a, b: x / (1 + np.abs(x)),
    "leaky_relu": lambda x, a, b: np.where(x < 0, a * x, x),
    "elu": lambda x, a, b: np.where(x < 0, a * np.expm1(np.minimum(x, 0)), x),
    "softplus": lambda x, a, b: np.logaddexp(x, 0),
    "scaled_tanh": lambda x, a, b: a * np.tanh(b * x),
    "silu": lambda x, a, b: x * sigmoid(x),
    "gelu": lambda x, a, b: x * normal(x),
    "gelu_tanh": lambda x, a, b: x * sigmoid(2 * gelu_argument(x)),
}
DEFAULTS = {  # alpha and beta where none are given
    "hard_sigmoid": (0.2, 0.5), "linear": (1.0, 0.0), "leaky_relu": (0.01, 0.0), "elu": (1.0, 0.0),
    "scaled_tanh": (1.0, 1.0),
}  # fmt: skip


def sigmoid_slope(x):
    """sigmoid(x) sigmoid(-x), which does not cancel."""
    return sigmoid(x) * sigmoid(-x)


def gelu_tanh_slope(x):
    """Of x sigmoid(2 v)."""
    v, slope = gelu_argument(x), np.sqrt(2 / np.pi) * (1 + 3 * 0.044715 * x * x)
    return sigmoid(2 * v) + x * sigmoid_slope(2 * v) * 2 * slope


#: Their derivatives at x.
SLOPES = {
    "sigmoid": lambda x, a, b: sigmoid_slope(x),
    "tanh": lambda x, a, b: 4 * sigmoid_slope(2 * x),
    "hard_sigmoid": lambda x, a, b: np.where((a * x + b > 0) & (a * x + b < 1), a, 0.0),
    "relu": lambda x, a, b: np.where(x > 0, 1.0, 0.0),
    "linear": lambda x, a, b: np.full_like(x, a),
    "softsign": lambda x, a, b: 1 / (1 + np.abs(x)) ** 2,
    "leaky_relu": lambda x, a, b: np.where(x > 0, 1.0, a),
    "elu": lambda x, a, b: np.where(x > 0, 1.0, a * np.exp(np.minimum(x, 0))),
    "softplus": lambda x, a, b: sigmoid(x),
    "scaled_tanh": lambda x, a, b: a * b * 4 * sigmoid_slope(2 * b * x),
    "silu": lambda x, a, b: sigmoid(x) + x * sigmoid_slope(x),
    "gelu": lambda x, a, b: normal(x) + x * bell(x),
    "gelu_tanh": lambda x, a, b: gelu_tanh_slope(x),
}


def activation(case, dtype=np.float64):
    """The function of a name, or of (name, alpha, beta), with its parameters rounded to `dtype`; softmax too."""
    return _of_case(ACTIVATIONS, case, dtype) if not _is_softmax(case) else softmax


def slope(case, dtype=np.float64):
    """The derivative of that function; softmax has none of this form (`softmax_back`)."""
    return _of_case(SLOPES, case, dtype)


def _is_softmax(case):
    return case == "softmax" or case[0] == "softmax"


def _of_case(table, case, dtype):
    name, *given = (case,) if isinstance(case, str) else case
    given += DEFAULTS.get(name, (0.0, 0.0))[len(given) :]
    alpha, beta = (np.dtype(dtype).type(p).astype(np.float64) for p in given)
    return lambda x: table[name](x, alpha, beta)


def softmax(x):
    """Over the last axis; rows with a NaN, with +inf, or with nothing but -inf become NaN."""
    with np.errstate(invalid="ignore"):
        e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def softmax_back(y, dy):
    """dL/dx of y = softmax(x), from dL/dy."""
    return y * (dy - np.sum(dy * y, axis=-1, keepdims=True))


def through(case, a, dy, dtype=np.float64):
    """dL/da of y = f(a), from dL/dy, for every activation; the last axis holds the outputs of a row."""
    if _is_softmax(case):
        return softmax_back(softmax(a), dy)
    return dy * slope(case, dtype)(a)
