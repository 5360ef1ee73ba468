"""The oracle's sequences: lengths, layouts, empty input, the gates of every step, other activations."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from support import reference
from support.models import random_sizes, random_state

# Rows of a batch and a row alone go through different BLAS kernels: equal to rounding, not to the bit.
ROUNDING = {"rtol": 0, "atol": 1e-14}

NETWORKS = ["gru_after", "gru_before", "rnn_tanh", "rnn_relu", "lstm"]


def run(network, x, state, starts, lengths=None, **options):
    """y and the tuple of last states of any network; starts is a tuple, (h_0,) or (h_0, c_0)."""
    kind, _, variant = network.partition("_")
    if kind == "lstm":
        return reference.lstm(x, state, starts, lengths, **options)
    options |= {"reset_after": variant == "after"} if kind == "gru" else {"nonlinearity": variant}
    y, h_n = getattr(reference, kind)(x, state, *starts, lengths, **options)
    return y, (h_n,)


def draw(rng, network, num_layers=2, bidirectional=True):
    """x (T, N, input_size), state and starts for a network, N at least 3."""
    T, N, input_size, H = random_sizes(rng, low=3, high=9)
    kind = network.partition("_")[0]
    state = random_state(rng, input_size, H, num_layers=num_layers, bidirectional=bidirectional, kind=kind)
    shape = (num_layers * (1 + bidirectional), N, H)
    starts = tuple(rng.normal(size=shape) for _ in range(2 if kind == "lstm" else 1))
    return rng.normal(size=(T, N, input_size)), state, starts


# --------------------------------------------------------------------------------------------- lengths


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "bidirectional"])
@pytest.mark.parametrize("padding", [1e6, np.nan])
def test_a_padded_row_is_the_row_alone(network, bidirectional, padding, rng):
    x, state, starts = draw(rng, network, bidirectional=bidirectional)
    T, N, _ = x.shape
    lengths = rng.integers(0, T + 1, size=N)
    lengths[:3] = 2, T, 0  # not sorted; the longest, the empty and one between are always there
    for row, length in enumerate(lengths):
        x[length:, row] = padding
    y, ends = run(network, x, state, starts, lengths)
    for row, length in enumerate(lengths):
        one = slice(row, row + 1)
        alone, alone_ends = run(network, x[:length, one], state, tuple(start[:, one] for start in starts))
        assert_allclose(y[:length, one], alone, **ROUNDING)
        assert_array_equal(y[length:, row], 0.0)
        for end, alone_end, start in zip(ends, alone_ends, starts, strict=True):
            assert_allclose(end[:, one], alone_end, **ROUNDING)
            if length == 0:
                assert_array_equal(end[:, row], start[:, row])


def test_full_lengths_are_no_lengths(rng):
    x, state, starts = draw(rng, "gru_after")
    y, (h_n,) = run("gru_after", x, state, starts)
    with_lengths, (h_n_with_lengths,) = run("gru_after", x, state, starts, [len(x)] * x.shape[1])
    assert_array_equal(with_lengths, y)
    assert_array_equal(h_n_with_lengths, h_n)


def test_last_states_are_found_in_the_output(rng):
    """Of the top layer: forward at each row's last valid step, backward at step 0."""
    x, state, starts = draw(rng, "gru_after")
    T, N, _ = x.shape
    lengths = rng.integers(1, T + 1, size=N)
    y, (h_n,) = run("gru_after", x, state, starts, lengths)
    H = h_n.shape[2]
    assert_array_equal(h_n[2], y[lengths - 1, np.arange(N), :H])
    assert_array_equal(h_n[3], y[0, :, H:])


@pytest.mark.parametrize("lengths", [[-1, 1, 1], [1, 6, 1], [1, 1]])
def test_impossible_lengths_are_refused(lengths, rng):
    state = random_state(rng, 2, 4)
    with pytest.raises((AssertionError, ValueError)):
        reference.gru(np.ones((5, 3, 2)), state, lengths=lengths)


# ----------------------------------------------------------------------------------- layouts and edges


@pytest.mark.parametrize("network", NETWORKS)
def test_layouts_agree(network, rng):
    x, state, starts = draw(rng, network)
    lengths = rng.integers(0, len(x) + 1, size=x.shape[1])
    y, ends = run(network, x, state, starts, lengths)
    y_first, ends_first = run(network, x.swapaxes(0, 1), state, starts, lengths, batch_first=True)
    assert_array_equal(y_first, y.swapaxes(0, 1))
    y_one, ends_one = run(network, x[:, 1], state, tuple(start[:, 1] for start in starts), lengths[1])
    assert_allclose(y_one, y[:, 1], **ROUNDING)
    for end, end_first, end_one in zip(ends, ends_first, ends_one, strict=True):
        assert_array_equal(end_first, end)
        assert_allclose(end_one, end[:, 1], **ROUNDING)


@pytest.mark.parametrize("network", NETWORKS)
def test_no_steps_and_no_rows(network, rng):
    x, state, starts = draw(rng, network)
    T, N, _ = x.shape
    D_H = 2 * starts[0].shape[2]
    y, ends = run(network, x[:0], state, starts)
    assert y.shape == (0, N, D_H)
    for end, start in zip(ends, starts, strict=True):
        assert_array_equal(end, start)
    y, ends = run(network, x[:, :0], state, tuple(start[:, :0] for start in starts))
    assert y.shape == (T, 0, D_H)
    assert ends[0].shape == (4, 0, D_H // 2)


def test_left_out_start_is_zero_and_left_out_bias_is_zero(rng):
    x, state, _ = draw(rng, "gru_after")
    no_bias = {name: values for name, values in state.items() if name.startswith("weight")}
    zero_bias = {name: values * name.startswith("weight") for name, values in state.items()}
    y, _ = reference.gru(x, no_bias)
    same, _ = reference.gru(x, zero_bias, np.zeros((4, x.shape[1], y.shape[2] // 2)))
    assert_array_equal(y, same)


def test_input_is_not_changed_and_float32_is_taken_as_it_is(rng):
    x, state, (h_0,) = draw(rng, "gru_after")
    x, h_0 = x.astype(np.float32), h_0.astype(np.float32)
    narrow = {name: values.astype(np.float32) for name, values in state.items()}
    for array in (x, h_0, *narrow.values()):
        array.flags.writeable = False
    y, h_n = reference.gru(x, narrow, h_0)
    same, _ = reference.gru(x.astype(np.float64), state, h_0.astype(np.float64))
    assert y.dtype == h_n.dtype == np.float64
    assert_array_equal(y, same)


@pytest.mark.parametrize("change", ["misspelt", "missing", "layer left out"])
def test_unusable_names_are_refused(change, rng):
    state = random_state(rng, 3, 4, num_layers=3)
    if change == "layer left out":
        state = {name: values for name, values in state.items() if "_l1" not in name}
    else:
        values = state.pop("bias_hh_l1")
        state |= {"bias_hh_l1_backward": values} if change == "misspelt" else {}
    with pytest.raises((AssertionError, KeyError)):
        reference.gru(np.ones((5, 2, 3)), state)


# ------------------------------------------------------------------- gates, activations, clip of a GRU


@pytest.mark.parametrize("reset_after", [True, False])
def test_trace_gives_the_gates_of_every_step(reset_after, rng):
    """r, z, n at (layer, direction, t, row) are those of `gru_cell` on the state before that step."""
    x, state, (h_0,) = draw(rng, "gru_after")
    T, N, _ = x.shape
    lengths = rng.integers(1, T + 1, size=N)
    lengths[0] = 0
    y, h_n, gates = reference.gru_trace(x, state, h_0, lengths, reset_after=reset_after)
    plain_y, plain_h_n = reference.gru(x, state, h_0, lengths, reset_after=reset_after)
    assert_array_equal(y, plain_y)
    assert_array_equal(h_n, plain_h_n)
    assert list(gates) == ["r", "z", "n"]

    names = [f"{kind}_l1" for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    bottom = {name: values for name, values in state.items() if "_l0" in name}
    below, _ = reference.gru(x, bottom, h_0[:2], lengths, reset_after=reset_after)
    H = h_0.shape[2]
    for suffix, k, units in (("", 2, slice(H)), ("_reverse", 3, slice(H, None))):
        weights = [state[name + suffix] for name in names]
        for row, length in enumerate(lengths):
            steps = range(length) if k == 2 else reversed(range(length))
            h = h_0[k, row]
            for t in steps:
                _, expected = reference.gru_cell(below[t, row], h, *weights, reset_after=reset_after)
                for gate in "rzn":
                    assert_allclose(gates[gate][k, t, row], expected[gate], **ROUNDING)
                z, n = gates["z"][k, t, row], gates["n"][k, t, row]
                assert_allclose(y[t, row, units], z * h + (1 - z) * n, **ROUNDING)
                h = y[t, row, units]
            for gate in "rzn":
                assert gates[gate].shape == (4, T, N, H)
                assert_array_equal(gates[gate][k, length:, row], 0.0)


def test_gates_lie_as_x_lies(rng):
    x, state, (h_0,) = draw(rng, "gru_after")
    _, _, gates = reference.gru_trace(x, state, h_0)
    _, _, first = reference.gru_trace(x.swapaxes(0, 1), state, h_0, batch_first=True)
    _, _, one = reference.gru_trace(x[:, 1], state, h_0[:, 1])
    for gate in "rzn":
        assert_array_equal(first[gate], gates[gate].swapaxes(1, 2))
        assert_allclose(one[gate], gates[gate][:, :, 1], **ROUNDING)


@pytest.mark.parametrize("reset_after", [True, False])
def test_clip_and_other_activations(reset_after, rng):
    """With f and g the identity the gates are the pre-activations themselves."""
    x, state, (h_0,) = draw(rng, "gru_after", num_layers=1, bidirectional=False)
    weights = [state[f"{kind}_l0"] for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    cell = (x[0], h_0[0], *weights)
    identity = {"f": lambda a: a, "g": lambda a: a, "reset_after": reset_after}
    _, raw = reference.gru_cell(*cell, **identity)
    limit = np.median(np.abs(raw["r"]))  # so that half of them are cut
    _, cut = reference.gru_cell(*cell, **identity, clip=limit)
    for gate in "rz":
        assert np.abs(raw[gate]).max() > limit
        assert_array_equal(cut[gate], np.minimum(np.maximum(raw[gate], -limit), limit))
    assert np.abs(cut["n"]).max() == limit
    _, usual = reference.gru_cell(*cell, reset_after=reset_after)
    assert_array_equal(usual["r"], reference.sigmoid(raw["r"]))
    assert_array_equal(usual["z"], reference.sigmoid(raw["z"]))
    _, half = reference.gru_cell(*cell, reset_after=reset_after, g=np.arctan)
    assert_allclose(np.tan(half["n"]), np.arctanh(usual["n"]), rtol=1e-12)  # the same pre-activation


def test_a_tuple_of_options_holds_one_per_direction(rng):
    x, state, (h_0,) = draw(rng, "gru_after", num_layers=1)
    H = h_0.shape[2]

    def hard_sigmoid(a):
        return np.clip(0.2 * a + 0.5, 0, 1)

    y, _ = reference.gru(x, state, h_0, f=(hard_sigmoid, reference.sigmoid), clip=(None, 0.1))
    hard, _ = reference.gru(x, state, h_0, f=hard_sigmoid)
    clipped, _ = reference.gru(x, state, h_0, clip=0.1)
    assert_array_equal(y, np.concatenate([hard[..., :H], clipped[..., H:]], axis=2))
    assert np.abs(hard - clipped).min(axis=(0, 1)).max() > 1e-6
