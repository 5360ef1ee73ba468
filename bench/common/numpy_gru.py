"""A GRU in NumPy: in float64 the right answer, in float32 a contestant of the speed benchmark."""

import numpy as np


def numpy_gru(state, dtype=np.float32):
    """One product for the input of all steps, then one product and a handful of ufuncs in place per step::

        r = sigmoid(W_r x + b_r + U_r h + c_r)       z = sigmoid(W_z x + b_z + U_z h + c_z)
        n = tanh(W_n x + b_n + r * (U_n h + c_n))    h' = n + z * (h - n)

    Parameters
    ----------
    state : dict of str to ndarray
        PyTorch's names and gate order r, z, n, as :class:`bench.common.problem.Problem` has them.
    dtype : dtype

    Returns
    -------
    callable
        Of x (T, N, I) and h_0 (N, H), both of `dtype`; gives y (T, N, H).
    """
    w_ih, w_hh, b_ih, b_hh = (
        np.asarray(state[name], dtype) for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    )
    w_ih, w_hh = np.ascontiguousarray(w_ih.T), np.ascontiguousarray(w_hh.T)
    hidden = len(w_hh)
    one = np.dtype(dtype).type(1)

    def gru(x, h):
        steps, rows, inputs = x.shape
        projected = x.reshape(steps * rows, inputs) @ w_ih
        projected += b_ih
        y = np.empty((steps, rows, hidden), dtype)
        for gi, out in zip(projected.reshape(steps, rows, 3 * hidden), y, strict=True):
            gh = h @ w_hh
            gh += b_hh
            gates = gi[:, : 2 * hidden] + gh[:, : 2 * hidden]
            np.negative(gates, out=gates)
            np.exp(gates, out=gates)
            gates += one
            np.reciprocal(gates, out=gates)
            n = gh[:, 2 * hidden :]
            n *= gates[:, :hidden]
            n += gi[:, 2 * hidden :]
            np.tanh(n, out=n)
            np.subtract(h, n, out=out)
            out *= gates[:, hidden:]
            out += n
            h = out
        return y

    return gru
