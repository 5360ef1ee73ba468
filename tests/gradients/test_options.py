"""The backward pass of what only some models have: other activations, clip, reversed and merged directions, h_0."""

import dataclasses

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import cgru
from cgru import engines
from cgru.activations import DEFAULTS
from cgru.cells import CELLS
from cgru.weights import Weights
from support.compare import assert_equal
from support.gradients import assert_same_gradients, central_differences, random_problem
from support.models import Configuration, configurations, network, pack, planes, random_lengths

special = pytest.mark.configurations(form="")
LENGTHS = {"full": None, "lengths": lambda T, N: np.array([2, T, 0, 1, T - 1, 2, T][:N])}
with_and_without = pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)

#: Each activation, one without its default parameters where it takes any.
ACTIVATIONS = [
    *(name for name in DEFAULTS if DEFAULTS[name] == (0.0, 0.0)),
    ("hard_sigmoid", 0.25, 0.375), ("linear", -0.75, 0.125), ("leaky_relu", 0.25), ("elu", 1.5),
    ("scaled_tanh", 1.7, 0.6),
]  # fmt: skip
FORMS = [("gru", {}), ("gru", {"reset_after": False}), ("lstm", {}), ("rnn", {})]
forms = pytest.mark.parametrize("kind, form", FORMS, ids=["after", "before", "lstm", "rnn"])


def with_activations(kind, form, chosen, **more):
    """A configuration whose every function is `chosen`, a tuple with one for each direction."""
    functions = CELLS[kind].functions
    groups = tuple(one if len(functions) == 1 else (one,) * len(functions) for one in chosen)
    name = "nonlinearity" if len(functions) == 1 else "activations"
    return Configuration(kind, f"{chosen}", form | {name: groups if len(groups) > 1 else groups[0]} | more)


# ---- against central differences


@forms
@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
@pytest.mark.parametrize("clip", [None, 0.4])
def test_each_activation(rng, kind, form, activation, clip):
    """Of every function of a cell; the clip is one that many sums are beyond."""
    one = with_activations(kind, form, (activation,), clip=clip)
    problem = random_problem(rng, one, sizes=(5, 3, 2, 4))
    assert_same_gradients(problem.gradients(), central_differences(problem, 1e-6), 1e-6)
    single = problem.astype(np.float32)
    assert_same_gradients(single.gradients(), problem.gradients(), 1e-5)
    assert problem.model().config.is_plain == (kind == "rnn" and clip is None and activation in ("tanh", "relu"))


@forms
@with_and_without
def test_two_directions_of_which_one_is_plain(rng, kind, form, lengths):
    """In both orders, and beside another one."""
    usual = {"gru": ("sigmoid", "tanh"), "lstm": ("sigmoid", "tanh", "tanh"), "rnn": "relu"}[kind]
    other = {"gru": ("softsign", "elu"), "lstm": ("elu", "softsign", "gelu"), "rnn": "softsign"}[kind]
    name = "nonlinearity" if kind == "rnn" else "activations"
    for groups in ((usual, other), (other, usual)):
        one = Configuration(kind, "each way", form | {name: groups, "bidirectional": True, "num_layers": 2})
        problem = random_problem(rng, one, sizes=(6, 5, 2, 3), lengths=lengths)
        assert_same_gradients(problem.gradients(), central_differences(problem, 1e-6), 1e-6)


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("way", ["reverse", "go_backwards"])
@with_and_without
def test_reversed_stacks(rng, kind, layers, way, lengths):
    one = Configuration(kind, way, {way: True, "num_layers": layers, "clip": 2.5})
    problem = random_problem(rng, one, sizes=(5, 6, 2, 3), lengths=lengths)
    assert_same_gradients(problem.gradients(), central_differences(problem, 1e-6), 1e-6)


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("mode", ["sum", "mul", "ave"])
@with_and_without
def test_merged_directions(rng, kind, mode, lengths):
    one = Configuration(kind, mode, {"bidirectional": True, "merge_mode": mode, "initial_state": True})
    problem = random_problem(rng, one, sizes=(5, 6, 2, 3), lengths=lengths)
    assert_same_gradients(problem.gradients(), central_differences(problem, 1e-6), 1e-6)


# ---- instruction sets, engines, dtypes


@special
@pytest.mark.variants(engine=("packed", "blas"))
def test_every_engine_and_instruction_set(rng, variant, configuration):
    """Sizes that fill no block; float32 beside float64."""
    problem = random_problem(rng, configuration, sizes=(6, 4, 18, 35), lengths=lambda T, N: random_lengths(rng, T, N))
    with dataclasses.replace(variant, engine="blas", name="float64", isa=engines.isas_usable()[-1]).selected():
        expected = problem.gradients()
    problem = problem.astype(variant.dtype)
    found = problem.gradients(of_engine(variant, problem))
    assert_same_gradients(found, expected, 1e-12 if variant.name == "float64" else 1e-5)


def of_engine(variant, problem):
    """The problem's model on a variant's engine."""
    return problem.model().replace(engine=variant.engine)


@special
@pytest.mark.variants(engine="packed", fused=True)
def test_a_record_has_the_bits_of_a_call(rng, variant, configuration):
    for lengths in LENGTHS.values():
        problem = random_problem(rng, configuration, sizes=(6, 5, 3, 18), lengths=lengths).astype(np.float32)
        model = of_engine(variant, problem)
        y, final, _ = problem.record(model)
        assert_equal((y, final), model(problem.x, problem.hx, lengths=problem.lengths))


# ---- slopes at kinks


def slopes(dtype, points, **options):
    """d h' / d x of an RNN with one unit, h' = g(x)."""
    state = {"weight_ih_l0": np.ones((1, 1)), "weight_hh_l0": np.zeros((1, 1))}
    model = cgru.RNN.from_state_dict(state, dtype=dtype, **options)
    x = np.array(points, dtype).reshape(1, -1, 1)
    y, _, tape = model.record(x)
    return model.backward(tape, np.ones_like(y)).x.ravel()


POINTS = [-3, -2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2, 3]


@pytest.mark.parametrize("name", [
    "relu", "hard_sigmoid", "leaky_relu", "elu", "softsign", "silu", "gelu", "softplus", "tanh", "sigmoid",
])  # fmt: skip
@pytest.mark.parametrize("clip", [None, 1.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_slopes_at_kinks_are_pytorch_s(torch, name, clip, dtype):
    x = torch.tensor(POINTS, dtype=torch.float64, requires_grad=True)
    given = x if clip is None else torch.clamp(x, -clip, clip)
    if name == "hard_sigmoid":      # with kinks at +-2, where it is 0 and 1 without rounding
        torch.nn.functional.hardsigmoid(1.5 * given).sum().backward()       # its 1/6 is a float32
    else:
        getattr(torch.nn.functional, name)(given).sum().backward()
    nonlinearity = (name, 0.25, 0.5) if name == "hard_sigmoid" else name
    tolerance = 3e-7 if dtype == np.float32 else 1e-8 if name == "hard_sigmoid" else 1e-15
    found = slopes(dtype, POINTS, nonlinearity=nonlinearity, clip=clip)
    assert_allclose(found, x.grad.numpy(), rtol=0, atol=tolerance)


# ---- stored states


@pytest.mark.parametrize("kind", CELLS)
@with_and_without
def test_a_given_state_leaves_the_stored_one_without_a_gradient(rng, kind, lengths):
    one = Configuration(kind, "stored", {"initial_state": True, "num_layers": 2})
    problem = random_problem(rng, one, sizes=(5, 4, 3, 6), lengths=lengths)
    model, names = problem.model(), [f"{plane}_0" for plane in CELLS[kind].states]
    stored = [np.repeat(problem.parameters[name][:, None], 4, axis=1) for name in names]
    *_, tape = model.record(problem.x, lengths=problem.lengths)
    without = model.backward(tape, problem.dy, problem.dh_n)
    *_, tape = model.record(problem.x, pack(stored), lengths=problem.lengths)
    given = model.backward(tape, problem.dy, problem.dh_n)
    for name in names:
        assert_array_equal(getattr(given, name), getattr(without, name))
        assert_allclose(without[name], getattr(without, name).sum(axis=1), rtol=1e-12, atol=1e-14)
        assert np.abs(without[name]).min() > 0 and not given[name].any()
    for name in set(model.state_dict()) - set(names):
        assert_array_equal(given[name], without[name])
    if kind == CELLS["lstm"].kind:      # either alone
        *_, tape = model.record(problem.x, (None, stored[1]), lengths=problem.lengths)
        half = model.backward(tape, problem.dy, problem.dh_n)
        assert_array_equal(half["h_0"], without["h_0"])
        assert not half["c_0"].any()


@pytest.mark.parametrize("T, N", [(0, 3), (4, 0)])
def test_a_stored_state_where_there_are_no_steps_or_rows(rng, T, N):
    one = Configuration("gru", "stored", {"initial_state": True})
    problem = random_problem(rng, one, sizes=(T, N, 2, 5))
    assert_allclose(problem.gradients()["h_0"], problem.dstates[0].sum(axis=1))


# ---- padding, tapes


@special
def test_padding_is_not_looked_at(rng, configuration):
    problem = random_problem(rng, configuration, sizes=(6, 5, 3, 4), lengths=LENGTHS["lengths"])
    expected, config = problem.gradients(), problem.model().config
    x, dy = (a.swapaxes(0, 1) if config.batch_first else a for a in (problem.x, problem.dy))
    dy = dy[::-1] if config.leaves_reversed else dy
    for bad in (np.nan, np.inf):
        for row, length in enumerate(problem.lengths):
            x[length:, row] = bad
            dy[length:, row] = bad
        assert_same_gradients(problem.gradients(), expected, 1e-15)


@special
def test_a_tape_stays_right(rng, configuration):
    """Whatever becomes of what went in and came out."""
    problem = random_problem(rng, configuration, sizes=(6, 5, 3, 4))
    expected, model = problem.gradients(), problem.model()
    x = problem.x.copy()
    y, final, tape = model.record(x, problem.hx)
    for array in (x, y, *planes(final)):
        array[...] = np.nan
    grads = model.backward(tape, problem.dy, problem.dh_n)
    assert_same_gradients(dict(grads) | {name: getattr(grads, name) for name in ("x", *problem.names)}, expected, 1e-15)


@pytest.mark.parametrize("kind, numbers", [("gru", 7), ("lstm", 9), ("rnn", 1)])
def test_a_tape_with_a_clip_says_its_size(kind, numbers):
    T, N, input_size, H = 9, 4, 3, 8
    model = network(kind)(input_size, H, num_layers=2, clip=1.0, rng=0)
    *_, tape = model.record(np.zeros((T, N, input_size), np.float32))
    gates, ys, states = 2 * T * N * numbers * H, 2 * T * N * H, 2 * N * H * len(CELLS[kind].states)
    assert tape.nbytes == 4 * (T * N * input_size + gates + ys + states)


# ---- networks


NETWORKS = {
    "go_backwards at the end": ([("gru", 4, {"clip": 0.5}), ("lstm", 5, {"go_backwards": True})], {}),
    "go_backwards, last": ([("gru", 4, {"go_backwards": True}), ("linear", 3, {"activation": "gelu"})], {"last": True}),
    "go_backwards, h_n": ([("rnn", 4, {"go_backwards": True}), ("linear", 3, {})], {"last": "h_n"}),
    "go_backwards inside": (
        [("rnn", 4, {"go_backwards": True, "nonlinearity": "softsign"}), ("gru", 3, {}), ("linear", 2, {})], {}
    ),
} | {
    f"{mode}, h_n": ([("lstm", 4, {"bidirectional": True, "merge_mode": mode}), ("linear", 3, {})], {"last": "h_n"})
    for mode in ("sum", "mul", "ave")
}  # fmt: skip


#: With lengths a call refuses these: something would look for the padding of a reversed y at its end.
NO_LENGTHS = ("go_backwards, last", "go_backwards inside")


@pytest.mark.parametrize("name, with_lengths", [
    (name, with_lengths) for name in NETWORKS for with_lengths in (False, True)
    if not with_lengths or name not in NO_LENGTHS
])  # fmt: skip
def test_networks(rng, name, with_lengths):
    """Every gradient of a network against central differences of its calls."""
    layers, options = NETWORKS[name]
    T, N, features, models = 5, 4, 2, []
    for kind, size, own in layers:
        of_kind = cgru.Linear if kind == "linear" else network(kind)
        models.append(of_kind(features, size, dtype=np.float64, rng=len(models), **own))
        features = models[-1].config.output_size
    net = cgru.Sequential(models, **options)
    lengths = np.array([3, T, 0, 1]) if with_lengths else None
    values = net.state_dict() | {"x": rng.normal(size=(T, N, 2))}
    y, _, tape = net.record(values["x"], lengths=lengths)
    assert_allclose(y, net(values["x"], lengths=lengths)[0], rtol=0, atol=1e-14)
    dy = rng.normal(size=y.shape)
    grads = net.backward(tape, dy)

    def loss(changed):
        parts = []
        for number, model in enumerate(models):
            own = {key.partition(".")[2]: a for key, a in changed.items() if key.partition(".")[0] == str(number)}
            parts.append(type(model).from_weights(Weights(model.config, own), model.engine))
        return np.sum(dy * cgru.Sequential(parts, **options)(changed["x"], lengths=lengths)[0])

    for key, value in values.items():
        found, moved = grads.x if key == "x" else grads[key], rng.choice(value.size, min(value.size, 6), replace=False)
        for index in (np.unravel_index(flat, value.shape) for flat in moved):
            ends = []
            for step in (1e-6, -1e-6):
                changed = value.copy()
                changed[index] += step
                ends.append(loss(values | {key: changed}))
            assert found[index] == pytest.approx((ends[0] - ends[1]) / 2e-6, abs=1e-7), key


def test_the_list_has_every_option():
    """What these tests run over: every option of every kind."""
    for kind, cell in CELLS.items():
        names = {name for one in configurations(kind=kind, form="") for name in one.options}
        assert set(cell.options) - {"reset_after"} <= names
