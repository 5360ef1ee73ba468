"""`trace` of every kind and configuration: y and the state of a plain call, and gates that make these states."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from support import reference
from support.compare import assert_close, assert_same_bits, flat
from support.models import (
    Configuration,
    build,
    draw,
    functions_of,
    network,
    planes,
    random_lengths,
    random_state,
    row_of,
)

T, N, H, INPUTS = 9, 4, 19, 3
DEPTHS = [{}, {"num_layers": 2}, {"num_layers": 2, "bidirectional": True}]


@pytest.mark.parametrize("with_lengths", [False, True])
def test_the_call_is_a_plain_one_and_shapes_are_right(best, configuration, rng, with_lengths):
    model = build(best, configuration, INPUTS, H)
    x, hx = draw(best, rng, model, T, N)
    lengths = random_lengths(rng, T, N) if with_lengths else None
    y, final, gates = model.trace(x, hx, lengths=lengths)
    assert_same_bits((y, final), model(x, hx, lengths=lengths))
    assert "".join(gates._fields) == best.cell.traced
    L = model.num_layers * (1 + model.bidirectional)
    for gate in gates:
        assert gate.shape == (L, *x.shape[:2], H) and gate.dtype == best.dtype
        if with_lengths and not model.go_backwards:     # or the padding of a second layer's input stands in front
            gate = gate.swapaxes(1, 2) if model.batch_first else gate
            assert not any(gate[:, length:, row].any() for row, length in enumerate(lengths))
    if best.kind == "rnn" and model.merge_mode == "concat" and not model.go_backwards:
        last = np.concatenate(gates.h[-(1 + model.bidirectional) :], axis=-1)
        assert_array_equal(last, y)


@pytest.mark.variants(kind="lstm")
@pytest.mark.parametrize("depth", DEPTHS, ids=repr)
@pytest.mark.parametrize("batch_first", [False, True])
def test_an_lstm_s_gates_are_the_oracle_s(rng, variant, depth, batch_first):
    state = random_state(rng, INPUTS, H, kind="lstm", **depth)
    model = variant.from_state(state, batch_first=batch_first)
    x, hx = draw(variant, rng, model, T, N)
    for lengths in (None, [3, 0, T, 5]):
        _, _, gates = model.trace(x, hx, lengths=lengths)
        _, _, expected = reference.lstm_trace(x, state, hx, lengths, batch_first=batch_first)
        assert_close(tuple(gates), tuple(expected[letter] for letter in "ifgoc"), variant.tolerance)
    _, _, gates = model.trace(x[0] if batch_first else x[:, 0], row_of(hx, 0))
    assert gates.c.shape == (len(hx[0]), T, H)


@pytest.mark.variants(kind="lstm")
def test_an_lstm_s_functions_and_clip(rng, best):
    """Of each direction its own; and the clip is not one of c."""
    groups = (("hard_sigmoid", "elu", "softsign"), ("sigmoid", "relu", "tanh"))
    state = random_state(rng, INPUTS, H, kind="lstm", bidirectional=True)
    model = best.from_state(state, activations=groups, clip=0.5)
    functions = functions_of(Configuration("lstm", "", {"activations": groups, "bidirectional": True}), best.dtype)
    x, hx = draw(best, rng, model, T, N)
    _, _, gates = model.trace(x, hx)
    _, _, expected = reference.lstm_trace(x, state, hx, clip=0.5, **functions)
    assert np.abs(gates.c).max() > 0.5
    assert_close(tuple(gates), tuple(expected[letter] for letter in "ifgoc"), 10 * best.tolerance)


@pytest.mark.variants(kind="rnn")
@pytest.mark.parametrize("depth", DEPTHS, ids=repr)
def test_an_rnn_s_states_of_every_layer(rng, variant, depth):
    """The layers one by one, each on the y of the one below."""
    state = random_state(rng, INPUTS, H, kind="rnn", **depth)
    model = variant.from_state(state)
    x, hx = draw(variant, rng, model, T, N)
    _, _, gates = model.trace(x, hx, lengths=[3, 0, T, 5])
    D, below = 1 + model.bidirectional, x
    for layer in range(model.num_layers):
        own = {name.replace(f"_l{layer}", "_l0"): a for name, a in state.items() if f"_l{layer}" in name}
        below, _ = reference.rnn(below, own, hx[layer * D :][:D], [3, 0, T, 5])
        assert_allclose(
            np.concatenate(gates.h[layer * D :][:D], axis=-1), below, rtol=0, atol=variant.tolerance
        )


@pytest.mark.parametrize("backward", ["reverse", "go_backwards"])
@pytest.mark.parametrize("num_layers", [1, 2])
def test_a_step_stands_at_the_time_of_its_input(rng, best, backward, num_layers):
    """The first layer of a reversed model does at step t what that of a plain one does at T - 1 - t."""
    state = random_state(rng, INPUTS, H, kind=best.kind, num_layers=num_layers)
    plain, model = best.from_state(state), best.from_state(state, **{backward: True})
    x, hx = draw(best, rng, model, T, N)
    for turned, gate in zip(model.trace(x, hx)[2], plain.trace(x[::-1], hx)[2], strict=True):
        assert_array_equal(turned[0], gate[0, ::-1])


@pytest.mark.parametrize("steps, rows", [(0, 2), (3, 0), (0, 0)])
def test_empty(best, steps, rows):
    model = best.model(INPUTS, 5, num_layers=2, rng=0)
    y, final, gates = model.trace(np.zeros((steps, rows, INPUTS), best.dtype))
    assert y.shape == (steps, rows, 5) and all(plane.shape == (2, rows, 5) for plane in planes(final))
    assert all(gate.shape == (2, steps, rows, 5) for gate in gates)


def test_arguments(best):
    model = best.model(INPUTS, 5, rng=0)
    x = np.zeros((2, INPUTS))
    with pytest.raises(ValueError, match="x has 4 features"):
        model.trace(np.zeros((2, 4)))
    with pytest.raises(TypeError, match="list of sequences"):
        model.trace([x, x])
    if best.kind != "gru":
        with pytest.raises(TypeError, match="z_is"):
            model.trace(x, z_is="new")
    assert len(flat(network(best.kind)(INPUTS, 5).trace(x)[:2])) == 1 + len(best.cell.states)
