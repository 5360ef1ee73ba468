"""Random parameters and inputs for tests: sizes all different, nothing zero, nothing constant."""

import numpy as np

GATES = {"rnn": 1, "gru": 3, "lstm": 4}


def random_sizes(rng, low=2, high=8):
    """T, N, input_size, H: four different integers from low..high."""
    return (int(size) for size in rng.choice(np.arange(low, high + 1), size=4, replace=False))


def random_state(rng, input_size, H, *, num_layers=1, bidirectional=False, bias=True, kind="gru"):
    """Parameters under PyTorch's names, uniform in +-1/sqrt(H) as PyTorch draws them; float64.

    The values are float32 numbers, so that a cast to float32 changes nothing. `kind` is a key of GATES.
    """
    rows = GATES[kind] * H
    directions = 2 if bidirectional else 1
    state = {}
    for layer in range(num_layers):
        for suffix in ("", "_reverse")[:directions]:
            shapes = {"weight_ih": (rows, directions * H if layer else input_size), "weight_hh": (rows, H)}
            if bias:
                shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
            for name, shape in shapes.items():
                values = rng.uniform(-1, 1, shape) / np.sqrt(H)
                state[f"{name}_l{layer}{suffix}"] = float32_values(values)
    return state


def float32_values(a):
    """The nearest float32 numbers, as float64."""
    return np.asarray(a, dtype=np.float32).astype(np.float64)


def random_lengths(rng, T, N):
    """N lengths from 1..T in no order, the first one not the longest and the longest T."""
    lengths = rng.integers(1, T + 1, size=N)
    lengths[rng.integers(1, N)] = T
    lengths[0] = rng.integers(1, T)
    return lengths
