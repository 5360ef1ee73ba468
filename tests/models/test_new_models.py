"""A model made of sizes: its defaults, and how its parameters are drawn."""

import numpy as np
import pytest

import cgru


def test_defaults(best):
    model = best.network(3, 5)
    assert (model.input_size, model.hidden_size, model.num_layers) == (3, 5, 1)
    assert (model.bias, model.batch_first, model.bidirectional) == (True, False, False)
    assert model.dtype == np.float32
    assert model.engine in cgru.engines.ENGINES
    own = {"gru": {"reset_after": True}, "rnn": {"nonlinearity": "tanh"}, "lstm": {}}[best.kind]
    for name, value in own.items():
        assert getattr(model, name) == value


def test_integers_of_numpy_are_sizes(best):
    model = best.model(np.int8(3), np.uint64(5), np.int32(2), bias=np.True_, bidirectional=np.False_, rng=1)
    assert repr(model) == repr(best.model(3, 5, 2, rng=1))


@pytest.mark.parametrize("bias", [True, False])
def test_drawn_parameters(best, bias):
    """Uniform in +-1/sqrt(hidden_size), the same for the same seed or Generator."""
    options = {"num_layers": 2, "bias": bias, "bidirectional": True}
    model = best.model(6, 64, rng=7, **options)
    state = model.state_dict()
    assert len(state) == 4 * (4 if bias else 2)
    for name, values in state.items():
        assert values.dtype == best.dtype
        assert 0.9 / 8 < np.abs(values).max() <= 1 / 8
        assert abs(values.mean()) < (0.02 if values.size > 100 else 0.03), name
    for source in (7, np.random.default_rng(7)):
        again = best.model(6, 64, rng=source, **options).state_dict()
        assert all(np.array_equal(again[name], state[name]) for name in state)
    assert len({values[0].tobytes() for values in state.values()}) == len(state)
    other = best.model(6, 64, **options).state_dict()
    assert not np.array_equal(other["weight_hh_l0"], state["weight_hh_l0"])


def test_shapes_of_parameters(best):
    state = best.model(3, 5).state_dict()
    rows = {"gru": 15, "rnn": 5, "lstm": 20}[best.kind]
    assert {name: values.shape for name, values in state.items()} == {
        "weight_ih_l0": (rows, 3), "weight_hh_l0": (rows, 5), "bias_ih_l0": (rows,), "bias_hh_l0": (rows,),
    }  # fmt: skip
