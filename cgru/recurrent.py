"""What GRU, LSTM and RNN compute, in the interface that they share: calls, training, streams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, overload

import numpy as np

from cgru import forward
from cgru import sequences as many
from cgru.checks import are_sequences
from cgru.gradients import backpropagate, record
from cgru.gradients_layers import stored_planes
from cgru.model import Model
from cgru.properties import RecurrentProperties
from cgru.streamed import Streamed
from cgru.study.views import Gates, State, StateLike, Views
from cgru.threads import thread_count

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Self

    from numpy.typing import ArrayLike

    from cgru.gradients import Gradients, Tape
    from cgru.model import StrPath


class Recurrent(
    RecurrentProperties, Model, Streamed[State, StateLike], Views[State, StateLike, Gates],
    Generic[State, StateLike, Gates],
):
    """Base of the recurrent models; use a subclass.

    A model never changes and may be shared by any number of threads; the GIL is released while it computes. Two
    models are equal where they are of one kind, configuration and dtype and have the same parameters, whatever
    engine computes them.
    """

    __slots__ = ()

    @overload
    def __call__(
        self, x: list[np.ndarray] | tuple[np.ndarray, ...], hx: StateLike | None = None, *, threads: int = 1
    ) -> tuple[list[np.ndarray], State]: ...
    @overload
    def __call__(
        self,
        x: ArrayLike,
        hx: StateLike | None = None,
        *,
        lengths: ArrayLike | None = None,
        out: np.ndarray | None = None,
        threads: int = 1,
    ) -> tuple[np.ndarray, State]: ...
    def __call__(self, x, hx=None, *, lengths=None, out=None, threads=1):
        """Run over a sequence, a batch of sequences, sequences of different lengths, or one step (T = 1).

        Parameters
        ----------
        x : array_like
            (T, N, I), or (N, T, I) with `batch_first`, or unbatched (T, I). Integers and other floats are
            converted to the model's dtype; an array of the model's dtype is not copied if its features are
            contiguous. Never changed.

            Or N sequences of different lengths: a list or tuple of arrays (T_i, I), whatever `batch_first` says,
            or a PyTorch PackedSequence. A list is taken for one of sequences where its elements are arrays of two
            dimensions (they have an `ndim`, as NumPy's, PyTorch's and JAX's), also where all are of one length;
            lists of numbers and of 1-D arrays are one array, as `numpy.asarray` makes it.
        hx : array_like, or for an LSTM (array_like, array_like), optional
            Initial state h_0 (num_layers * D, N, H), unbatched (num_layers * D, H), converted as x is; D is the
            number of directions. An LSTM takes the pair (h_0, c_0), either of which may be None. By default the
            state stored with the model, or zeros. Never changed.
        lengths : array_like of int, optional
            (N,) valid steps of each row, 0 to T, in any order. y is zero past a row's length; h_n is the row's
            state after its own last step; the backward direction starts at its own last step; a row of length 0
            returns its initial state. With `go_backwards` and an odd number of layers y is reversed as a whole, so
            the zeros stand in front: a row's states are its last ones. Not beside sequences, which have their own.
        out : ndarray, optional
            Where to put y: its shape and the model's dtype, C-contiguous, not overlapping the memory from which x
            or hx is read, whatever kind of object that is. Not for a list or a PackedSequence.
        threads : int, default 1
            Compute in up to this many threads; -1 is all cores that the process may use. They share the batch rows
            where there are enough of them; otherwise the two directions of a layer, or the layers, each a chunk of time
            behind the one below it, where that is more than about a millisecond's work. With ``engine="packed"`` the
            result is the same to the last bit for every value (of a NaN, that it is one: see `merge_mode` in `GRU`),
            with "blas" up to rounding.

        Returns
        -------
        y : ndarray
            (T, N, D * H), (N, T, D * H) or (T, D * H): the last layer's states h; `out` where given. With a
            `merge_mode` other than "concat" H in place of D * H. For a list of sequences a list of new arrays
            (T_i, D * H), each what a call with that sequence alone gives (with ``engine="packed"`` to the last bit);
            for a PackedSequence another one, of tensors of the model's dtype.
        h_n : ndarray, or for an LSTM (h_n, c_n)
            (num_layers * D, N, H) or (num_layers * D, H), layer-major, direction-minor: the final state. For a
            PackedSequence tensors, rows in the order from before it was packed.

        Raises
        ------
        TypeError
            Complex, object or string input; an LSTM's hx that is no pair; an out of another dtype; lengths or
            threads that are not integers; lengths or out beside a list of sequences.
        ValueError
            A wrong shape; lengths out of range; an out that is read-only, not contiguous or overlaps an input.

        Notes
        -----
        T = 0 and N = 0 are legal. Scratch memory does not grow with T (a chunk of steps at a time), apart from
        the output of one layer in between where there are several. A list of sequences is padded to the longest.
        """
        if type(x) is not np.ndarray and are_sequences(x):
            return many.call(self, x, hx, lengths, out, threads)
        return forward.call(self, x, hx, lengths, out, threads)

    def map(
        self, sequences: Iterable[ArrayLike], *, threads: int = -1
    ) -> Iterator[tuple[np.ndarray, State]]:
        """Run over many sequences of any lengths, each from the initial state, several at a time.

        The simplest fast way for a pile of sequences: no padding, no sorting, no batches. Each is one call, so its
        result is that of a call with it alone, to the last bit.

        Parameters
        ----------
        sequences : iterable of array_like
            Each (T_i, I), whatever `batch_first` says. It may be without end: up to ``2 * threads + 1`` sequences
            are taken before the first result is, and never more than that ahead. So every one must be an array of its
            own, not a buffer that is filled again.
        threads : int, default -1
            How many to compute at the same time; -1 is all cores that the process may use. With 1 nothing is
            computed ahead.

        Returns
        -------
        iterator of (y, h_n)
            y (T_i, D * H) and the final state (num_layers * D, H) of each, in the order given.

        Raises
        ------
        TypeError, ValueError
            As a call, in the turn of the sequence that is wrong, which is named; `threads`.

        Examples
        --------
        >>> import numpy as np, cgru
        >>> gru = cgru.GRU(3, 5, rng=0)
        >>> pile = (np.ones((T, 3), np.float32) for T in (4, 9, 2))
        >>> [y.shape for y, h_n in gru.map(pile)]
        [(4, 5), (9, 5), (2, 5)]
        """
        return many.map_sequences(self, sequences, threads)

    def record(
        self, x: ArrayLike, hx: StateLike | None = None, *, lengths: ArrayLike | None = None, threads: int = 1
    ) -> tuple[np.ndarray, State, Tape]:
        """Run as a call does, and keep what `backward` needs.

        Parameters
        ----------
        x, hx, lengths
            As in a call; no list of sequences.
        threads : int, default 1
            Compute in up to this many threads, which share the batch rows; -1 is all cores that the process may use.
            Where there is little work one does it alone.

        Returns
        -------
        y, h_n
            As from a call.
        tape : cgru.gradients.Tape
            It holds copies, so nothing that is done to x, y or hx afterwards can spoil it: x, each layer's y, and
            per layer and direction (T, N, 4H) numbers of a GRU, 5H of an LSTM, none of an RNN; 7H, 9H and H with other
            activations than sigmoid and tanh (and an RNN's relu), or with a `clip`. See ``tape.nbytes``.

        Raises
        ------
        TypeError, ValueError
            As a call; and quantised weights, which are not trained.
        """
        inputs = forward.prepare(self.weights, x, hx, lengths)
        threads = thread_count(threads)
        y, final, tape = record(self, inputs, threads=threads, stored=stored_planes(self.config, hx))
        y = np.array(inputs.layout.as_given(y), order="C")
        return y, inputs.layout.state(final), tape

    def backward(
        self, tape: Tape, dy: ArrayLike | None = None, dh_n: StateLike | None = None, *, threads: int = 1
    ) -> Gradients:
        """Backpropagation through time: the gradients of a loss L, given dL/dy and dL/dh_n.

        One step multiplies the gradient that comes back to a state by::

            GRU     dh_t / dh_{t-1} = diag(z_t) + (through z_t, r_t and n_t)
            LSTM    dc_t / dc_{t-1} = diag(f_t) + (through the gates)
            RNN     dh_t / dh_{t-1} = diag(g') W_hh

        so where a gate z or f is near 1 the gradient lives on, and an RNN's is a product of k factors after k steps,
        which vanishes or explodes.

        Parameters
        ----------
        tape : cgru.gradients.Tape
            From `record` of this very model; it is not used up.
        dy : array_like, optional
            dL/dy, of y's shape. What stands past a row's length is ignored.
        dh_n : array_like, or for an LSTM (dL/dh_n, dL/dc_n), optional
            dL/dh_n, of h_n's shape; either of an LSTM's may be None. One of dy and dh_n must be given.
        threads : int, default 1
            As of `record`. In float32 the gradients of a tape are the same, to the last bit, for any number of them.

        Returns
        -------
        cgru.gradients.Gradients
            ``grads.x`` of the shape of x, ``grads.h_0`` (and an LSTM's ``grads.c_0``) of that of the initial state,
            and ``grads[name]`` for every name of `state_dict`, all new arrays of the model's dtype. Those of a stored
            initial state, ``grads["h_0"]`` (and ``grads["c_0"]``), are sums over the rows, and zero where hx was given.

        Raises
        ------
        TypeError
            `tape` is none; an LSTM's dh_n that is no pair.
        ValueError
            A tape from another model; a wrong shape; neither dy nor dh_n.
        ImportError
            SciPy, which gradients need, is missing or cannot be used.

        Notes
        -----
        At a kink an activation has PyTorch's slope: relu 0, hard_sigmoid 0, leaky_relu and elu alpha; a `clip` 1 at its
        bounds. Scratch memory is the size of the tape of one layer and direction. The GIL is released.

        References
        ----------
        Werbos, "Backpropagation through time: what it does and how to do it", 1990.
        """
        return backpropagate(self, tape, dy, dh_n, threads=thread_count(threads))

    def replace(self, *, batch_first: bool | None = None, engine: str | None = None) -> Self:
        """The same parameters, taking x in another layout or computed by another engine.

        Raises
        ------
        TypeError
            `batch_first` is no bool.
        ValueError
            An engine that does not exist or does not compute this.
        """
        weights = self.weights if batch_first is None else self.weights.replace(batch_first=batch_first)
        return self.from_weights(weights, self.engine if engine is None else engine)

    def to_torch(self) -> Any:
        """The same model as a `torch.nn.GRU`, `LSTM` or `RNN`, with copies of the weights.

        Quantised weights become the float32 numbers that they stand for. The module made of an int8 model computes
        other outputs, since its activations are not rounded; that of a bfloat16 model the same, up to float32's
        rounding.

        Raises
        ------
        ValueError
            PyTorch's cannot do what this one does: ``reset_after=False``, other activations, ...
        ImportError
            PyTorch is not installed.
        """
        from cgru.convert.torch_write import to_torch

        return to_torch(self.weights)

    def to_onnx(self, path: StrPath, *, h_0: bool = True, lengths: bool = False) -> None:
        """Write the model as ONNX (opset 17), which ONNX Runtime and others run to the same numbers.

        Parameters
        ----------
        path : str or path-like
            Written atomically, as by `save`.
        h_0 : bool, default True
            Whether the ONNX model has an input ``h_0`` (num_layers * D, N, H), and an LSTM's a ``c_0`` too, for running
            on from an earlier state. Without it, it starts from zeros, or from the state stored with this model.
        lengths : bool, default False
            Whether it has an input ``lengths`` (N,), int32.

        Notes
        -----
        The inputs are ``x`` and what was asked for, the outputs ``y`` and ``h_n`` (and ``c_n``), in this model's
        layout. T and N are free. ONNX Runtime gives an h_n of zeros, where cgru gives h_0, for a row of length 0; it
        computes float32 only.

        Quantised weights become the float32 numbers that they stand for. The file made of an int8 model computes other
        outputs, since its activations are not rounded; that of a bfloat16 model the same, up to float32's rounding.

        Raises
        ------
        ImportError
            The package onnx is not installed: ``pip install "cgru[onnx]"``.
        OSError
            The file cannot be written.
        """
        from cgru.convert.onnx_write import write_onnx

        write_onnx(self.weights, path, h_0=h_0, lengths=lengths)
