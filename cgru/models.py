"""From a file to a model."""

from cgru import files
from cgru.gru import GRU
from cgru.lstm import LSTM
from cgru.rnn import RNN

CLASSES = {"gru": GRU, "rnn": RNN, "lstm": LSTM}


def load(path, *, engine="auto"):
    """Read a model that its `save` wrote: a `GRU`, `RNN` or `LSTM`.

    Parameters
    ----------
    path : str or path-like
    engine : str, default "auto"
        As in `GRU`; a file does not hold it.

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
