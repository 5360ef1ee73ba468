"""What converted models bring along: reverse, go_backwards, merge modes, a stored initial state."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import cgru
from support import reference
from support.models import random_lengths, random_sizes, random_state
from cgru.weights import Config, Weights
from support.variants import Variant


def build(best, state, **options):
    """A model of canonical parameters with fields of `Config` that the constructor does not offer."""
    two = "weight_ih_l0_reverse" in state
    config = Config(
        input_size=state["weight_ih_l0"].shape[1],
        hidden_size=state["weight_hh_l0"].shape[1],
        num_layers=sum(name.startswith("weight_ih") for name in state) // (1 + two),
        bidirectional=two,
        initial_state="h_0" in state,
        **options,
    )
    weights = Weights(config, {name: best.cast(values) for name, values in state.items()})
    return cgru.GRU._from_weights(weights, best.engine)


def flipped(x, lengths):
    """x (T, N, I) with every row's valid part reversed, zeros behind it."""
    result = np.zeros_like(x)
    for row, length in enumerate(lengths):
        result[:length, row] = x[:length, row][::-1]
    return result


@pytest.mark.parametrize("with_lengths", [False, True], ids=["full", "lengths"])
@pytest.mark.parametrize("batch_first", [False, True], ids=["time_first", "batch_first"])
@pytest.mark.parametrize("num_layers", [1, 2])
def test_reverse(rng, best: Variant, with_lengths, batch_first, num_layers):
    T, N, input_size, H = random_sizes(rng)
    state = random_state(rng, input_size, H, num_layers=num_layers)
    x, h_0 = best.cast(rng.normal(size=(T, N, input_size))), best.cast(rng.normal(size=(num_layers, N, H)))
    lengths = random_lengths(rng, T, N) if with_lengths else np.full(N, T)
    expected, expected_h = reference.gru(flipped(x, lengths), state, h_0, lengths)
    expected = flipped(expected, lengths)
    model = build(best, state, reverse=True, batch_first=batch_first)
    given = x.swapaxes(0, 1) if batch_first else x
    y, h_n = model(given, h_0, lengths=lengths if with_lengths else None, threads=2)
    assert_allclose(y.swapaxes(0, 1) if batch_first else y, expected, rtol=0, atol=best.tolerance)
    assert_allclose(h_n, expected_h, rtol=0, atol=best.tolerance)


@pytest.mark.parametrize("with_lengths", [False, True], ids=["full", "lengths"])
def test_go_backwards_leaves_the_output_reversed(rng, best: Variant, with_lengths):
    T, N, input_size, H = random_sizes(rng)
    state = random_state(rng, input_size, H)
    x = best.cast(rng.normal(size=(T, N, input_size)))
    lengths = random_lengths(rng, T, N) if with_lengths else None
    y, h_n = build(best, state, go_backwards=True)(x, lengths=lengths)
    in_order, expected_h = build(best, state, reverse=True)(x, lengths=lengths)
    assert_array_equal(y, in_order[::-1])
    assert_array_equal(h_n, expected_h)


def test_go_backwards_through_two_layers_reads_the_reversed_output(rng, best: Variant):
    T, N, input_size, H = random_sizes(rng)
    state = random_state(rng, input_size, H, num_layers=2)
    x = best.cast(rng.normal(size=(T, N, input_size)))
    lower = {name: values for name, values in state.items() if "l0" in name}
    upper = {name.replace("l1", "l0"): values for name, values in state.items() if "l1" in name}
    between, _ = build(best, lower, go_backwards=True)(x)
    expected, _ = build(best, upper, go_backwards=True)(between)
    assert_array_equal(build(best, state, go_backwards=True)(x)[0], expected)


MERGES = {
    "concat": lambda a, b: np.concatenate([a, b], axis=-1),
    "sum": np.add,
    "mul": np.multiply,
    "ave": lambda a, b: (a + b) / 2,
}


@pytest.mark.parametrize("merge_mode", MERGES)
@pytest.mark.parametrize("batch_first", [False, True], ids=["time_first", "batch_first"])
def test_merge_modes(rng, best: Variant, merge_mode, batch_first):
    T, N, input_size, H = random_sizes(rng)
    state = random_state(rng, input_size, H, bidirectional=True)
    x = best.cast(rng.normal(size=(N, T, input_size) if batch_first else (T, N, input_size)))
    lengths = random_lengths(rng, T, N)
    both, expected_h = reference.gru(x, state, lengths=lengths, batch_first=batch_first)
    expected = MERGES[merge_mode](both[..., :H], both[..., H:])
    model = build(best, state, merge_mode=merge_mode, batch_first=batch_first)
    out = np.full(expected.shape, np.nan, best.dtype)
    y, h_n = model(x, lengths=lengths, out=out)
    assert y is out
    assert_allclose(y, expected, rtol=0, atol=2 * best.tolerance)
    assert_allclose(h_n, expected_h, rtol=0, atol=best.tolerance)
    y, _ = model(x[0])      # without a batch
    assert y.shape == (x.shape[1], expected.shape[-1])


def test_a_stored_initial_state_is_used_where_none_is_given(rng, best: Variant, tmp_path):
    T, N, input_size, H = random_sizes(rng)
    state = random_state(rng, input_size, H, num_layers=2, bidirectional=True)
    h_0 = rng.normal(size=(4, H))
    x, other = best.cast(rng.normal(size=(T, N, input_size))), best.cast(rng.normal(size=(4, N, H)))
    model = build(best, state | {"h_0": h_0})
    model.save(tmp_path / "model.safetensors")
    for one in (model, cgru.load(tmp_path / "model.safetensors", engine=best.engine)):
        for given, rows in ((None, np.repeat(best.cast(h_0)[:, None], N, axis=1)), (other, other)):
            y, h_n = one(x, given)
            expected, expected_h = reference.gru(x, state, rows)
            assert_allclose(y, expected, rtol=0, atol=best.tolerance)
            assert_allclose(h_n, expected_h, rtol=0, atol=best.tolerance)
        y, _ = one(x[:, 0])
        assert_allclose(y, reference.gru(x[:, 0], state, h_0)[0], rtol=0, atol=best.tolerance)
    again = cgru.GRU.from_state_dict(model.state_dict(), engine=best.engine)
    assert_array_equal(again(x)[0], model(x)[0])


@pytest.mark.parametrize(
    "options",
    [
        {"bidirectional": True, "reverse": True},
        {"bidirectional": True, "go_backwards": True},
        {"reverse": True, "go_backwards": True},
        {"merge_mode": "sum"},
        {"merge_mode": "sum", "bidirectional": True, "num_layers": 2},
        {"merge_mode": "max", "bidirectional": True},
    ],
    ids=str,
)
def test_what_does_not_go_together_is_refused(options):
    with pytest.raises(ValueError, match=r"merge_mode|exclude"):
        Config(input_size=3, hidden_size=5, **options)
