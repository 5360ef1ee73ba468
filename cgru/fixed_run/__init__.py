"""The fixed run: a small model of every cell form, a network, and every weight type, with the same bits everywhere.

Engine "packed" promises them wherever multiply-adds are fused; hashes.md beside this file publishes their SHA-256. The
numbers that go in come from integers alone, so that a program in any language has the same. Number k = 1, 2, ... of a
case is, with 32-bit integers that wrap around (the last step of MurmurHash3),

    s = k;  s ^= s >> 16;  s *= 0x85EBCA6B;  s ^= s >> 13;  s *= 0xC2B2AE35;  s ^= s >> 16
    ((s >> 8) - 2^23) / 2^23 * scale        in [-scale, scale), exact in float32

They fill, in row-major order: x (T, N, I), scale 2; the initial state h_0, and an LSTM's c_0, (L*D, N, H), scale 1; the
parameters, layer by layer and in each the forward direction first, weight_ih, weight_hh (scale 1/4), bias_ih, bias_hh
(scale 1/2). Two layers, both directions, sizes and lengths as below. Hashed are y, h_n and an LSTM's c_n, one after
another, row-major, little-endian.

The network is LAYERS below, one layer and direction each, and y has the first features of x added. Its numbers fill x,
h_0 of the GRU, h_0 and c_0 of the LSTM, and the parameters in the order of the layers, a Linear's weight (scale 1/4)
and bias (1/2). Hashed are y and the final states in the same order.

The cases with weights in bfloat16 and int8 start from the same numbers. weight_ih and weight_hh of all layers, and a
Linear's weight, are then rounded as `cgru/quantize.py` says, which is all that changes with bfloat16; with int8 the
products are those that are written there.
"""

from __future__ import annotations

import hashlib
from importlib import resources
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cgru import engines
from cgru.chain import Chain
from cgru.config import Config
from cgru.gru import GRU
from cgru.linear import Linear
from cgru.lstm import LSTM
from cgru.model import model_of
from cgru.quantize import WEIGHT_DTYPES
from cgru.rnn import RNN
from cgru.sequential import Sequential
from cgru.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Mapping

ENGINE = "packed"
STEPS, ROWS, INPUTS, HIDDEN = 7, 9, 13, 37
LENGTHS = (4, 7, 0, 5, 1, 3, 6, 2, 5)
#: Of the network: fields of `Config`; each layer takes what the one before it gives.
LAYERS: tuple[dict[str, Any], ...] = (
    {"kind": GRU.kind, "hidden_size": HIDDEN},
    {"kind": Linear.kind, "hidden_size": 21, "activations": "elu"},
    {"kind": LSTM.kind, "hidden_size": 29},
    {"kind": Linear.kind, "hidden_size": 10, "activations": "softmax"},
)
SCALES = {"x": 2.0, "state": 1.0, "weight": 0.25, "bias": 0.5}
#: By weight type, of an output from the stored ones, which float64 arithmetic gave of the rounded weights. With int8
#: weights that arithmetic rounds the activations too. One that is so near to a tie that another last bit of h rounds it
#: the other way moves a product by a weight times a step, at most 1/4 * 1/127 = 2e-3 here; the steps and layers that
#: follow pass it on. When it was tried, states that were off by a relative 2e-5, far more than last bits, moved outputs
#: by up to 1.6e-2, and scales that were wrong by a tenth in one matrix by 4e-2 and more. Processors with fused
#: multiply-adds have the same bits all along: no tie can part them, and their hashes are compared.
TOLERANCES = {"float32": 2e-6, "bfloat16": 2e-6, "int8": 2e-2}
#: Of the outputs every so many are stored. It divides none of the sizes, so that every unit, row and step is there.
STRIDE = 11


class Case(NamedTuple):
    """A cell form, or the network, and a weight type: a row of the table."""

    cell: str
    weights: str
    """The type of the weights."""
    kind: str
    """Empty for the network."""
    options: Mapping[str, Any]
    """Fields of `Config` beside the kind; of the network those of `Chain`."""
    layers: tuple[Mapping[str, Any], ...] = ()
    """Of the network alone."""

    @property
    def name(self) -> str:
        """Its name in hashes.md and in outputs.npz."""
        return f"{self.cell}, {self.weights}"


CASES = tuple(
    Case(cell, weights, *rest)
    for weights in ("float32", *WEIGHT_DTYPES)
    for cell, *rest in (
        ("GRU, reset after", GRU.kind, {"reset_after": True}),
        ("GRU, reset before", GRU.kind, {"reset_after": False}),
        ("LSTM", LSTM.kind, {}),
        ("RNN, tanh", RNN.kind, {}),
        ("network", "", {"skip": True}, LAYERS),
    )
)


class Inputs(NamedTuple):
    """What goes into a case."""

    weights: Weights | Chain
    x: np.ndarray
    states: tuple[np.ndarray, ...]
    """h_0, and an LSTM's c_0; of the network those of its layers one after another."""


class Outcome(NamedTuple):
    """What a case gave on one instruction set."""

    case: Case
    isa: str
    fused: bool
    """Whether its multiply-adds are fused, and the hash is promised."""
    expected: str
    """The published hash."""
    found: str
    difference: float
    """The largest from the stored outputs; NaN where there is one."""
    forms: Mapping[str, bool]
    """Other form of call -> whether it gave the same bits."""

    @property
    def passed(self) -> bool:
        """The published hash or, without fused multiply-adds, outputs near the stored ones; and all forms agree."""
        right = self.found == self.expected if self.fused else self.difference <= TOLERANCES[self.case.weights]
        return right and all(self.forms.values())


# ---- what goes in


class _Numbers:
    """The numbers of a case, in turn."""

    def __init__(self):
        self._next = 1

    def array(self, shape, scale):
        count = int(np.prod(shape))
        s = np.arange(self._next, self._next + count, dtype=np.uint32)
        self._next += count
        for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
            s ^= s >> np.uint32(shift)
            s *= np.uint32(factor)
        whole = (s >> np.uint32(8)).astype(np.int64) - (1 << 23)
        return (whole.astype(np.float32) * np.float32(scale / (1 << 23))).reshape(shape)


def _config(case, **layers):
    return Config(input_size=INPUTS, hidden_size=HIDDEN, kind=case.kind, **case.options, **layers)


def numbers(case: Case) -> Inputs:
    """What a case starts from, float32."""
    source = _Numbers()
    x = source.array((STEPS, ROWS, INPUTS), SCALES["x"])
    configs = _network(case) if case.layers else [_config(case, num_layers=2, bidirectional=True)]
    states = tuple(
        source.array((config.num_layers * config.num_directions, ROWS, config.hidden_size), SCALES["state"])
        for config in configs
        for _ in config.cell.states
    )
    layers = [Weights(config, _parameters(source, config), np.dtype(np.float32)) for config in configs]
    return Inputs(Chain(tuple(layers), **case.options) if case.layers else layers[0], x, states)


def _network(case):
    configs, features = [], INPUTS
    for layer in case.layers:
        configs.append(Config(input_size=features, **layer))
        features = configs[-1].output_size
    return configs


def _parameters(source, config):
    return {name: source.array(shape, SCALES[name.split("_")[0]]) for name, shape in config.parameters()}


def inputs(case: Case) -> Inputs:
    """What goes into a case: these numbers, the weights in the case's type."""
    given = numbers(case)
    if case.weights == "float32":
        return given
    if isinstance(given.weights, Chain):
        layers = [layer.quantize(case.weights) for layer in given.weights.layers]
        return Inputs(given.weights.with_layers(layers), given.x, given.states)
    return Inputs(given.weights.quantize(case.weights), given.x, given.states)


# ---- what comes out


def whole(given: Inputs, threads: int = 1) -> list[np.ndarray]:
    """One call: y, h_n and an LSTM's c_n; of the network y and the final states of its layers."""
    model = _model(given)
    y, final = model(given.x, _argument(given), lengths=LENGTHS, threads=threads)
    return [y, *_planes(final)]


def stepped(case: Case, given: Inputs) -> list[np.ndarray]:
    """Step by step in a stream: the network, or the first layer's forward direction.

    Returns
    -------
    list of ndarray
        What `part_of` leaves of `whole`: every row's states after its own last step, and before them the network's y.
    """
    if not isinstance(given.weights, Chain):
        part = _config(case)
        weights = Weights(part, {name: given.weights.stored[name] for name in part.shapes()})
        given = Inputs(weights, given.x, tuple(plane[:1] for plane in given.states))
    stream = _model(given).stream(ROWS, _argument(given))
    ys, final = [], [plane.copy() for plane in given.states]
    for t, x_t in enumerate(given.x):
        y = stream.step(x_t)
        y[np.less_equal(LENGTHS, t)] = 0
        ys.append(y)
        ended = np.equal(LENGTHS, t + 1)
        for plane, now in zip(final, _planes(stream.state), strict=True):
            plane[:, ended] = now[:, ended]
    return [np.stack(ys), *final] if case.layers else final


def part_of(case: Case, found: list[np.ndarray]) -> list[np.ndarray]:
    """What of `whole` a stream gives as well: all of the network, of the others h_n[:1] and c_n[:1]."""
    return found if case.layers else [plane[:1] for plane in found[1:]]


def _model(given):
    if isinstance(given.weights, Chain):
        return Sequential.from_chain(given.weights, ENGINE)
    return model_of(given.weights, ENGINE)


def _argument(given):
    """The initial states as a model takes them."""
    rest = iter(given.states)
    layers = given.weights.layers if isinstance(given.weights, Chain) else (given.weights,)
    states = [tuple(next(rest) for _ in layer.config.cell.states) for layer in layers]
    states = [planes[0] if len(planes) == 1 else planes for planes in states if planes]
    return tuple(states) if isinstance(given.weights, Chain) else states[0]


def _planes(state):
    """All arrays of final states, one after another."""
    return [plane for part in state for plane in _planes(part)] if isinstance(state, tuple) else [state]


def digest(arrays: list[np.ndarray]) -> str:
    """SHA-256 of arrays one after another, row-major, little-endian."""
    return hashlib.sha256(b"".join(array.astype("<f4").tobytes() for array in arrays)).hexdigest()


def sample(arrays: list[np.ndarray]) -> np.ndarray:
    """The numbers that are stored of the outputs."""
    return np.concatenate([array.ravel() for array in arrays])[::STRIDE]


# ---- against what is published


def published() -> dict[str, str]:
    """Case's name -> hash, of hashes.md."""
    lines = (resources.files(__package__) / "hashes.md").read_text(encoding="utf-8").splitlines()
    rows = [[word.strip() for word in line.strip("| ").split("|")] for line in lines if line.startswith("|")]
    return {f"{cell}, {weights}": sha256.strip("`") for cell, weights, sha256 in rows[2:]}


def stored() -> dict[str, np.ndarray]:
    """Case's name -> the sample of its outputs as float64 arithmetic gives them, rounded to float32."""
    with np.load(BytesIO((resources.files(__package__) / "outputs.npz").read_bytes()), allow_pickle=False) as file:
        return dict(file)


def outcomes(isa: str) -> list[Outcome]:
    """Every case that an instruction set has modules of its own for, against what is published."""
    hashes, references = published(), stored()
    with engines.using(isa):
        return [_outcome(case, isa, hashes[case.name], references[case.name]) for case in cases_of(isa)]


def cases_of(isa: str) -> list[Case]:
    """The cases that run on an instruction set: one that adds to another has int8 weights alone."""
    return [case for case in CASES if engines.module_row(isa, ENGINE, case.weights).name == isa]


def _outcome(case, isa, expected, reference):
    given = inputs(case)
    found = whole(given)
    forms = {
        "two threads": digest(whole(given, threads=2)) == digest(found),
        "step by step": digest(stepped(case, given)) == digest(part_of(case, found)),
    }
    fused, difference = engines.load(ENGINE, case.weights).FUSED, float(np.abs(sample(found) - reference).max())
    return Outcome(case, isa, fused, expected, digest(found), difference, forms)
