"""From a file to a model."""

from cgru import files
from cgru.gru import GRU
from cgru.recurrent import StrPath


def load(path: StrPath, *, engine: str = "auto") -> GRU:
    """Read a model that `GRU.save` wrote.

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
    return GRU._from_weights(files.load(path), engine)
