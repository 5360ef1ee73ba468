"""What the tests of the backward pass share: models of every kind, a loss, and its gradients by other means."""

from dataclasses import dataclass, field

import numpy as np

from support.models import Configuration, network, pack, planes, random_sizes, random_state
from support.peers import run_torch, torch_network

#: Options that follow from a state dict.
INFERRED = ("num_layers", "bidirectional", "bias", "initial_state")


@dataclass
class Problem:
    """A model, what goes in, and the loss sum(dy * y) + sum over final states of dstate * state.

    A model with an initial state of its own is given none: `states` is empty.
    """

    configuration: Configuration
    parameters: dict
    x: np.ndarray
    states: tuple
    dy: np.ndarray
    dstates: tuple
    lengths: np.ndarray | None = None
    options: dict = field(default_factory=dict)

    @property
    def names(self):
        """Names of the initial states."""
        return tuple(f"{plane}_0" for plane in self.configuration.cell.states) if self.states else ()

    @property
    def hx(self):
        """The initial state as a model takes it."""
        return _given(self.states)

    @property
    def dh_n(self):
        """The final state's gradient as a model takes it."""
        return pack(self.dstates)

    def model(self, **changes):
        """The model, with some parameters replaced."""
        return network(self.configuration.kind).from_state_dict(self.parameters | changes, **self.options)

    def loss(self, model, x, states):
        """The loss of other inputs."""
        y, final = model(x, _given(states), lengths=self.lengths)
        return np.sum(self.dy * y) + sum(np.sum(d * s) for d, s in zip(self.dstates, planes(final), strict=True))

    def record(self, model=None):
        """y, the final state and the tape."""
        model = self.model() if model is None else model
        return model.record(self.x, self.hx, lengths=self.lengths)

    def gradients(self, model=None):
        """Name -> gradient by the backward pass: every parameter, x, h_0 (c_0)."""
        model = self.model() if model is None else model
        _, _, tape = self.record(model)
        grads = model.backward(tape, self.dy, self.dh_n)
        return dict(grads) | {name: getattr(grads, name) for name in ("x", *self.names)}

    def astype(self, dtype):
        """The same problem in another dtype."""

        def cast(array):
            return array.astype(dtype)

        return Problem(
            self.configuration, {name: cast(value) for name, value in self.parameters.items()}, cast(self.x),
            tuple(map(cast, self.states)), cast(self.dy), tuple(map(cast, self.dstates)), self.lengths, self.options,
        )  # fmt: skip


def _given(states):
    """The initial state as a model takes it."""
    return pack(states) if states else None


def random_problem(rng, configuration, *, sizes=None, lengths=None, **more):
    """A Problem with T, N, I, H all different and maybe more options; `lengths` is called with (T, N)."""
    T, N, input_size, H = random_sizes(rng, 3, 7) if sizes is None else sizes
    options = configuration.options | more
    layout = {name: options.pop(name) for name in INFERRED if name in options}
    cell = configuration.cell
    stored = layout.pop("initial_state", False)
    parameters = random_state(rng, input_size, H, kind=cell.kind, **layout)
    D = 1 + layout.get("bidirectional", False)
    leading = (N, T) if options.get("batch_first") else (T, N)
    shape = (layout.get("num_layers", 1) * D, N, H)
    if stored:
        parameters |= {f"{plane}_0": rng.normal(size=(shape[0], H)) for plane in cell.states}
    width = D * H if options.get("merge_mode", "concat") == "concat" else H
    return Problem(
        configuration, parameters, rng.normal(size=(*leading, input_size)),
        () if stored else tuple(rng.normal(size=shape) for _ in cell.states), rng.normal(size=(*leading, width)),
        tuple(rng.normal(size=shape) for _ in cell.states), None if lengths is None else lengths(T, N), options,
    )  # fmt: skip


def central_differences(problem, step=1e-5):
    """Name -> gradient, one entry at a time: (L(v + step) - L(v - step)) / 2 step."""

    def differences(value, loss):
        gradient = np.empty_like(value)
        for index in np.ndindex(value.shape):
            ends = []
            for moved in (value[index] + step, value[index] - step):
                changed = value.copy()
                changed[index] = moved
                ends.append(loss(changed))
            gradient[index] = (ends[0] - ends[1]) / (2 * step)
        return gradient

    x, states = problem.x, problem.states
    model = problem.model()
    found = {"x": differences(x, lambda v: problem.loss(model, v, states))}
    for k, name in enumerate(problem.names):
        found[name] = differences(
            states[k], lambda v, k=k: problem.loss(model, x, (*states[:k], v, *states[k + 1 :]))
        )
    for name, value in problem.parameters.items():
        found[name] = differences(value, lambda v, name=name: problem.loss(problem.model(**{name: v}), x, states))
    return found


def torch_gradients(torch, problem, dtype):
    """Name -> gradient by PyTorch's autograd."""
    network = torch_network(torch, problem.configuration, problem.parameters, dtype, **problem.options)
    x = torch.tensor(problem.x, dtype=dtype, requires_grad=True)
    states = [torch.tensor(state, dtype=dtype, requires_grad=True) for state in problem.states]
    y, final = run_torch(torch, network, x, pack(states), problem.lengths)
    given = [torch.tensor(d, dtype=dtype) for d in (problem.dy, *problem.dstates)]
    torch.autograd.backward([y, *planes(final)], given)
    found = {name: parameter.grad.numpy() for name, parameter in network.named_parameters()}
    found["x"] = x.grad.numpy()
    return found | {name: state.grad.numpy() for name, state in zip(problem.names, states, strict=True)}


def assert_same_gradients(found, expected, tolerance):
    """Every array within `tolerance` of the other, relative to its largest entry."""
    assert set(found) == set(expected)
    for name, array in expected.items():
        assert found[name].shape == array.shape, name
        scale = max(np.abs(array).max(), 1e-3)
        error = np.abs(found[name] - array).max() / scale
        assert error < tolerance, f"{name}: relative error {error:.2e}"
