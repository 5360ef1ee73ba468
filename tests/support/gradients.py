"""What the tests of the backward pass share: models of every kind, a loss, and its gradients by other means."""

from dataclasses import dataclass, field

import numpy as np

import cgru
from cases import random_sizes, random_state


@dataclass(frozen=True)
class Kind:
    """A kind of network: its class here, its oracle's letters, its options."""

    name: str
    cell: str
    options: dict = field(default_factory=dict)

    @property
    def network(self):
        """The name of the class, here and in torch.nn."""
        return self.cell.upper()

    @property
    def states(self):
        """Names of the initial states."""
        return ("h_0", "c_0") if self.cell == "lstm" else ("h_0",)

    def model(self, state, **options):
        """The model with these parameters."""
        return getattr(cgru, self.network).from_state_dict(state, **self.options, **options)

    def pack(self, states):
        """A tuple of states as the model takes and returns it."""
        return tuple(states) if self.cell == "lstm" else states[0]


KINDS = [
    Kind("gru_after", "gru"),
    Kind("gru_before", "gru", {"reset_after": False}),
    Kind("rnn_tanh", "rnn"),
    Kind("rnn_relu", "rnn", {"nonlinearity": "relu"}),
    Kind("lstm", "lstm"),
]


@dataclass
class Problem:
    """A model, what goes in, and the loss sum(dy * y) + sum over final states of dstate * state."""

    kind: Kind
    parameters: dict
    x: np.ndarray
    states: tuple
    dy: np.ndarray
    dstates: tuple
    lengths: np.ndarray | None = None
    options: dict = field(default_factory=dict)

    def model(self, **changes):
        """The model, with some parameters replaced."""
        return self.kind.model(self.parameters | changes, **self.options)

    def loss(self, model, x, states):
        """The loss of other inputs."""
        y, final = model(x, self.kind.pack(states), lengths=self.lengths)
        final = final if self.kind.cell == "lstm" else (final,)
        return np.sum(self.dy * y) + sum(np.sum(d * s) for d, s in zip(self.dstates, final, strict=True))

    def gradients(self, model=None):
        """Name -> gradient by the backward pass: every parameter, x, h_0 (c_0)."""
        model = self.model() if model is None else model
        _, _, tape = model.forward(self.x, self.kind.pack(self.states), lengths=self.lengths, tape=True)
        grads = model.backward(tape, self.dy, self.kind.pack(self.dstates))
        return dict(grads) | {name: getattr(grads, name) for name in ("x", *self.kind.states)}

    def astype(self, dtype):
        """The same problem in another dtype."""

        def cast(array):
            return array.astype(dtype)

        return Problem(
            self.kind, {name: cast(value) for name, value in self.parameters.items()}, cast(self.x),
            tuple(map(cast, self.states)), cast(self.dy), tuple(map(cast, self.dstates)), self.lengths, self.options,
        )  # fmt: skip


def random_problem(rng, kind, *, sizes=None, num_layers=1, bidirectional=False, bias=True, lengths=None, **options):
    """A Problem with T, N, I, H all different; `lengths` is called with (T, N)."""
    T, N, input_size, H = random_sizes(rng, 3, 7) if sizes is None else sizes
    layout = {"num_layers": num_layers, "bidirectional": bidirectional, "bias": bias}
    parameters = random_state(rng, input_size, H, kind=kind.cell, **layout)
    D = 1 + bidirectional
    leading = (N, T) if options.get("batch_first") else (T, N)
    shape = (num_layers * D, N, H)
    return Problem(
        kind, parameters, rng.normal(size=(*leading, input_size)), tuple(rng.normal(size=shape) for _ in kind.states),
        rng.normal(size=(*leading, D * H)), tuple(rng.normal(size=shape) for _ in kind.states),
        None if lengths is None else lengths(T, N), options,
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
    for k, name in enumerate(problem.kind.states):
        found[name] = differences(
            states[k], lambda v, k=k: problem.loss(model, x, (*states[:k], v, *states[k + 1 :]))
        )
    for name, value in problem.parameters.items():
        found[name] = differences(value, lambda v, name=name: problem.loss(problem.model(**{name: v}), x, states))
    return found


def torch_network(torch, problem, dtype):
    """The same network in torch.nn."""
    parameters = problem.parameters
    layers = 1 + max(int(name.split("_l")[1].split("_")[0]) for name in parameters)
    network = getattr(torch.nn, problem.kind.network)(
        problem.x.shape[-1], problem.states[0].shape[-1], layers, bias="bias_ih_l0" in parameters,
        bidirectional="weight_ih_l0_reverse" in parameters, dtype=dtype, **problem.kind.options, **problem.options,
    )  # fmt: skip
    network.load_state_dict({name: torch.tensor(value, dtype=dtype) for name, value in parameters.items()})
    return network


def torch_gradients(torch, problem, dtype):
    """Name -> gradient by PyTorch's autograd."""
    network = torch_network(torch, problem, dtype)
    x = torch.tensor(problem.x, dtype=dtype, requires_grad=True)
    states = [torch.tensor(state, dtype=dtype, requires_grad=True) for state in problem.states]
    pack, pad = torch.nn.utils.rnn.pack_padded_sequence, torch.nn.utils.rnn.pad_packed_sequence
    fed = x
    if problem.lengths is not None:
        fed = pack(x, torch.from_numpy(problem.lengths), network.batch_first, enforce_sorted=False)
    y, final = network(fed, problem.kind.pack(states))
    if problem.lengths is not None:
        y, _ = pad(y, network.batch_first, total_length=x.shape[1 if network.batch_first else 0])
    final = final if isinstance(final, tuple) else (final,)
    given = [torch.tensor(d, dtype=dtype) for d in (problem.dy, *problem.dstates)]
    torch.autograd.backward([y, *final], given)
    found = {name: parameter.grad.numpy() for name, parameter in network.named_parameters()}
    found["x"] = x.grad.numpy()
    return found | {name: state.grad.numpy() for name, state in zip(problem.kind.states, states, strict=True)}


def assert_same_gradients(found, expected, tolerance):
    """Every array within `tolerance` of the other, relative to its largest entry."""
    assert set(found) == set(expected)
    for name, array in expected.items():
        assert found[name].shape == array.shape, name
        scale = max(np.abs(array).max(), 1e-3)
        error = np.abs(found[name] - array).max() / scale
        assert error < tolerance, f"{name}: relative error {error:.2e}"
