"""A PyTorch module that trains through cgru: `cgru.torch.GRU`. The only module of cgru that imports PyTorch."""

import dataclasses

import numpy as np

try:
    import torch
except ImportError as error:
    raise ImportError(
        "cgru.torch needs PyTorch, which is not installed: pip install torch (https://pytorch.org); "
        "cgru.GRU trains without it, see its record and backward"
    ) from error

from torch.autograd.function import once_differentiable
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

import cgru
from cgru.config import Config
from cgru.forward import prepare
from cgru.gradients import backpropagate, record
from cgru.weights import Weights


class GRU(torch.nn.GRU):
    """`torch.nn.GRU` whose forward and backward passes are cgru's, for training on the CPU.

    Parameters, their names, shapes and initial values, inputs and outputs are those of `torch.nn.GRU`, which it
    is a subclass of; state dicts go both ways. With ``h`` the old state, and z keeping it::

        n = tanh(W_in x + b_in + r * (W_hn h + b_hn))        reset_after=True, as in PyTorch
        n = tanh(W_in x + b_in + W_hn (r * h) + b_hn)        reset_after=False

    Parameters
    ----------
    input_size, hidden_size, num_layers, bias, batch_first, bidirectional, device, dtype
        As in `torch.nn.GRU`; the CPU only, float32 or float64.
    dropout : float, default 0.0
        Only 0: there is no dropout between the layers.
    reset_after : bool, default True
        As in `cgru.GRU`.

    Raises
    ------
    ValueError
        dropout other than 0.

    Notes
    -----
    Between forward and backward it keeps, beside x and y, (T, N, 4H) numbers per layer and direction. PyTorch's own
    rule holds: what was changed in place in between is noticed, and an error. Gradients of gradients are not
    available. `cgru.from_torch` makes a `cgru.GRU` of it (with ``reset_after=True``).

    Examples
    --------
    >>> import torch, cgru.torch
    >>> gru = cgru.torch.GRU(3, 5)
    >>> y, h_n = gru(torch.zeros(7, 2, 3))
    >>> y.sum().backward()
    >>> gru.weight_hh_l0.grad.shape
    torch.Size([15, 5])
    """

    def __init__(
        self, input_size, hidden_size, num_layers=1, bias=True, batch_first=False, dropout=0.0, bidirectional=False,
        device=None, dtype=None, *, reset_after=True,
    ):  # fmt: skip
        if dropout != 0:
            raise ValueError(f"dropout must be 0 here; got {dropout!r}: stack single layers, with dropout between")
        self._config = Config(
            input_size=input_size, hidden_size=hidden_size, num_layers=num_layers, bias=bias,
            batch_first=batch_first, bidirectional=bidirectional, reset_after=reset_after,
        )  # fmt: skip
        super().__init__(
            input_size, hidden_size, num_layers, bias=bias, batch_first=batch_first, bidirectional=bidirectional,
            device=device, dtype=dtype,
        )  # fmt: skip

    def forward(self, input, hx=None, *, lengths=None):
        """Run over sequences.

        Parameters
        ----------
        input : Tensor or PackedSequence
            As in `torch.nn.GRU`: (T, N, I), (N, T, I) with `batch_first`, or (T, I).
        hx : Tensor, optional
            Initial state, (num_layers * D, N, H) or (num_layers * D, H).
        lengths : sequence of int or Tensor, optional
            (N,) valid steps of each row, 0 to T, in any order, in place of a PackedSequence: see `cgru.GRU`.

        Returns
        -------
        output : Tensor or PackedSequence
        h_n : Tensor

        Raises
        ------
        TypeError, ValueError
            A tensor of another dtype or device than the CPU; shapes as in `cgru.GRU`; lengths beside a
            PackedSequence.
        """
        if isinstance(input, PackedSequence):
            if lengths is not None:
                raise ValueError("lengths cannot be given beside a PackedSequence, which holds its own")
            return self._forward_packed(input, hx)
        parameters = self._checked(input, hx)
        if lengths is not None:
            lengths = np.asarray(lengths)
        tensors = [tensor for tensor in (input, hx, *parameters.values()) if tensor is not None]
        if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
            return _Recurrence.apply(self._config, tuple(parameters), lengths, input, hx, *parameters.values())
        model = _model(self._config, parameters)
        y, h_n = model(input.detach().numpy(), None if hx is None else hx.detach().numpy(), lengths=lengths)
        return torch.from_numpy(y), torch.from_numpy(h_n)

    def _forward_packed(self, packed, hx):
        x, lengths = pad_packed_sequence(packed, self.batch_first)
        y, h_n = self.forward(x, hx, lengths=lengths)
        if packed.sorted_indices is not None:
            y = y.index_select(0 if self.batch_first else 1, packed.sorted_indices)
            lengths = lengths[packed.sorted_indices]
        data, sizes, _, _ = pack_padded_sequence(y, lengths, self.batch_first)
        return PackedSequence(data, sizes, packed.sorted_indices, packed.unsorted_indices), h_n

    def _checked(self, x, hx):
        """Parameters by name, once they, x and hx are known to be of one dtype and on the CPU."""
        parameters = dict(self.named_parameters())
        dtype = self.weight_ih_l0.dtype
        given = {"input": x} | ({} if hx is None else {"hx": hx}) | parameters
        for name, tensor in given.items():
            if not isinstance(tensor, torch.Tensor):
                raise TypeError(f"{name} must be a tensor; got {type(tensor).__name__}")
            if tensor.device.type != "cpu":
                raise ValueError(f"{name} is on {tensor.device}, cgru computes on the CPU; move it with .cpu()")
            if tensor.dtype != dtype or dtype not in (torch.float32, torch.float64):
                raise TypeError(f"{name} has dtype {tensor.dtype}, the module {dtype}; use float32 or float64 for all")
        return parameters


def _model(config, parameters):
    """A cgru.GRU over the tensors' own memory."""
    arrays = {name: np.ascontiguousarray(tensor.detach().numpy()) for name, tensor in parameters.items()}
    return cgru.GRU.from_weights(Weights.unchecked(config, arrays))


class _Recurrence(torch.autograd.Function):
    """The forward and backward pass of a cgru.GRU, as PyTorch's autograd wants them."""

    @staticmethod
    def forward(ctx, config, names, lengths, x, hx, *parameters):
        model = _model(config, dict(zip(names, parameters, strict=True)))
        inputs = prepare(model.weights, x.detach().numpy(), None if hx is None else hx.detach().numpy(), lengths)
        y, final, tape = record(model, inputs, copy_x=False)
        y = torch.from_numpy(inputs.layout.as_given(y))
        h_n = torch.from_numpy(inputs.layout.state(final))
        # Saved, not kept: PyTorch frees them when the graph goes, and notices changes in place. A tape of lengths
        # has copies of x and y of its own.
        arrays = [torch.from_numpy(array) for array in (*tape.xs, *tape.gates)]
        shared = [x, *parameters] + ([y] if lengths is None else [])
        ctx.save_for_backward(*arrays, *shared)
        ctx.model, ctx.tape, ctx.layers = model, dataclasses.replace(tape, xs=(), gates=()), len(tape.xs)
        ctx.arrays = len(arrays)
        return y, h_n

    @staticmethod
    @once_differentiable
    def backward(ctx, dy, dh_n):
        arrays = [tensor.numpy() for tensor in ctx.saved_tensors[: ctx.arrays]]
        tape = dataclasses.replace(ctx.tape, xs=arrays[: ctx.layers], gates=arrays[ctx.layers :])
        need_x = ctx.needs_input_grad[3]
        grads = backpropagate(ctx.model, tape, dy.numpy(), dh_n.numpy(), need_x=need_x)
        dx = torch.from_numpy(grads.x) if need_x else None
        dh_0 = torch.from_numpy(grads.h_0) if ctx.needs_input_grad[4] else None
        parameters = (torch.from_numpy(gradient) for gradient in grads.values())
        return None, None, None, dx, dh_0, *parameters
