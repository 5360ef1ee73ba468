"""The texts of the published cases: FORMAT.md and the head of cgru_cases.h."""

#: With count, seed, version, format, least and most.
FORMAT = """\
# Test vectors for GRUs, LSTMs and plain recurrent networks

{count} cases, format {format}, seed {seed}, written by cgru {version} (`cgru judge --write-cases DIR --seed {seed}`).
To be used by anyone, without cgru; licence BSD-3-Clause, as cgru's.

Each case is one layer in one direction: weights, an input, an initial state, and what comes out in float64.
Every hidden size from {least} to {most} occurs.

| file | what it is |
|---|---|
| cases.npz | NumPy: the array A of case C is `C.A`; `cases` is a text, the JSON of everything that is no array |
| cases.json | all of it as text; outputs are float64, all else float32: round what is read so before computing |
| cgru_cases.h | C99 and C++: `cgru_cases[CGRU_CASES_COUNT]`, an array of structs over static constants |

The three hold the same numbers.

## A case

| in JSON | in C | what it is |
|---|---|---|
| name | name | also a C identifier |
| cell: "gru", "rnn", "lstm" | cell: 0, 1, 2 | |
| input_size, hidden_size | the same | I and H |
| rows, steps | the same | N rows (sequences), T steps |
| reset_after: true, false, null | 1, 0, -1 | of a GRU, see below; null, -1: the cell has none |
| z_keeps: true, false, null | 1, 0, -1 | of a GRU, see below |
| gates | | in the order of the rows of weights: "rzn", "ifgo", "" |
| activations | activation, alpha, beta | f, g; f, g, h of an LSTM; g of an RNN (in C the last is repeated) |
| lengths: null or N integers | lengths: NULL or N int | valid steps of each row, 0 to T; null: all |
| weight_ih_l0, weight_hh_l0 | weight_ih, weight_hh | W (G H, I) and U (G H, H), G gates (an RNN: 1) below each other |
| bias_ih_l0, bias_hh_l0 | bias_ih, bias_hh | b (G H) and c (G H) |
| x | x | (T, N, I) |
| h_0, c_0 | h_0, c_0 | (N, H): initial state; c_0 of an LSTM alone, else null or absent |
| y | y | (T, N, H): h after every step |
| h_n, c_n | h_n, c_n | (N, H): the state after each row's last valid step; c_n of an LSTM alone |

Arrays are row-major. Weights, biases, x and initial states are float32, in PyTorch's layout and with PyTorch's names;
y, h_n and c_n are float64.

## The equations

With a = W x + b and q = U h + c, each cut into its gates, * elementwise:

    GRU     r = f(a_r + q_r)
            z = f(a_z + q_z)
            n = g(a_n + r * q_n)                            reset_after true: PyTorch, Keras reset_after=True
            n = g(a_n + U_n (r * h) + c_n)                  reset_after false: the paper of 2014
            h' = z * h + (1 - z) * n                        z_keeps true: PyTorch, Keras, ONNX
            h' = (1 - z) * h + z * n                        z_keeps false: the paper of 2014
    LSTM    i, f, o = f(their a + q);  g = g(a_g + q_g)
            c' = f * c + i * g;  h' = o * h(c')
    RNN     h' = g(a + q)

In every case the rows of z are used as they stand: where z_keeps is false nothing is negated and nothing is exchanged,
only the last equation is the other one. A library that has z_keeps true alone computes such a case with the rows of z
negated in W, U, b and c, since 1 - f(a) = f(-a) of the sigmoid and the hard sigmoids.

Past its length a row stands still: y is 0 there, and h_n and c_n are the state after the row's own last step; with
length 0 they are the initial state. x holds {padding} there, which must not be seen in any output.

## Activations

Of a sum a, with alpha and beta as the case gives them:

| name | number in C | function |
|---|---|---|
{functions}

## Reproducible

The seed gives the same weights, inputs and states on every machine, bit for bit: integers from PCG64, seeded with the
seed and the CRC-32 of the case's name, make decimals of four places, which are rounded to float32. A case's numbers do
not depend on other cases. Outputs are computed in float64 from the float32 numbers; their last bits depend on the
machine's libraries, so compare with a tolerance: 1e-12 for float64, 1e-5 for float32. In "saturated" cases every other
unit has biases of some 800: e^-x of that overflows where it is written without care.
"""

_FUNCTIONS = {
    "sigmoid": "1 / (1 + e^-a)",
    "tanh": "tanh a",
    "hard_sigmoid": "min(1, max(0, alpha a + beta))",
    "relu": "max(a, 0)",
    "softsign": "a / (1 + abs(a))",
    "leaky_relu": "a where a >= 0, else alpha a",
    "elu": "a where a >= 0, else alpha (e^a - 1)",
    "scaled_tanh": "alpha tanh(beta a)",
}

#: With version, seed and format.
HEADER = """\
/* Test vectors for GRUs, LSTMs and plain recurrent networks, format {format}, seed {seed}.
   Written by cgru {version}; FORMAT.md beside this file has the equations. Licence BSD-3-Clause, as cgru's. */
#ifndef CGRU_CASES_H
#define CGRU_CASES_H

#define CGRU_CASES_FORMAT {format}
#define CGRU_CASES_SEED {seed}

/* activations */
"""

TYPES = """
typedef struct cgru_case {
    const char *name;
    int cell;                                   /* 0 GRU, 1 RNN, 2 LSTM */
    int input_size, hidden_size, rows, steps;   /* I, H, N, T */
    int reset_after, z_keeps;                   /* of a GRU; else -1 */
    int activation[3];                          /* f, g (GRU); f, g, h (LSTM); g (RNN) */
    double alpha[3], beta[3];
    const int *lengths;                         /* (N), or NULL: all rows have T steps */
    const float *weight_ih, *weight_hh;         /* (G H, I), (G H, H); gates r z n or i f g o */
    const float *bias_ih, *bias_hh;             /* (G H) */
    const float *x, *h_0, *c_0;                 /* (T, N, I), (N, H), (N, H); c_0 NULL but for an LSTM */
    const double *y, *h_n, *c_n;                /* (T, N, H), (N, H), (N, H); c_n NULL but for an LSTM */
} cgru_case;

"""


def format_text(*, functions, padding, **values):
    """FORMAT.md; `functions` are the names of activations in the order of their numbers."""
    table = "\n".join(f"| {name} | {number} | {_FUNCTIONS[name]} |" for number, name in enumerate(functions))
    return FORMAT.format(functions=table, padding=padding, **values)
