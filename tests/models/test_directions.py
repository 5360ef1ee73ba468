"""What converted models bring along: reverse, go_backwards, merge modes, a stored initial state."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import cgru
from cgru.config import Config
from support import reference
from support.compare import assert_equal
from support.models import MERGES, build_from, flipped, random_lengths, random_sizes, random_state

gru = pytest.mark.variants(kind="gru")


def build(variant, state, **options):
    """A model of canonical parameters with fields of `Config` that the constructor does not offer."""
    two = "weight_ih_l0_reverse" in state
    config = Config(
        input_size=state["weight_ih_l0"].shape[1],
        hidden_size=state["weight_hh_l0"].shape[1],
        num_layers=sum(name.startswith("weight_ih") for name in state) // (1 + two),
        bidirectional=two,
        initial_state="h_0" in state,
        kind=variant.kind,
        **options,
    )
    return build_from(variant, config, {name: variant.cast(values) for name, values in state.items()})


@gru
@pytest.mark.parametrize("with_lengths", [False, True], ids=["full", "lengths"])
@pytest.mark.parametrize("batch_first", [False, True], ids=["time_first", "batch_first"])
@pytest.mark.parametrize("num_layers", [1, 2])
def test_reverse(rng, variant, with_lengths, batch_first, num_layers):
    T, N, input_size, H = random_sizes(rng)
    state = random_state(rng, input_size, H, num_layers=num_layers)
    x, h_0 = variant.cast(rng.normal(size=(T, N, input_size))), variant.cast(rng.normal(size=(num_layers, N, H)))
    lengths = random_lengths(rng, T, N) if with_lengths else np.full(N, T)
    expected, expected_h = reference.gru(flipped(x, lengths), state, h_0, lengths)
    expected = flipped(expected, lengths)
    model = build(variant, state, reverse=True, batch_first=batch_first)
    given = x.swapaxes(0, 1) if batch_first else x
    y, h_n = model(given, h_0, lengths=lengths if with_lengths else None, threads=2)
    assert_allclose(y.swapaxes(0, 1) if batch_first else y, expected, rtol=0, atol=variant.tolerance)
    assert_allclose(h_n, expected_h, rtol=0, atol=variant.tolerance)


@gru
@pytest.mark.parametrize("with_lengths", [False, True], ids=["full", "lengths"])
def test_go_backwards_leaves_the_output_reversed(rng, variant, with_lengths):
    T, N, input_size, H = random_sizes(rng)
    state = random_state(rng, input_size, H)
    x = variant.cast(rng.normal(size=(T, N, input_size)))
    lengths = random_lengths(rng, T, N) if with_lengths else None
    y, h_n = build(variant, state, go_backwards=True)(x, lengths=lengths)
    in_order, expected_h = build(variant, state, reverse=True)(x, lengths=lengths)
    assert_array_equal(y, in_order[::-1])
    assert_array_equal(h_n, expected_h)
    if lengths is None:      # the same bits as the plain model on the turned sequence
        assert_equal((y, h_n), build(variant, state)(x[::-1]))


@gru
def test_go_backwards_through_two_layers_reads_the_reversed_output(rng, variant):
    T, N, input_size, H = random_sizes(rng)
    state = random_state(rng, input_size, H, num_layers=2)
    x = variant.cast(rng.normal(size=(T, N, input_size)))
    lower = {name: values for name, values in state.items() if "l0" in name}
    upper = {name.replace("l1", "l0"): values for name, values in state.items() if "l1" in name}
    between, _ = build(variant, lower, go_backwards=True)(x)
    expected, _ = build(variant, upper, go_backwards=True)(between)
    assert_array_equal(build(variant, state, go_backwards=True)(x)[0], expected)


@gru
@pytest.mark.parametrize("merge_mode", MERGES)
@pytest.mark.parametrize("batch_first", [False, True], ids=["time_first", "batch_first"])
def test_merge_modes(rng, variant, merge_mode, batch_first):
    T, N, input_size, H = random_sizes(rng)
    state = random_state(rng, input_size, H, bidirectional=True)
    x = variant.cast(rng.normal(size=(N, T, input_size) if batch_first else (T, N, input_size)))
    lengths = random_lengths(rng, T, N)
    both, expected_h = reference.gru(x, state, lengths=lengths, batch_first=batch_first)
    expected = MERGES[merge_mode](both[..., :H], both[..., H:])
    model = build(variant, state, merge_mode=merge_mode, batch_first=batch_first)
    out = np.full(expected.shape, np.nan, variant.dtype)
    y, h_n = model(x, lengths=lengths, out=out)
    assert y is out
    assert_allclose(y, expected, rtol=0, atol=2 * variant.tolerance)
    assert_allclose(h_n, expected_h, rtol=0, atol=variant.tolerance)
    y, _ = model(x[0])      # without a batch
    assert y.shape == (x.shape[1], expected.shape[-1])
    assert model.merge_mode == merge_mode
    # exactly what NumPy makes of the two directions
    both, both_h = build(variant, state, batch_first=batch_first)(x, lengths=lengths)
    assert_equal(model(x, lengths=lengths), (MERGES[merge_mode](both[..., :H], both[..., H:]), both_h))


@pytest.mark.variants(kind="rnn")
def test_a_stored_initial_state_of_an_rnn(rng, variant):
    stored_state(rng, variant, random_state(rng, 3, 5, num_layers=2, bidirectional=True, kind="rnn"))


@gru
def test_a_stored_initial_state_is_used_where_none_is_given(rng, variant, tmp_path):
    T, N, input_size, H = random_sizes(rng)
    state = random_state(rng, input_size, H, num_layers=2, bidirectional=True)
    model = stored_state(rng, variant, state)
    model.save(tmp_path / "model.safetensors")
    x = variant.cast(rng.normal(size=(T, N, input_size)))
    for again in (
        cgru.load(tmp_path / "model.safetensors", engine=variant.engine), variant.from_state(model.state_dict())
    ):  # fmt: skip
        assert_equal(again(x), model(x))


def stored_state(rng, variant, state):
    """A model with a stored state, which is used where none is given, and only there."""
    T, N = 6, 4
    input_size, H = state["weight_ih_l0"].shape[1], state["weight_hh_l0"].shape[1]
    run = getattr(reference, variant.kind)
    h_0 = rng.normal(size=(4, H))
    x, other = variant.cast(rng.normal(size=(T, N, input_size))), variant.cast(rng.normal(size=(4, N, H)))
    model = build(variant, state | {"h_0": h_0})
    for given, rows in ((None, np.repeat(variant.cast(h_0)[:, None], N, axis=1)), (other, other)):
        y, h_n = model(x, given)
        expected, expected_h = run(x, state, rows)
        assert_allclose(y, expected, rtol=0, atol=variant.tolerance)
        assert_allclose(h_n, expected_h, rtol=0, atol=variant.tolerance)
    y, _ = model(x[:, 0])
    assert_allclose(y, run(x[:, 0], state, h_0)[0], rtol=0, atol=variant.tolerance)
    return model


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


@gru
@pytest.mark.parametrize("num_layers, in_front", [(1, True), (2, False), (3, True)])
def test_where_padding_stands_when_going_backwards(rng, best, num_layers, in_front):
    """Every layer turns the order around: with an odd number of them y is reversed, the zeros in front."""
    model = best.model(3, 5, num_layers, go_backwards=True, rng=1)
    x, lengths = best.cast(rng.normal(size=(7, 4, 3))), [3, 7, 0, 5]
    y, _ = model(x, lengths=lengths)
    for row, length in enumerate(lengths):
        valid = slice(7 - length, None) if in_front else slice(length)
        assert_allclose(y[valid, row], model(x[:length, row])[0], rtol=0, atol=best.tolerance)
        y[valid, row] = 0
    assert_array_equal(y, 0)
