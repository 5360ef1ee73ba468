"""Networks: layers one after the other as one model."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from cgru import forward_chain
from cgru.chain import Chain
from cgru.gradients_chain import backpropagate_chain, record_chain
from cgru.model import Model
from cgru.network_doors import NetworkDoors
from cgru.streamed import Streamed
from cgru.threads import thread_count

if TYPE_CHECKING:

    from numpy.typing import ArrayLike

    from cgru.chain import Last
    from cgru.gradients_chain import ChainGradients, ChainTape


class Sequential(NetworkDoors, Streamed[Any, Any]):
    """A network: GRU, LSTM, RNN and Linear layers in any order, each over what the one before it gives.

    Parameters
    ----------
    layers : iterable of GRU, LSTM, RNN or Linear
        First to last; also bidirectional and stacked ones. They may be shared with others.
    last : bool or "h_n", default False
        False: y has every step. True: y (N, O) is that of each row's last valid step; Linears behind the last recurrent
        layer see that step alone. "h_n": they see that layer's final state, as where Keras's last recurrent layer has
        return_sequences=False; both directions side by side or merged, of which the backward one is at a row's first
        step. For layers that run forwards the two are the same. A row without steps gives zeros.
    skip : bool, default False
        Add the input: ``y += x[..., :O]``, O <= I.
    batch_first : bool, default False
        x and y are (N, T, features); every recurrent layer must say the same.

    Raises
    ------
    TypeError
        Something in `layers` is no such layer; a flag is no bool.
    ValueError
        No layers; sizes or dtypes that do not fit, or layouts that differ: which layers and which numbers; a skip of
        more features than x has.

    Notes
    -----
    y is, to the last bit with ``engine="packed"``, what the layers called one after the other give. A network never
    changes and may be shared by any number of threads; the GIL is released while it computes.

    Examples
    --------
    >>> import numpy as np, cgru
    >>> amplifier = cgru.Sequential([cgru.GRU(1, 40, rng=0), cgru.Linear(40, 1, rng=1)], skip=True)
    >>> stream = amplifier.stream()
    >>> stream.run(np.zeros((64, 1), np.float32)).shape
    (64, 1)
    """

    __slots__ = ()

    def __init__(
        self, layers: Iterable[Model], *, last: Last = False, skip: bool = False, batch_first: bool = False
    ) -> None:
        if not isinstance(layers, Iterable):
            raise TypeError(f"layers must be a list of models, first to last; got {type(layers).__name__}")
        layers = tuple(layers)
        for number, layer in enumerate(layers):
            if not isinstance(layer, Model):
                raise TypeError(
                    f"layers[{number}] must be a GRU, LSTM, RNN or Linear of cgru; got {type(layer).__name__}"
                )
        chain = Chain(tuple(layer.weights for layer in layers), last=last, skip=skip, batch_first=batch_first)
        object.__setattr__(self, "layers", layers)
        object.__setattr__(self, "chain", chain)

    def __call__(
        self,
        x: ArrayLike,
        hx: tuple[Any, ...] | None = None,
        *,
        lengths: ArrayLike | None = None,
        out: np.ndarray | None = None,
        threads: int = 1,
    ) -> tuple[np.ndarray, tuple[Any, ...]]:
        """Run over a sequence, a batch of sequences, sequences of different lengths, or one step (T = 1).

        Parameters
        ----------
        x : array_like
            (T, N, I), or (N, T, I) with `batch_first`, or unbatched (T, I). Never changed.
        hx : tuple, optional
            The initial state of each recurrent layer, of its own form: (num_layers * D, N, H), of an LSTM the pair
            (h_0, c_0), without N where x has none. By default, and where one is None, the stored one or zeros.
        lengths : array_like of int, optional
            (N,) valid steps of each row, 0 to T. Past them y is zero.
        out : ndarray, optional
            Where to put y: its shape and dtype, C-contiguous, not overlapping x or hx.
        threads : int, default 1
            Compute in up to this many threads; -1 is all cores that the process may use. They share the batch rows, or
            the directions and the layers, as in `GRU`; Linears go along with the recurrent layers.

        Returns
        -------
        y : ndarray
            (T, N, O), (N, T, O) or (T, O); with `last` (N, O) or (O,); `out` where given.
        hx : tuple
            The final state of each recurrent layer.

        Raises
        ------
        TypeError
            Complex, object or string input; hx that is no tuple; an out of another dtype; a list of sequences.
        ValueError
            A wrong shape; the state of another network; lengths out of range; an out that cannot be filled or overlaps
            an input.
        """
        return forward_chain.call(self, x, hx, lengths, out, threads)

    def record(
        self, x: ArrayLike, hx: tuple[Any, ...] | None = None, *, lengths: ArrayLike | None = None, threads: int = 1
    ) -> tuple[np.ndarray, tuple[Any, ...], ChainTape]:
        """Run as a call does, and keep what `backward` needs.

        Parameters
        ----------
        x, hx, lengths
            As in a call.
        threads : int, default 1
            As of a layer's `record`.

        Returns
        -------
        y, hx
            As from a call.
        tape : cgru.gradients_chain.ChainTape
            Copies of everything that the backward pass reads.

        Raises
        ------
        TypeError, ValueError
            As a call; and quantised weights, which are not trained.
        """
        return record_chain(self, x, hx, lengths, thread_count(threads))

    def backward(
        self, tape: ChainTape, dy: ArrayLike | None = None, dhx: Any = None, *, threads: int = 1
    ) -> ChainGradients:
        """Backpropagation through all layers: the gradients of a loss L, given dL/dy and dL/d(final states).

        Parameters
        ----------
        tape : cgru.gradients_chain.ChainTape
            From `record` of this very network; it is not used up.
        dy : array_like, optional
            dL/dy, of y's shape. What stands past a row's length is ignored.
        dhx : tuple, optional
            dL/d(final state) of each recurrent layer, of its form; any may be None. One of dy and dhx must be given.
        threads : int, default 1
            As of `record`. In float32 the gradients of a tape are the same, to the last bit, for any number of them.

        Returns
        -------
        cgru.gradients_chain.ChainGradients
            ``grads.x``, ``grads.hx`` (a tuple, of the initial states), and ``grads[name]`` for every name of
            `state_dict`, such as "0.weight_ih_l0".

        Raises
        ------
        TypeError
            `tape` is none; dhx is no tuple.
        ValueError
            A tape from another network; a wrong shape; neither dy nor dhx.
        ImportError
            SciPy, which gradients need, is missing or cannot be used.
        """
        return backpropagate_chain(self, tape, dy, dhx, thread_count(threads))
