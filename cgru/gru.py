"""The GRU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cgru import engines
from cgru.equations import weights_from_equations
from cgru.recurrent import Recurrent
from cgru.study.trace import GRUGates, trace

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from numpy.typing import ArrayLike, DTypeLike

    from cgru.model import Rng


class GRU(Recurrent[np.ndarray, "ArrayLike", GRUGates], kind="gru"):
    r"""Gated recurrent unit, one or several layers, one or two directions.

    For every layer and direction, with s the logistic function and * elementwise::

        r_t = s(W_ir x_t + b_ir + W_hr h_{t-1} + b_hr)
        z_t = s(W_iz x_t + b_iz + W_hz h_{t-1} + b_hz)
        n_t = tanh(W_in x_t + b_in + r_t * (W_hn h_{t-1} + b_hn))        reset_after=True
        n_t = tanh(W_in x_t + b_in + W_hn (r_t * h_{t-1}) + b_hn)        reset_after=False
        h_t = (1 - z_t) * n_t + z_t * h_{t-1}

    Parameters are drawn uniformly from +-1/sqrt(hidden_size). For trained ones see `from_state_dict`,
    `from_equations` and `cgru.load`.

    Parameters
    ----------
    input_size : int
        Features I of x.
    hidden_size : int
        Hidden units H.
    num_layers : int, default 1
        Layers; each takes the one below it as input.
    bias : bool, default True
        Whether there are biases b_ih and b_hh.
    batch_first : bool, default False
        x and y are (N, T, features) in place of (T, N, features). Does not concern h_0 and h_n.
    dropout : float, default 0.0
        In PyTorch's place; only 0.0, for there is no dropout between the layers.
    bidirectional : bool, default False
        A second set of weights runs from the end to the start; y holds both side by side.
    reset_after : bool, default True
        Where the reset gate acts, see above: PyTorch, cuDNN and Keras's default, or the equations of 2014.
        Weights made for one are wrong for the other.
    activations : (f, g), or one such pair per direction, optional
        f in place of s and g in place of tanh: each a name or (name, alpha, beta), see `cgru.activations.DEFAULTS`
        for names, formulas and default parameters. Such as ``("hard_sigmoid", "tanh")``.
    clip : float, optional
        What goes into the activations is clamped to [-clip, clip], as by ONNX's `clip`.
    reverse : bool, default False
        The only direction runs from the end (with `lengths`, from each row's own) to the start; y is put back in
        order, and h_n is the state after the first step.
    go_backwards : bool, default False
        The same with y left in the reversed order, as in Keras: ``y[-1]`` belongs to ``x[0]``. Every layer turns
        the order around, so with an even number of them y is in order. With `lengths`, the zeros of a reversed y
        stand in front of a row's states.
    merge_mode : {"concat", "sum", "mul", "ave"}, default "concat"
        How y is made of the two directions of one bidirectional layer: side by side, or as their sum, product or
        mean, (T, N, H). Where both directions of sum, mul or ave are NaN, y is NaN, but which of the two it is (sign
        and payload) is not promised: that alone may differ between a batch and a single row.
    initial_state : array_like, optional
        (num_layers * D, H), D the number of directions: the state at which every row starts where a call is given
        no `hx`, kept with the parameters, as "h_0" in `state_dict`. By default rows start from zeros.
    dtype : dtype, default numpy.float32
        float32 or float64, of parameters, computation and results.
    engine : {"auto", "packed", "blas"}, default "auto"
        What computes: "packed" (float32) or "blas". "auto" takes "packed" for float32 where the machine has fused
        multiply-adds; the property `engine` says which it was. "blas" needs SciPy.
    rng : None, int, sequence of int or numpy.random.Generator, optional
        Seed or source of the random parameters.

    Raises
    ------
    TypeError
        A size is not an integer (bool is not one), a flag is no bool, dropout is one, or dtype is not float32 or
        float64.
    ValueError
        A size is below 1 or over the limit of BLAS's 32-bit integers, there is no such engine,
        or dropout is not 0.
    ImportError
        Engine "blas" computes, and SciPy is missing or cannot be used.

    Notes
    -----
    A model is immutable and may be shared by any number of threads; the GIL is released while it computes.

    Source of the equations: Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder", 2014, and
    Chung et al., "Empirical Evaluation of Gated Recurrent Neural Networks on Sequence Modeling", 2014, in the form
    of PyTorch's `nn.GRU`, where z keeps the old state.

    Examples
    --------
    >>> import numpy as np, cgru
    >>> gru = cgru.GRU(3, 5, rng=0)
    >>> y, h_n = gru(np.zeros((7, 2, 3), np.float32))
    >>> y.shape, h_n.shape
    ((7, 2, 5), (1, 2, 5))
    """

    __slots__ = ()

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        reset_after: bool = True,
        activations: Any = None,
        clip: float | None = None,
        reverse: bool = False,
        go_backwards: bool = False,
        merge_mode: str = "concat",
        initial_state: ArrayLike | None = None,
        dtype: DTypeLike = np.float32,
        engine: str = "auto",
        rng: Rng = None,
    ) -> None:
        self._draw(
            dropout, dtype, engine, rng, initial_state, input_size=input_size, hidden_size=hidden_size,
            num_layers=num_layers, bias=bias, batch_first=batch_first, bidirectional=bidirectional,
            reset_after=reset_after, activations=activations, clip=clip, reverse=reverse, go_backwards=go_backwards,
            merge_mode=merge_mode,
        )  # fmt: skip

    @property
    def reset_after(self) -> bool:
        """Whether the reset gate acts after the recurrent product."""
        return self.config.reset_after

    @classmethod
    def from_state_dict(
        cls,
        mapping: Mapping[str, Any],
        *,
        prefix: str = "",
        batch_first: bool = False,
        reset_after: bool = True,
        activations: Any = None,
        clip: float | None = None,
        reverse: bool = False,
        go_backwards: bool = False,
        merge_mode: str = "concat",
        dtype: DTypeLike | None = None,
        engine: str = "auto",
    ) -> Self:
        """A GRU from PyTorch's parameter names.

        Parameters
        ----------
        mapping : mapping of str to array_like
            ``weight_ih_l0`` (3H, I), ``weight_hh_l0`` (3H, H), ``bias_ih_l0``, ``bias_hh_l0`` (3H,), further
            layers ``l1``..., the backward direction ``_reverse``; gate order r, z, n; maybe an ``h_0``
            (num_layers * D, H), the initial state of every row where none is given. Arrays, or anything that
            `numpy.asarray` takes, such as PyTorch's CPU tensors. Sizes, layers, directions and bias are inferred.
            Values are copied.
        prefix : str, default ""
            Take the names that start with it (such as "encoder.gru."), and ignore others.
        batch_first, reset_after, activations, clip, reverse, go_backwards, merge_mode
            As in `GRU`; a state dict does not hold them.
        dtype : dtype, optional
            float32 or float64; by default float64 where all parameters are float64, else float32.
        engine : str, default "auto"
            As in `GRU`.

        Raises
        ------
        TypeError
            Not a mapping, or a parameter that is not real numbers.
        ValueError
            Missing, surplus or mis-shaped parameters, which are named.

        Warns
        -----
        RuntimeWarning
            Parameters hold NaN or infinity (they are accepted).
        """
        return cls._from_state_dict(
            mapping,
            prefix=prefix,
            dtype=dtype,
            engine=engine,
            batch_first=batch_first,
            reset_after=reset_after,
            activations=activations,
            clip=clip,
            reverse=reverse,
            go_backwards=go_backwards,
            merge_mode=merge_mode,
        )

    @classmethod
    def from_equations(
        cls,
        W_r: ArrayLike,
        W_z: ArrayLike,
        W_h: ArrayLike,
        b_r: ArrayLike | None = None,
        b_z: ArrayLike | None = None,
        b_h: ArrayLike | None = None,
        *,
        U_r: ArrayLike | None = None,
        U_z: ArrayLike | None = None,
        U_h: ArrayLike | None = None,
        columns: Literal["hx", "xh"] = "hx",
        batch_first: bool = False,
        dtype: DTypeLike | None = None,
        engine: str = "auto",
    ) -> Self:
        """A GRU that computes the equations of 2014 with their own matrices, whose columns are [h, x]::

            r_t = s(W_r [h_{t-1}, x_t] + b_r)
            z_t = s(W_z [h_{t-1}, x_t] + b_z)
            n_t = tanh(W_h [r_t * h_{t-1}, x_t] + b_h)
            h_t = (1 - z_t) * h_{t-1} + z_t * n_t

        Here z takes the new value; the model holds the negated z rows, which is the same thing, since
        1 - s(a) = s(-a), and has ``reset_after=False``.

        Parameters
        ----------
        W_r, W_z, W_h : array_like
            (H, H + I), columns as `columns` says; or (H, I), those of x alone, where U are given.
        b_r, b_z, b_h : array_like, optional
            (H,). Zero where not given.
        U_r, U_z, U_h : array_like, optional
            (H, H), the matrices of h where they stand apart from those of x, as in books: W_r x + U_r h + b_r. All
            three or none.
        columns : {"hx", "xh"}, default "hx"
            What the columns of W belong to: first the H of h, then the I of x, or the other way round, as in the
            transposed kernels of TensorFlow 1. Matrices look the same in both orders, whatever I and H are: nothing
            here can notice the wrong one, whose outputs are wrong. `cgru.check` finds it from recorded outputs.
        batch_first, dtype, engine
            As in `from_state_dict`.

        Raises
        ------
        TypeError, ValueError
            Matrices or biases that do not fit each other, some U without the others, or `columns` beside U.

        References
        ----------
        Chung et al., "Empirical Evaluation of Gated Recurrent Neural Networks on Sequence Modeling", 2014.
        """
        engines.check_engine(engine)
        weights = weights_from_equations(
            (W_r, W_z, W_h), (U_r, U_z, U_h), (b_r, b_z, b_h), columns=columns, batch_first=batch_first, dtype=dtype
        )
        return cls.from_weights(weights, engine)

    def trace(
        self, x: ArrayLike, hx: ArrayLike | None = None, *, lengths: ArrayLike | None = None, z_is: str = "keep"
    ) -> tuple[np.ndarray, np.ndarray, GRUGates]:
        """Run as a call does and return the gates of every step, layer and direction too.

        Parameters
        ----------
        x, hx, lengths
            As in a call; no list of sequences.
        z_is : {"keep", "new"}, default "keep"
            What z is the share of: of the old state, h' = z h + (1 - z) n, as in PyTorch, or of the new one,
            h' = (1 - z) h + z n, as in the equations of 2014. It changes nothing but the z that is returned.

        Returns
        -------
        y, h_n : ndarray
            As from a call.
        gates : GRUGates
            ``gates.r``, ``gates.z``, ``gates.n``.

        Raises
        ------
        TypeError
            As a call.
        ValueError
            As a call; another `z_is`.

        Examples
        --------
        >>> import numpy as np, cgru
        >>> y, h_n, gates = cgru.GRU(3, 5, num_layers=2, rng=0).trace(np.zeros((7, 4, 3), np.float32))
        >>> gates.z.shape
        (2, 7, 4, 5)
        """
        return trace(self, x, hx, lengths, z_is)
