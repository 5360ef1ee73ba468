"""The oracle is right: hand-worked numbers, other people's forms of the equations, golden vectors, lengths.

Nothing here needs PyTorch; `test_pytorch.py` compares with it directly.
"""

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from golden import golden_cases
from support import reference
from support.models import random_sizes, random_state

# ------------------------------------------------------------------------------------- activations


@pytest.mark.parametrize("name", ["sigmoid", "tanh"])
def test_activations_are_right_to_a_few_units_in_the_last_place(name, rng):
    magnitudes = np.concatenate([10.0 ** rng.uniform(-12, 2.8, 300), [18.5, 36.5, 40.0, 700.0]])
    a = np.concatenate([magnitudes, -magnitudes])
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        got = getattr(reference, name)(a)
    units = []
    with localcontext(prec=60):
        for value, result in zip(a.tolist(), got.tolist(), strict=True):
            e = Decimal(-value).exp()
            exact = 1 / (1 + e) if name == "sigmoid" else (1 - e * e) / (1 + e * e)
            units.append(abs(Decimal(result) - exact) / Decimal(math.ulp(float(exact))))
    assert max(units) < 4


def test_activations_at_the_ends_of_the_line():
    a = np.array([-np.inf, -1e308, 0.0, 1e308, np.inf, np.nan])
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        assert_array_equal(reference.sigmoid(a), [0, 0, 0.5, 1, 1, np.nan])
        assert_array_equal(reference.tanh(a), [-1, -1, 0, 1, 1, np.nan])


# ---------------------------------------------------------------------------- one unit, worked by hand
#
# x = 2, h = 0.5, and, by rows r, z, n,
#     W = 0.3, -0.4, 0.6    b = -0.1, 0.25, -0.35    U = 0.7, 0.9, -1.1    c = 0.2, -0.15, 0.45
#
#     a_r = 0.3*2 - 0.1 + 0.7*0.5 + 0.2           = 0.6 - 0.1 + 0.35 + 0.2     =  1.05
#     r   = 1 / (1 + e^-1.05)                     = 1 / 1.349937749111155332   =  0.740774899182153994
#     a_z = -0.4*2 + 0.25 + 0.9*0.5 - 0.15        = -0.8 + 0.25 + 0.45 - 0.15  = -0.25
#     z   = 1 / (1 + e^0.25)                      = 1 / 2.284025416687741484   =  0.437823499114201896
# reset after
#     a_n = 0.6*2 - 0.35 + r*(-1.1*0.5 + 0.45)    = 0.85 - 0.1 r               =  0.775922510081784601
#     n   = tanh(a_n)                                                          =  0.650360100680866989
#     h'  = z*0.5 + (1 - z)*n                     = 0.218911749557100948 + 0.365617165716505165
#                                                                              =  0.584528915273606113
# reset before
#     a_n = 0.6*2 - 0.35 - 1.1*(r*0.5) + 0.45     = 1.3 - 0.55 r               =  0.892573805449815303
#     n   = tanh(a_n)                                                          =  0.712662656935678267
#     h'  = z*0.5 + (1 - z)*n                     = 0.218911749557100948 + 0.400642198788075564
#                                                                              =  0.619553948345176512
HAND_W, HAND_U = np.array([[0.3], [-0.4], [0.6]]), np.array([[0.7], [0.9], [-1.1]])
HAND_B, HAND_C = np.array([-0.1, 0.25, -0.35]), np.array([0.2, -0.15, 0.45])
HAND_X, HAND_H = np.array([[2.0]]), np.array([[0.5]])


@pytest.mark.parametrize(
    ("reset_after", "n", "h"),
    [(True, 0.650360100680866989, 0.584528915273606113), (False, 0.712662656935678267, 0.619553948345176512)],
)
def test_gru_cell_by_hand(reset_after, n, h):
    got, gates = reference.gru_cell(HAND_X, HAND_H, HAND_W, HAND_U, HAND_B, HAND_C, reset_after=reset_after)
    assert_allclose(gates["r"], [[0.740774899182153994]], rtol=1e-15)
    assert_allclose(gates["z"], [[0.437823499114201896]], rtol=1e-15)
    assert_allclose(gates["n"], [[n]], rtol=1e-15)
    assert_allclose(got, [[h]], rtol=1e-15)


def test_starting_equations_by_hand():
    """The numbers above again: columns [h, x], one bias b + c, and sigmoid(-a_z) = 1 - z."""
    W_r, W_z, W_h = np.array([[0.7, 0.3]]), np.array([[-0.9, 0.4]]), np.array([[-1.1, 0.6]])
    got = reference.starting_equations(
        HAND_X, HAND_H, W_r, W_z, W_h, np.array([0.1]), np.array([-0.1]), np.array([0.1])
    )
    assert_allclose(got, [[0.619553948345176512]], rtol=1e-15)


def test_rnn_by_hand():
    """The candidate's row alone: 0.6*2 - 0.35 - 1.1*0.5 + 0.45 = 0.75, and tanh(0.75)."""
    row = (HAND_W[2:], HAND_U[2:], HAND_B[2:], HAND_C[2:])
    assert_allclose(reference.rnn_cell(HAND_X, HAND_H, *row), [[0.635148952387287319]], rtol=1e-15)
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    for sign, nonlinearity, h in (
        (1, "tanh", 0.635148952387287319),
        (-1, "tanh", -0.635148952387287319),
        (1, "relu", 0.75),
        (-1, "relu", 0.0),
    ):
        state = {name: sign * values for name, values in zip(names, row, strict=True)}
        y, h_n = reference.rnn(HAND_X[None], state, HAND_H[None], nonlinearity=nonlinearity)
        assert_allclose(y, [[[h]]], rtol=1e-15)
        assert_allclose(h_n, [[[h]]], rtol=1e-15)


def test_lstm_cell_by_hand():
    """Rows i, f, g are r, z, n above; row o and the cell state are new.

    ::

        i = sigmoid(1.05) = 0.740774899182153994        f = sigmoid(-0.25) = 0.437823499114201896
        g = tanh(0.75)    = 0.635148952387287319        a_o = -0.2*2 + 0.1 + 0.8*0.5 + 0.05 = 0.15
        o = sigmoid(0.15) = 0.537429845343749549
        cell' = -0.3 f + i g   = -0.131347049734260569 + 0.470502401170343496 = 0.339155351436082927
        h'    = o tanh(cell')  = o * 0.326723119120770480                     = 0.175590755379303141
    """
    W, U = np.vstack([HAND_W, [[-0.2]]]), np.vstack([HAND_U, [[0.8]]])
    b, c = np.append(HAND_B, 0.1), np.append(HAND_C, 0.05)
    h, cell, gates = reference.lstm_cell(HAND_X, HAND_H, np.array([[-0.3]]), W, U, b, c)
    assert_allclose(gates["o"], [[0.537429845343749549]], rtol=1e-15)
    assert_allclose(cell, [[0.339155351436082927]], rtol=1e-15)
    assert_allclose(h, [[0.175590755379303141]], rtol=1e-15)


# -------------------------------------------------------------- the same equations in somebody's words


def test_gru_computes_the_starting_equations(rng):
    """[h, x] matrices to PyTorch's form: cut the columns, turn the sign of z, share one bias out over two."""
    T, N, input_size, H = random_sizes(rng)
    matrices = {gate: rng.normal(size=(H, H + input_size)) for gate in "rzh"}
    biases = {gate: rng.normal(size=H) for gate in "rzh"}
    x, h_0 = rng.normal(size=(T, N, input_size)), rng.normal(size=(N, H))
    sign = {"r": 1, "z": -1, "h": 1}
    bias, share = np.concatenate([sign[gate] * biases[gate] for gate in "rzh"]), rng.normal(size=3 * H)
    state = {
        "weight_ih_l0": np.concatenate([sign[gate] * matrices[gate][:, H:] for gate in "rzh"]),
        "weight_hh_l0": np.concatenate([sign[gate] * matrices[gate][:, :H] for gate in "rzh"]),
        "bias_ih_l0": bias - share,
        "bias_hh_l0": share,
    }
    h, expected = h_0, []
    for x_t in x:
        h = reference.starting_equations(
            x_t, h, *(matrices[gate] for gate in "rzh"), *(biases[gate] for gate in "rzh")
        )
        expected.append(h)
    y, h_n = reference.gru(x, state, h_0[None], reset_after=False)
    assert_allclose(y, expected, rtol=0, atol=1e-13)
    assert_allclose(h_n[0], h, rtol=0, atol=1e-13)
    wrong, _ = reference.gru(x, state, h_0[None], reset_after=True)
    assert np.abs(wrong - expected).max() > 0.01  # with the reset gate elsewhere it is another function


def one_row_by_scalars(x, h, W, U, b, c, reset_after):
    """One row, one direction, all steps, with Python floats and one sum per unit. Returns h of every step."""
    H, rows = len(h), []

    def total(matrix, row, vector):
        return math.fsum(matrix[row][k] * vector[k] for k in range(len(vector)))

    for x_t in x:
        r = [1 / (1 + math.exp(-(total(W, j, x_t) + b[j] + total(U, j, h) + c[j]))) for j in range(H)]
        z = [
            1 / (1 + math.exp(-(total(W, H + j, x_t) + b[H + j] + total(U, H + j, h) + c[H + j])))
            for j in range(H)
        ]
        n = []
        for j in range(H):
            row = 2 * H + j
            if reset_after:
                recurrent = r[j] * (total(U, row, h) + c[row])
            else:
                recurrent = total(U, row, [r[k] * h[k] for k in range(H)]) + c[row]
            n.append(math.tanh(total(W, row, x_t) + b[row] + recurrent))
        h = [z[j] * h[j] + (1 - z[j]) * n[j] for j in range(H)]
        rows.append(h)
    return np.array(rows)


@pytest.mark.parametrize("reset_after", [True, False])
def test_gru_against_sums_written_out_per_unit(reset_after, rng):
    """Two layers, both directions, put together here by hand."""
    T, N, input_size, H = random_sizes(rng)
    state = random_state(rng, input_size, H, num_layers=2, bidirectional=True)
    x, h_0 = rng.normal(size=(T, N, input_size)), rng.normal(size=(4, N, H))
    y, h_n = reference.gru(x, state, h_0, reset_after=reset_after)
    kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    for row in range(N):
        below = x[:, row]
        for layer in range(2):
            forward = [state[f"{kind}_l{layer}"] for kind in kinds]
            backward = [state[f"{kind}_l{layer}_reverse"] for kind in kinds]
            up = one_row_by_scalars(below, h_0[2 * layer, row], *forward, reset_after)
            down = one_row_by_scalars(below[::-1], h_0[2 * layer + 1, row], *backward, reset_after)
            assert_allclose(h_n[2 * layer, row], up[-1], rtol=0, atol=1e-14)
            assert_allclose(h_n[2 * layer + 1, row], down[-1], rtol=0, atol=1e-14)
            below = np.hstack([up, down[::-1]])
        assert_allclose(y[:, row], below, rtol=0, atol=1e-14)


@pytest.mark.parametrize("case", golden_cases(), ids=str)
def test_gru_gives_the_golden_vectors(case):
    y, h_n = reference.gru(case.x, case.state, case.h_0, case.lengths, batch_first=case.config["batch_first"])
    assert_allclose(y, case.y, rtol=0, atol=1e-14)
    assert_allclose(h_n, case.h_n, rtol=0, atol=1e-14)
    assert_allclose(y, case.y_float32, rtol=0, atol=1e-6)
    assert_allclose(h_n, case.h_n_float32, rtol=0, atol=1e-6)
