"""From a file to a model."""

from typing import Any

from cgru import files
from cgru.gru import GRU
from cgru.lstm import LSTM
from cgru.recurrent import Recurrent, StrPath
from cgru.rnn import RNN

CLASSES: dict[str, type[Recurrent]] = {"gru": GRU, "rnn": RNN, "lstm": LSTM}


def load(path: StrPath, *, engine: str = "auto") -> Any:
    """Read a model that its `save` wrote: a `GRU`, `RNN` or `LSTM`.

    Parameters
    ----------
    path : str or path-like
    engine : str, default "auto"
        As in `GRU`; a file does not hold it.

    Returns
    -------
    GRU, RNN or LSTM

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        It is truncated, no safetensors file, without or with an unknown format version, or its tensors do not
        fit its configuration.
    """
    weights = files.load(path)
    return CLASSES[weights.config.cell]._from_weights(weights, engine)
