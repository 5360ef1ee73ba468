"""Neural Amp Modeler's .nam files of architecture "LSTM": JSON with one flat list of weights.

As its core reads them (NeuralAmpModelerCore, NAM/lstm.cpp) and its trainer writes them (neural-amp-modeler,
nam/models/recurrent.py), layer by layer:

* W (4H, I + H) row by row, columns [x, h], rows i, f, g, o; bias (4H,)
* the state to begin with: h_0 (H,), c_0 (H,)

and then the head's weight (O, H) row by row and its bias (O,). "config" has input_size, hidden_size and num_layers, and
in newer files out_channels, O, which else is 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from cgru.cells import CELLS
from cgru.checks import check_dtype, check_size, real_array
from cgru.convert._build import Parameters, build
from cgru.convert._errors import naming
from cgru.convert.chains import ChainBuilder, NotAChain
from cgru.convert.json_files import json_object

if TYPE_CHECKING:
    import os

    from numpy.typing import DTypeLike

    from cgru.chain import Chain

_LSTM = CELLS["lstm"]


def chain_from_nam(
    source: Mapping[str, Any] | str | os.PathLike[str],
    *,
    dtype: DTypeLike | None = None,
    batch_first: bool = False,
) -> Chain:
    """The LSTM and its head in a .nam file of Neural Amp Modeler.

    The state that the file holds becomes the LSTM's `initial_state`. Neural Amp Modeler's players run half a second of
    silence through a network before they use it: `stream.prewarm(sample_rate // 2)` does that. The sample rate, levels
    and names stand beside the weights and are not read.

    Parameters
    ----------
    source : path or dict
        The file, or what `json.load` makes of it.
    dtype : dtype, default float32
    batch_first : bool, default False

    Raises
    ------
    TypeError
        Neither a path nor a dict.
    NotAChain
        A ValueError: another architecture.
    ValueError
        No JSON, or no .nam; more or fewer weights than its sizes ask for.
    OSError
        The file cannot be read.
    """
    dtype = check_dtype("float32" if dtype is None else dtype)
    with naming(source):
        model = json_object(source, "a dict with architecture, config and weights")
        config = _config(model)
        I, H, L = (check_size(name, config.get(name)) for name in ("input_size", "hidden_size", "num_layers"))  # noqa: E741
        O = check_size("out_channels", config.get("out_channels", 1))       # noqa: E741
        numbers = _Numbers(_weights(model, I, H, L, O))
        layers, starts = [], []
        for layer in range(L):
            size = H if layer else I
            weight = numbers.take(4 * H, size + H)
            layers.append([Parameters(weight[:, :size], weight[:, size:], numbers.take(4 * H))])
            starts.append((numbers.take(H), numbers.take(H)))
        builder = ChainBuilder()
        initial = [np.stack(state) for state in zip(*starts, strict=True)]
        builder.recurrent(build(layers, cell=_LSTM, dtype=np.float64, initial=initial))
        builder.dense(numbers.take(O, H), numbers.take(O))
        return builder.chain(batch_first=batch_first, dtype=dtype)


def _config(model):
    """The sizes, of an architecture that is a chain."""
    architecture, config = model.get("architecture"), model.get("config")
    if not isinstance(architecture, str) or not isinstance(config, Mapping):
        raise ValueError("this is no .nam file: it has no architecture with its config")
    if architecture == "Linear":
        raise NotAChain(
            "the architecture 'Linear' is a filter, not a recurrent network; in NumPy, with n = receptive_field and "
            "bias the weight behind these, or 0: y = numpy.convolve(x, weights[:n][::-1])[: len(x)] + bias"
        )
    if architecture != _LSTM.name:
        raise NotAChain(
            f"the architecture {architecture!r} is no chain of recurrent and dense layers, as 'LSTM' is: run it in "
            "NeuralAmpModelerCore"
        )
    return config


def _weights(model, I, H, L, O):  # noqa: E741
    """The list of weights, as long as these sizes ask for."""
    numbers = real_array("weights", model.get("weights"), (None,))
    expected = 4 * H * (I + H) + (L - 1) * 8 * H * H + L * 6 * H + O * (H + 1)
    if len(numbers) != expected:
        outputs = f", out_channels={O}" if O > 1 else ""
        raise ValueError(
            f"it has {len(numbers)} weights, expected {expected} for an LSTM with input_size={I}, hidden_size={H}, "
            f"num_layers={L}{outputs}"
        )
    return numbers


class _Numbers:
    """A flat array that is taken piece by piece."""

    def __init__(self, flat):
        self._flat, self._at = flat, 0

    def take(self, *shape):
        """The next numbers in this shape."""
        start, self._at = self._at, self._at + int(np.prod(shape))
        return self._flat[start : self._at].reshape(shape)
