"""How much of a gradient arrives k steps back: the exact norm of d h_T / d h_{T-k}, by backward."""

from dataclasses import dataclass

import numpy as np

from cgru.activations import PLAIN
from cgru.model import model_of
from cgru.study.products import log_spectral_norms, product
from cgru.weights import Weights

_SIGMOID = PLAIN["f"].name


@dataclass(frozen=True)
class Flow:
    """Logarithms of spectral norms against the lag, averaged over sequences.

    The spectral norm is the largest singular value: the most that a unit change of the one state can move the
    other. The mean of logarithms is the logarithm of the geometric mean.

    Attributes
    ----------
    h : (K + 1,) float64
        log of the norm of d h_T / d h_{T-k}, k = 0 to K; the first is 0.
    c : (K + 1,) float64 or None
        LSTM: the same of d h_T / d c_{T-k}, h_{T-k} and c_{T-k} being independent; -inf at k = 0.
    kept : (K + 1,) float64 or None
        GRU (a cell whose only state is h, with a gate that keeps it): the same of the diagonal matrix of the
        products of 1 - z_t over the k last steps, z as in the starting equations
        h_t = (1 - z_t) * h_{t-1} + z_t * n_t (1 - z_t is PyTorch's z_t).
        None where z comes from another activation than sigmoid, and is no share then.
    """

    h: np.ndarray
    c: np.ndarray | None = None
    kept: np.ndarray | None = None


def gradient_flow(model, x, lags, lengths=None):
    """Measure the gradient that reaches h_{T-k} and, in an LSTM, c_{T-k} from h_T.

    H rows per sequence, one for every unit of h_T, go back step by step through the model's `backward`: that
    gives the whole (H, H) Jacobian, not an estimate. It is rescaled at every step, so its norm cannot
    underflow.

    Parameters
    ----------
    model : GRU, RNN or LSTM
        One layer, which runs forwards; float64 is advisable.
    x : (T, N, I) ndarray
        Sequences of the model's dtype; the states start at zero.
    lags : int
        K, at most T, or the least of `lengths`.
    lengths : (N,) ndarray of int, optional
        Where the h_T of each sequence stands; T by default.

    Returns
    -------
    Flow

    Raises
    ------
    ValueError
        More lags than steps; several layers, or one that does not run forwards.
    """
    config = model.config
    if config.num_layers > 1 or not config.one_way:
        raise ValueError(
            "the flow of a gradient is that of one layer which runs forwards; this model has num_layers="
            f"{config.num_layers}, bidirectional={config.bidirectional}, reverse={config.reverse}, "
            f"go_backwards={config.go_backwards}"
        )
    T, N, _ = x.shape
    lengths = np.full(N, T) if lengths is None else np.asarray(lengths)
    if lags > lengths.min():
        raise ValueError(f"there are {lags} lags, and a sequence of {lengths.min()} steps; give fewer lags")
    H, rows = model.hidden_size, np.arange(N)
    states = _states(model, x)
    slopes = [np.broadcast_to(np.eye(H, dtype=x.dtype), (N, H, H)).reshape(1, N * H, H)]
    slopes += [np.zeros_like(slopes[0]) for _ in states[1:]]
    scale = np.zeros(N)  # log of what has been divided out
    norms = np.zeros((len(states), lags + 1, N))
    norms[1:, 0] = -np.inf
    for k in range(1, lags + 1):
        t = lengths - k  # this step goes from state t to state t + 1
        before = [np.repeat(state[t, rows], H, axis=0)[None] for state in states]
        *_, tape = model.record(np.repeat(x[t, rows], H, axis=0)[None], _joined(before))
        grads = model.backward(tape, None, _joined(slopes))
        slopes = [slope for slope in (grads.h_0, grads.c_0) if slope is not None]
        logs = np.array([log_spectral_norms(s.reshape(N, H, H)) for s in slopes])
        norms[:, k] = logs + scale
        largest = logs.max(axis=0)
        largest[largest == -np.inf] = 0
        slopes = [s / np.repeat(np.exp(largest), H)[:, None].astype(s.dtype) for s in slopes]
        scale += largest
    mean = norms.mean(axis=2)
    return Flow(mean[0], mean[1] if len(mean) > 1 else None, _kept(model, x, states, lags, lengths))


def _joined(planes):
    """A state as a model takes it: the array, or the pair."""
    return planes[0] if len(planes) == 1 else tuple(planes)


def _states(model, x):
    """All states, (T + 1, N, H) of each plane; the first are zero."""
    steps = [tuple(np.zeros((1, x.shape[1], model.hidden_size), x.dtype) for _ in model.config.cell.states)]
    for x_t in x:
        _, state = model(x_t[None], _joined(steps[-1]))
        steps.append(state if isinstance(state, tuple) else (state,))
    return [np.concatenate(plane) for plane in zip(*steps, strict=True)]


def _keeper(model):
    """The rows of the gate that is the share of the old state; None for a cell without one."""
    cell, H = model.config.cell, model.hidden_size
    if not cell.keeps:
        return None
    place = cell.gates.index(cell.keeps)
    return slice(place * H, (place + 1) * H)


def _kept(model, x, states, lags, lengths):
    """Log of the norm of diag(product of 1 - z_t): of the unit that keeps most; see `Flow`."""
    units, config = _keeper(model), model.config
    if units is None or len(states) > 1 or config.activations[0][0].name != _SIGMOID:
        return None
    tensors, h = model.weights.tensors, states[0]
    W, U = tensors["weight_ih_l0"][units], tensors["weight_hh_l0"][units]
    bias = tensors["bias_ih_l0"][units] + tensors["bias_hh_l0"][units] if model.bias else 0
    t = lengths - np.arange(1, lags + 1)[:, None]  # (K, N)
    rows = np.arange(len(lengths))
    a = product(x[t, rows], W.T) + product(h[t, rows], U.T) + bias
    a = a if config.clip is None else np.clip(a, -config.clip, config.clip)
    log_products = np.cumsum(-np.logaddexp(0, -a), axis=0)  # log of the logistic function, without underflow
    return np.concatenate([[0], log_products.max(axis=2).mean(axis=1)])


def decay(log_norms):
    """Factor per step over the second half of the lags: their geometric mean, exp of the mean slope.

    Of an LSTM's c and one or two lags that is the only lag's own value, since lag 0 has none.
    """
    last = len(log_norms) - 1
    start = last // 2
    if start == 0 and not np.isfinite(log_norms[0]):
        return float(np.exp(log_norms[last]))
    return float(np.exp((log_norms[last] - log_norms[start]) / (last - start)))


def with_update_bias(model, bias):
    """Copy a model, with another bias of the gate that decides how much of the old state is kept.

    Parameters
    ----------
    model : GRU, RNN or LSTM
        One layer, one direction, with biases.
    bias : float
        Of the GRU's update gate in the starting equations' sense, where z is the share of the new: negative
        keeps the old state. The bias inside is -bias. An LSTM's forget gate, which also keeps, gets -bias
        likewise. An RNN has no such gate and stays as it is.
    """
    units = _keeper(model)
    if units is None:
        return model
    tensors = model.state_dict()
    tensors["bias_ih_l0"][units] = -bias
    tensors["bias_hh_l0"][units] = 0
    return model_of(Weights(model.config, tensors), model.engine)
