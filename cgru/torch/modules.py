"""The classes: PyTorch's modules, whose forward and backward passes are cgru's."""

import sys
from typing import Any, ClassVar

import torch
from torch.nn.utils.rnn import PackedSequence

from cgru.torch.recurrence import plan_of, recurrence, with_dropout
from cgru.torch.tensors import Rows, checked, checked_parameters, states_of


class Through:
    """What the classes share: a forward that takes the place of PyTorch's.

    It has nothing of its own in an instance, so that a module of PyTorch's becomes one of these, and back, by its class
    alone (see `cgru.torch.replacing`).
    """

    kind: ClassVar[str]     # a key of cgru.cells.CELLS
    input_size: int
    hidden_size: int
    num_layers: int
    bias: bool
    batch_first: bool
    dropout: float
    bidirectional: bool
    training: bool
    _parameters: dict[str, Any]
    reset_after: bool = True
    nonlinearity: Any = None

    def forward(self, input, hx=None, *, lengths=None):
        """Run over sequences.

        Parameters
        ----------
        input : Tensor or PackedSequence
            As in PyTorch: (T, N, I), (N, T, I) with `batch_first`, or (T, I).
        hx : Tensor, or for an LSTM (Tensor, Tensor), optional
            Initial state, (num_layers * D, N, H) or (num_layers * D, H).
        lengths : sequence of int or Tensor, optional
            (N,) valid steps of each row, 0 to T, in any order, in place of a PackedSequence: see `cgru.GRU`.

        Returns
        -------
        output : Tensor or PackedSequence
        h_n : Tensor, or for an LSTM (h_n, c_n)

        Raises
        ------
        TypeError
            What is no tensor; another dtype than the parameters', or theirs is neither float32 nor float64; a layout
            that is not dense.
        ValueError
            A tensor or parameter on another device than the CPU; shapes as in `cgru.GRU`; lengths beside a
            PackedSequence.
        RuntimeError
            Under `torch.jit.trace`, which would keep the results as constants.
        """
        if torch.compiler.is_compiling() and lengths is None and isinstance(input, torch.Tensor):
            from cgru.torch import compiled

            return compiled.forward(self, input, hx)
        if "torch._dynamo" in sys.modules:      # a compiler whose graph breaks here would go on inside
            from cgru.torch.outside import outside

            return outside(self._run, input, hx, lengths)
        return self._run(input, hx, lengths)

    def _run(self, input, hx, lengths):
        if torch.jit.is_tracing():
            raise RuntimeError(
                "torch.jit.trace would keep cgru's results as constants: trace the model behind "
                "cgru.torch.restore(model), which gives PyTorch's own modules back"
            )
        plan = self._plan()
        parameters = self._own_parameters(plan.names)
        checked_parameters(plan.names, plan.shapes, parameters)
        dtype, planes = parameters[0].dtype, plan.config.cell.states
        names = ("hx",) if len(planes) == 1 else tuple([f"{plane}_0" for plane in planes])
        states = states_of(hx, len(planes))
        states = tuple([
            None if state is None else checked(name, state, dtype) for name, state in zip(names, states, strict=True)
        ])
        run = self._layer_by_layer if self.dropout and self.training and self.num_layers > 1 else recurrence
        if isinstance(input, PackedSequence):
            if lengths is not None:
                raise ValueError("lengths cannot be given beside a PackedSequence, which holds its own")
            return self._run_packed(run, plan, input, states, parameters)
        x = checked("input", input, dtype)
        y, *final = run(plan, lengths, None, x, states, parameters)
        return y, final[0] if len(final) == 1 else tuple(final)

    def _run_packed(self, run, plan, packed, states, parameters):
        """Rows stand by falling length inside, and states in the caller's order outside."""
        x = checked("input", packed.data, parameters[0].dtype)
        if x.ndim != 2:
            raise ValueError(f"the data of a PackedSequence has shape {tuple(x.shape)}, expected (steps, features)")
        rows = Rows(packed)
        if packed.sorted_indices is not None:
            states = tuple([
                None if state is None else state.index_select(1, packed.sorted_indices) for state in states
            ])
        plan = self._plan(batch_first=False)
        y, *final = run(plan, None, rows, x, states, parameters)
        if packed.unsorted_indices is not None:
            final = [plane.index_select(1, packed.unsorted_indices) for plane in final]
        y = PackedSequence(y, packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices)
        return y, final[0] if len(final) == 1 else tuple(final)

    def _layer_by_layer(self, plan, lengths, rows, x, states, parameters):
        """The same with dropout between the layers."""
        def one(x, states, parameters):
            plan = self._plan(batch_first=False, num_layers=1, input_size=x.shape[-1])
            return recurrence(plan, lengths, rows, x, states, parameters)

        turned = plan.config.batch_first and x.ndim == 3
        if x.shape[-1:] != (self.input_size,):      # else a layer would be taken for one of that size
            raise ValueError(f"input has shape {tuple(x.shape)}, expected input_size={self.input_size} features")
        y, *final = with_dropout(one, self, x.transpose(0, 1) if turned else x, states, parameters)
        return y.transpose(0, 1) if turned else y, *final

    def _plan(self, **changes):
        return plan_of(
            self.kind, changes.get("input_size", self.input_size), self.hidden_size,
            changes.get("num_layers", self.num_layers), self.bias, changes.get("batch_first", self.batch_first),
            self.bidirectional, self.reset_after, self.nonlinearity,
        )  # fmt: skip

    def _own_parameters(self, names):
        """Those of these names, asked anew at each call: any of them may be another one by now, or be computed."""
        own = self._parameters
        try:
            return [own[name] for name in names]
        except KeyError:                # parametrised: an attribute, or a property of the class
            return [getattr(self, name) for name in names]

    def _get_name(self):
        return f"cgru.torch.{type(self).__name__}"


class GRU(Through, torch.nn.GRU):
    """`torch.nn.GRU` whose forward and backward passes are cgru's, for training on the CPU.

    Parameters, their names, shapes and initial values, inputs and outputs are those of `torch.nn.GRU`, which it
    is a subclass of; state dicts go both ways. With ``h`` the old state, and z keeping it::

        n = tanh(W_in x + b_in + r * (W_hn h + b_hn))        reset_after=True, as in PyTorch
        n = tanh(W_in x + b_in + W_hn (r * h) + b_hn)        reset_after=False

    Parameters
    ----------
    input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device, dtype
        As in `torch.nn.GRU`; it computes on the CPU only, in float32 or float64. The masks of dropout are PyTorch's:
        a seed gives those that it gives `torch.nn.GRU`.
    reset_after : bool, default True
        As in `cgru.GRU`.

    Raises
    ------
    TypeError, ValueError
        As by `torch.nn.GRU`, and where an argument is none of it, such as `proj_size`.

    Notes
    -----
    Between forward and backward it keeps, beside x and y, (T, N, 4H) numbers per layer and direction, of an LSTM 5H, of
    an RNN none. PyTorch's own rule holds: what was changed in place in between is noticed, and an error. Gradients of
    gradients are not available. It computes in as many threads as `torch.get_num_threads` says, where there is enough
    work. `cgru.from_torch` makes a `cgru.GRU` of it.

    Examples
    --------
    >>> import torch, cgru.torch
    >>> gru = cgru.torch.GRU(3, 5)
    >>> y, h_n = gru(torch.zeros(7, 2, 3))
    >>> y.sum().backward()
    >>> gru.weight_hh_l0.grad.shape
    torch.Size([15, 5])
    """

    kind = "gru"
    __module__ = "cgru.torch"       # its name in files of torch.save, whatever file it stands in

    def __init__(
        self, input_size, hidden_size, num_layers=1, bias=True, batch_first=False, dropout=0.0, bidirectional=False,
        device=None, dtype=None, *, reset_after=True, **others,
    ):  # fmt: skip
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device=device, dtype=dtype,
            **others,
        )  # fmt: skip
        if reset_after is not True:     # its own only where it is not PyTorch's
            self.reset_after = reset_after
        self._plan()

    def extra_repr(self):
        """PyTorch's, and `reset_after` where it is another than PyTorch's."""
        return super().extra_repr() + ("" if self.reset_after else ", reset_after=False")


class LSTM(Through, torch.nn.LSTM):
    """`torch.nn.LSTM` whose forward and backward passes are cgru's, for training on the CPU.

    Everything as in `GRU`; its state is the pair (h, c).

    Parameters
    ----------
    input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device, dtype
        As in `torch.nn.LSTM` and `GRU`.
    proj_size : int, default 0
        In PyTorch's place; only 0, for there are no projections.

    Raises
    ------
    TypeError, ValueError
        As by `torch.nn.LSTM`; a `proj_size` other than 0.

    Examples
    --------
    >>> import torch, cgru.torch
    >>> lstm = cgru.torch.LSTM(3, 5, num_layers=2, dropout=0.25)
    >>> y, (h_n, c_n) = lstm(torch.zeros(7, 2, 3))
    >>> y.shape, c_n.shape
    (torch.Size([7, 2, 5]), torch.Size([2, 2, 5]))
    """

    kind = "lstm"
    __module__ = "cgru.torch"

    def __init__(
        self, input_size, hidden_size, num_layers=1, bias=True, batch_first=False, dropout=0.0, bidirectional=False,
        proj_size=0, device=None, dtype=None,
    ):  # fmt: skip
        if proj_size != 0:
            raise ValueError(
                f"proj_size must be 0 here; got {proj_size!r}: cgru has no projections; use torch.nn.LSTM, or a "
                "torch.nn.Linear behind this one"
            )
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device=device, dtype=dtype
        )
        self._plan()


class RNN(Through, torch.nn.RNN):
    """`torch.nn.RNN` whose forward and backward passes are cgru's, for training on the CPU.

    Everything as in `GRU`.

    Parameters
    ----------
    input_size, hidden_size, num_layers, nonlinearity, bias, batch_first, dropout, bidirectional, device, dtype
        As in `torch.nn.RNN` and `GRU`; the nonlinearity is "tanh" or "relu".

    Raises
    ------
    TypeError, ValueError
        As by `torch.nn.RNN`.
    """

    kind = "rnn"
    __module__ = "cgru.torch"

    def __init__(
        self, input_size, hidden_size, num_layers=1, nonlinearity="tanh", bias=True, batch_first=False, dropout=0.0,
        bidirectional=False, device=None, dtype=None, **others,
    ):  # fmt: skip
        super().__init__(
            input_size, hidden_size, num_layers, nonlinearity, bias, batch_first, dropout, bidirectional,
            device=device, dtype=dtype, **others,
        )  # fmt: skip
        self._plan()


#: Those of PyTorch, and who takes their place.
CLASSES = {torch.nn.GRU: GRU, torch.nn.LSTM: LSTM, torch.nn.RNN: RNN}
