"""`to_torch` of models: a module of torch.nn with the same weights; of networks, a module that runs such modules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cgru.activations import Activation
from cgru.chain import Chain
from cgru.config import Config
from cgru.convert._errors import missing
from cgru.convert.torch_activations import written_activation

if TYPE_CHECKING:
    from cgru.weights import Weights

_NONLINEARITIES = ("tanh", "relu")      # of torch.nn.RNN


def to_torch(model: Weights | Chain) -> Any:
    """A module of torch.nn that computes the same; see `Recurrent.to_torch`.

    Parameters
    ----------
    model : Weights or Chain
        Of a recurrent layer: a GRU, LSTM or RNN of torch.nn. Of a Linear: an nn.Linear, or an nn.Sequential of one and
        its activation. A Chain: see `network`.

    Raises
    ------
    ValueError
        PyTorch cannot do what it does.
    ImportError
        PyTorch is not installed.
    """
    if isinstance(model, Chain):
        refused = [(number, what) for number, layer in enumerate(model.layers) for what in _refused(layer, stored=True)]
        if refused:
            listed = ", ".join(f"{what} of layer {number}" for number, what in refused)
            raise ValueError(f"PyTorch's modules cannot have {listed}")
    elif _refused(model):
        raise ValueError(f"torch.nn.{model.config.cell.name} cannot have {', '.join(_refused(model))}")
    try:
        import torch
    except ImportError as error:
        raise missing("PyTorch", "torch", error) from error
    return _network(torch, model) if isinstance(model, Chain) else _layer(torch, model)


def _refused(weights, stored=False):
    """The options of a layer that no module of PyTorch has; a network has a place for `stored` states."""
    config, cell = weights.config, weights.config.cell
    if not config.recurrent:
        return []
    plain = Config(input_size=1, hidden_size=1, bidirectional=config.bidirectional, kind=config.kind)
    own = {"initial_state"} if stored else set()
    if config.nonlinearity in _NONLINEARITIES:
        own.add("nonlinearity")
    return [
        f"{name}={getattr(config, name)!r}"
        for name in cell.options
        if name not in own and getattr(config, name) != getattr(plain, name)
    ]


def _layer(torch, weights):
    config, cell = weights.config, weights.config.cell
    dtype = getattr(torch, weights.dtype.name)
    if config.recurrent:
        own = {"nonlinearity": config.nonlinearity} if "nonlinearity" in cell.options else {}
        module = getattr(torch.nn, cell.name)(
            config.input_size,
            config.hidden_size,
            config.num_layers,
            bias=config.bias,
            batch_first=config.batch_first,
            bidirectional=config.bidirectional,
            dtype=dtype,
            **own,
        )
    else:
        module = torch.nn.Linear(config.input_size, config.output_size, bias=config.bias, dtype=dtype)
    names = dict(module.named_parameters())
    module.load_state_dict({name: torch.from_numpy(weights.tensors[name].copy()) for name in names})
    ((activation, *_), *_) = config.activations
    if config.recurrent or activation == Activation("linear", 1.0):
        return module
    return torch.nn.Sequential(module, written_activation(torch, activation))


def _network(torch, chain):
    """A torch.nn.Module with the modules `layers` of `chain`, and what is done around them.

    ``forward(x, hx=None)`` gives y and a tuple with the final state of each recurrent layer, of which `hx` has the
    initial ones; a None in it, or for it, is zeros, or the state that is stored with the layer.
    """
    places, selects = chain.recurrent, chain.selects

    class Network(torch.nn.Module):      # type: ignore[name-defined, misc]
        """Layers one after the other."""

        def __init__(self):
            super().__init__()
            self.layers = torch.nn.ModuleList(_layer(torch, layer) for layer in chain.layers)
            for number, plane, state in _stored_states(chain):
                self.register_buffer(f"{plane}_0_{number}", torch.from_numpy(state.copy()))

        def forward(self, x, hx=None):
            """Gives y, and the final state of each recurrent layer."""
            given = (None,) * len(places) if hx is None else tuple(hx)
            if len(given) != len(places):
                raise ValueError(f"hx must have a state for each of {len(places)} recurrent layers; got {len(given)}")
            y: Any = x
            final: tuple[Any, ...] = ()
            for number, layer in enumerate(self.layers):
                if number == selects:
                    y = _one_step(torch, chain, y, final)
                if number in places:
                    state = given[len(final)]
                    y, state = layer(y, _initial_state(self, chain, number, y) if state is None else state)
                    final += (state,)
                else:
                    y = layer(y)
            if selects == len(self.layers):
                y = _one_step(torch, chain, y, final)
            if chain.skip:
                y = y + (x if selects is None else _last_step(chain, x))[..., : chain.output_size]
            return y, final

        def extra_repr(self):
            """What is done around the layers."""
            return f"last={chain.last!r}, skip={chain.skip}, batch_first={chain.batch_first}"

    return Network().eval()


def _stored_states(chain):
    """(number of the layer, name of the plane, array) of every stored state."""
    for number, layer in enumerate(chain.layers):
        for plane in layer.config.cell.states if layer.config.initial_state else ():
            yield number, plane, layer.tensors[f"{plane}_0"]


def _initial_state(network, chain, number, x):
    """The stored state of a layer for every row of its input x; None where it has none."""
    config = chain.layers[number].config
    if not config.initial_state:
        return None
    planes = [getattr(network, f"{plane}_0_{number}") for plane in config.cell.states]
    if x.dim() > 2:
        rows = x.shape[0 if chain.batch_first else 1]
        planes = [plane[:, None].expand(-1, rows, -1).contiguous() for plane in planes]
    return planes[0] if len(planes) == 1 else tuple(planes)


def _last_step(chain, x):
    return x.select(-2 if chain.batch_first else 0, -1)


def _one_step(torch, chain, y, final):
    """What the layers behind the last recurrent one see, of its y and of the final states so far."""
    if chain.last is True:
        return _last_step(chain, y)
    h = final[-1][0] if isinstance(final[-1], tuple) else final[-1]
    directions = chain.layers[chain.recurrent[-1]].config.num_directions
    return torch.cat(list(h[-directions:]), dim=-1)
