"""Haiku: kernels (in, out).

* GRU          w_i (I, 3H)        w_h (H, 3H)          b (3H,)
* LSTM         linear/w (I + H, 4H), rows [x, h]       linear/b (4H,)
* VanillaRNN   linear/w (I, H)    linear_1/w (H, H)    linear/b (H,)    linear_1/b (H,)

An LSTM adds 1 to its forget gate when it runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cgru.checks import real_array
from cgru.convert._build import build, canonical, joint_kernel, kernels, model_from
from cgru.convert.conventions import CONVENTIONS
from cgru.convert.untrusted.trees import Form, network_parameters

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from numpy.typing import DTypeLike

    from cgru.gru import GRU
    from cgru.lstm import LSTM
    from cgru.rnn import RNN
    from cgru.weights import Weights

_HAIKU = CONVENTIONS["haiku"]
#: A linear layer may be anybody's: an LSTM or RNN is known by the name that Haiku gives it, or asked for by its own.
_FORMS = (
    Form("gru", ("w_h", "w_i", "b")),
    Form("rnn", ("linear/w", "linear/b", "linear_1/w"), ("linear_1/b",), named=r"(.*_)?rnn(_\d+)?"),
    Form("lstm", ("linear/w", "linear/b"), named=r"(.*_)?lstm(_\d+)?"),
)


def from_haiku(
    source: Mapping[str, Any],
    name: str | None = None,
    *,
    batch_first: bool = False,
    dtype: DTypeLike | None = None,
    engine: str = "auto",
) -> GRU | LSTM | RNN:
    """A GRU from the parameters of Haiku's `hk.GRU`, an LSTM from `hk.LSTM`, an RNN from `hk.VanillaRNN`.

    Parameters
    ----------
    source : mapping
        What ``transformed.init`` gives: {"gru": {"w_i": (I, 3H), "w_h": (H, 3H), "b": (3H,)}}; of an LSTM
        {"lstm/linear": {"w": (I + H, 4H), "b": (4H,)}}; of a VanillaRNN "vanilla_rnn/linear" and
        "vanilla_rnn/linear_1".
    name : str, optional
        Which module, where there are several, or where an LSTM or RNN was given a name of its own: "memory" for
        "memory/linear".
    batch_first : bool, default False
        As `hk.dynamic_unroll` has it.
    dtype, engine
        As in `from_torch`.

    Returns
    -------
    GRU, LSTM or RNN
        A GRU resets before the product, ``reset_after=False``. Haiku's z takes the new value; the model holds the
        negated z rows instead, which is the same. In an LSTM's bias is the 1 that Haiku adds to the forget gate when
        it runs. An RNN's nonlinearity is relu.

    Raises
    ------
    TypeError
        Not a mapping.
    ValueError
        No such network, or several (they are listed).

    Warns
    -----
    UserWarning
        The parameters hold other arrays, which are left out: they are named. Not where `name` is given.
    """
    return model_from(weights_from_haiku, source, name, batch_first=batch_first, dtype=dtype, engine=engine)


def weights_from_haiku(source, name=None, *, batch_first=False, dtype=None) -> Weights:
    """`Weights` of a network in Haiku's parameters; see `from_haiku`."""
    form, found = network_parameters(source, _FORMS, name)
    cell, activations, forget = form.cell, None, 0.0
    if "w_i" in found:
        w_i, w_h, H = kernels(found["w_i"], found["w_h"], cell, ("w_i", "w_h"))
    elif "linear_1/w" in found:
        w_i, w_h, H = kernels(found["linear/w"], found["linear_1/w"], cell, ("linear/w", "linear_1/w"))
        activations = "relu"
    else:
        w_i, w_h, H = joint_kernel("linear/w", found["linear/w"], cell)
        forget = _HAIKU.forget
    biases = [
        real_array(key, found[key], (cell.stacked * H,)) for key in ("b", "linear/b", "linear_1/b") if key in found
    ]
    parameters = canonical("haiku", cell, w_i.T, w_h.T, *biases, forget=forget)
    return build(
        [[parameters]], cell=cell, dtype=dtype, reset_after=_HAIKU.reset_after, activations=activations,
        batch_first=batch_first,
    )  # fmt: skip
