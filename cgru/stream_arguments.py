"""What a stream's caller passes in: checks, and arrays as the compiled part wants them."""

import numpy as np

from cgru.chain import Chain, is_network
from cgru.checks import BLAS_LIMIT, check_size, input_array, output_array, refuse_overlap, row_numbers
from cgru.config import Config


def check_streamable(model, linear=False):
    """Its `Config` or `Chain`; refuses what has no state that goes on from step to step, and so a Linear by default."""
    config = model.chain if is_network(model) else getattr(model, "config", None)
    if not isinstance(config, Chain) and not (isinstance(config, Config) and (config.recurrent or linear)):
        kinds = "GRU, LSTM, RNN, Linear or Sequential" if linear else "GRU, LSTM, RNN or Sequential"
        raise TypeError(f"model must be a {kinds}; got {type(model).__name__}")
    config.check_one_way()
    return config


def rows_of(batch_size, name="batch_size"):
    """`batch_size` as an int, or None."""
    if batch_size is None and name == "batch_size":
        return None
    size = check_size(name, batch_size)
    if size > BLAS_LIMIT:
        raise ValueError(f"{name}={batch_size} is above the limit of BLAS's integers ({BLAS_LIMIT})")
    return size


def step_input(x_t, dtype, expected, whom="", name="x_t", what="stream"):
    """x_t of exactly this shape, C-contiguous."""
    x = input_array(name, x_t, dtype, expected[-1], "input_size")
    if x.shape != expected:
        raise ValueError(f"{name} has shape {x.shape}, this {what} expects {expected}{whom}")
    return np.ascontiguousarray(x)


def step_output(out, dtype, shape):
    """Refuse an `out` that a step cannot fill."""
    output_array(out, dtype, shape)
    if type(out) is not np.ndarray:
        raise ValueError("out must be a numpy.ndarray, not of a subclass")


def chunk(x, out, dtype, form, N, K, O):  # noqa: E741
    """x as (T, N, K), and the y in the caller's layout that is to be filled."""
    x = input_array("x", x, dtype, K, "input_size")
    if x.ndim != form.batched + 2 or form.time_major(x).shape[1] != N:
        expected = ", ".join(map(str, form.shape("T", N, K)))
        raise ValueError(f"x has shape {x.shape}, this stream expects ({expected})")
    x = form.time_major(x)
    shape = form.shape(len(x), N, O)
    if out is None:
        return x, np.empty(shape, dtype)
    output_array(out, dtype, shape)
    refuse_overlap(out, "x", x)
    return x, out


def row_index(rows, batch_size):
    """One row's number () or several (n,), intp."""
    if batch_size is None:
        raise ValueError("rows of a stream without a batch size: it has one row; leave rows out")
    return row_numbers(rows, batch_size)


def empty_states(parts, N, dtype):
    """For each model arrays (layers, N, H) for its state."""
    return tuple(
        tuple(np.empty((len(model.directions), N, model.config.hidden_size), dtype) for _ in model.config.cell.states)
        for model in parts
    )


def read_only(states):
    """The same arrays, which nobody can write to."""
    for planes in states:
        for plane in planes:
            plane.flags.writeable = False
    return states


def silence(n, N, K, O, dtype):  # noqa: E741
    """x (n, N, K) of zeros, and a y (n, N, O) all steps of which are the same memory."""
    if not isinstance(n, int | np.integer) or isinstance(n, bool):
        raise TypeError(f"n must be an integer of at least 0; got {n!r} of type {type(n).__name__}")
    if n < 0:
        raise ValueError(f"n must be an integer of at least 0; got {n}")
    return tuple(np.broadcast_to(np.zeros((N, size), dtype), (int(n), N, size)) for size in (K, O))
