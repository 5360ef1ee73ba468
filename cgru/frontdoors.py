"""Front doors: a model trained elsewhere, as a `GRU` in that system's own layout.

The converters are imported when they are called, so that ``import cgru`` stays fast.
"""

from cgru import engines
from cgru.gru import GRU


def _model(weights, engine):
    return GRU._from_weights(weights, engine)


def from_torch(source, *, prefix=None, batch_first=None, dtype=None, engine="auto"):
    """A GRU from PyTorch: a module, a state dict or a file.

    Parameters
    ----------
    source : torch.nn.GRU, torch.nn.GRUCell, torch.nn.Module, mapping or path
        A module that is or contains a GRU; a state dict, which may lie inside other dicts, as in checkpoints; the
        path of a ``.safetensors`` file, or of a ``.pt`` file of `torch.save`, which needs PyTorch and is read with
        ``weights_only=True``: no code in it is run.
    prefix : str, optional
        Which GRU, where there are several: what stands before ``weight_ih_l0`` (a GRUCell's ``weight_ih``), such
        as "encoder.gru.".
    batch_first : bool, optional
        As in `GRU`; by default as in the module, and False for a state dict, which does not hold it.
    dtype : dtype, optional
        float32 or float64; by default float64 where all parameters are float64, else float32.
    engine : str, default "auto"
        As in `GRU`.

    Returns
    -------
    GRU
        With PyTorch's shapes. A GRUCell is a GRU of one layer: ``gru(x_t[None], h[None])`` is its step.

    Raises
    ------
    TypeError
        Something else was given.
    ValueError
        No GRU, several (their prefixes are listed), an LSTM or RNN, or a file that is damaged or needs code run.
    OSError
        The file cannot be read.
    ImportError
        A ``.pt`` file without PyTorch.

    Examples
    --------
    >>> import torch, cgru
    >>> gru = cgru.from_torch(torch.nn.GRU(3, 5, batch_first=True))
    >>> gru.batch_first
    True
    """
    from cgru.convert.torch import weights_from_torch

    engines.check_engine(engine)
    weights = weights_from_torch(source, prefix=prefix, batch_first=batch_first, dtype=dtype)
    return _model(weights, engine)
