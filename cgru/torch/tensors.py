"""What a module's tensors must be, in PyTorch's terms, and the way from them to arrays, which copies nothing."""

import numpy as np
import torch
from torch.nn.utils.rnn import PackedSequence

DTYPES = (torch.float32, torch.float64)
_UNDER_AUTOCAST = (torch.bfloat16, torch.float16, torch.float32)
_BACK = "cgru.torch.restore(model) gives PyTorch's own modules back"


def checked_parameters(names, shapes, parameters):
    """Refuse parameters that are not of one dtype, on the CPU and of these shapes; the engines trust them."""
    dtype = getattr(parameters[0], "dtype", None)
    for name, shape, tensor in zip(names, shapes, parameters, strict=True):
        if not (isinstance(tensor, torch.Tensor) and tensor.is_cpu and tensor.dtype is dtype and tensor.shape == shape):
            _refuse(name, tensor, dtype)
            raise ValueError(f"{name} has shape {tuple(tensor.shape)}, expected {shape}")
    if dtype not in DTYPES:
        raise TypeError(
            f"the module's parameters are {dtype}, and cgru trains in float32 or float64: use .float(), or keep the "
            f"module in float32 under torch.autocast; {_BACK}"
        )


def checked(name, tensor, dtype):
    """An input or state of the parameters' dtype, dense and on the CPU."""
    if not isinstance(tensor, torch.Tensor):
        raise TypeError(f"{name} must be a tensor; got {type(tensor).__name__}")
    if tensor.dtype is not dtype and _autocast() and dtype in DTYPES and tensor.dtype in _UNDER_AUTOCAST:
        tensor = tensor.to(dtype)
    if not tensor.is_cpu or tensor.dtype is not dtype or tensor.layout is not torch.strided:
        _refuse(name, tensor, dtype)
    return tensor.resolve_neg()


def _autocast():
    try:
        return torch.is_autocast_enabled("cpu")
    except TypeError:                   # before PyTorch 2.4
        return torch.is_autocast_cpu_enabled()


def _refuse(name, tensor, dtype):
    """Raise for what is no tensor, elsewhere, of another layout or dtype."""
    if not isinstance(tensor, torch.Tensor):
        raise TypeError(f"{name} must be a tensor; got {type(tensor).__name__}")
    if not tensor.is_cpu:
        raise ValueError(
            f"{name} is on {tensor.device}, and cgru computes on the CPU: move it with .cpu(); for others {_BACK}"
        )
    if tensor.layout is not torch.strided:
        raise TypeError(f"{name} has layout {tensor.layout}, expected a dense tensor; use .to_dense()")
    if tensor.dtype is not dtype:
        raise TypeError(
            f"{name} has dtype {tensor.dtype}, the module {dtype}: convert it with .to({dtype}), or the module"
        )


def states_of(hx, count):
    """The planes of a state as PyTorch's modules take it: a tensor, of an LSTM the pair (h_0, c_0), or None."""
    if hx is None:
        return (None,) * count
    if count == 1:
        return (hx,)
    if not isinstance(hx, tuple | list) or len(hx) != count:
        raise TypeError(f"hx must be a pair (h_0, c_0); got {type(hx).__name__}")
    return tuple(hx)


def array(tensor):
    """The tensor's own memory as an array; None stays None."""
    return None if tensor is None else tensor.detach().numpy()


def gradient_array(tensor):
    """The same of what autograd hands back, which may be a view that negates."""
    return None if tensor is None else tensor.detach().resolve_neg().numpy()


class Rows:
    """Which steps of which rows a PackedSequence holds: the way from its data to (T, N, features) and back.

    Attributes
    ----------
    lengths : ndarray or None
        (N,) falling; None where all are equal.
    """

    def __init__(self, packed: PackedSequence):
        sizes = packed.batch_sizes.numpy()
        if not len(sizes) or sizes[-1] < 1 or np.any(sizes[1:] > sizes[:-1]) or sizes.sum() != len(packed.data):
            raise ValueError(
                f"input is no valid PackedSequence: batch_sizes {sizes.tolist()} do not fit data of shape "
                f"{tuple(packed.data.shape)}"
            )
        self.shape = len(sizes), int(sizes[0])
        self.lengths, self._there = None, None
        if sizes[-1] != sizes[0]:
            self._there = np.arange(sizes[0]) < sizes[:, None]
            self.lengths = self._there.sum(axis=0)

    def padded(self, data):
        """(T, N, features), zero where a row has ended; a view where none ends early."""
        if self._there is None:
            return data.reshape(*self.shape, data.shape[-1])
        whole = np.zeros((*self.shape, data.shape[-1]), data.dtype)
        whole[self._there] = data
        return whole

    def packed(self, whole):
        """The data of (T, N, features)."""
        return whole.reshape(-1, whole.shape[-1]) if self._there is None else whole[self._there]
