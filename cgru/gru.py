"""The GRU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cgru import engines
from cgru.equations import weights_from_equations
from cgru.recurrent import Recurrent
from cgru.study.views import Views

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from numpy.typing import ArrayLike, DTypeLike

    from cgru.model import Rng, StrPath


class GRU(Recurrent[np.ndarray, "ArrayLike"], Views, kind="gru"):
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
        The same with y left in the reversed order, as in Keras: ``y[-1]`` belongs to ``x[0]``.
    merge_mode : {"concat", "sum", "mul", "ave"}, default "concat"
        How y is made of the two directions of one bidirectional layer: side by side, or as their sum, product or
        mean, (T, N, H).
    dtype : dtype, default numpy.float32
        float32 or float64, of parameters, computation and results.
    engine : {"auto", "packed", "blas"}, default "auto"
        What computes: "packed" (float32) or "blas". "auto" takes "packed" for float32 where the machine has fused
        multiply-adds; the property `engine` says which it was.
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
        dtype: DTypeLike = np.float32,
        engine: str = "auto",
        rng: Rng = None,
    ) -> None:
        self._draw(
            dropout, dtype, engine, rng, input_size=input_size, hidden_size=hidden_size, num_layers=num_layers,
            bias=bias, batch_first=batch_first, bidirectional=bidirectional, reset_after=reset_after,
            activations=activations, clip=clip, reverse=reverse, go_backwards=go_backwards, merge_mode=merge_mode,
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
        batch_first: bool = False,
        dtype: DTypeLike | None = None,
        engine: str = "auto",
    ) -> Self:
        """A GRU that computes the equations of 2014 with their own matrices::

            r_t = s(W_r [h_{t-1}, x_t] + b_r)
            z_t = s(W_z [h_{t-1}, x_t] + b_z)
            n_t = tanh(W_h [r_t * h_{t-1}, x_t] + b_h)
            h_t = (1 - z_t) * h_{t-1} + z_t * n_t

        Here z takes the new value; the model holds the negated z rows, which is the same thing, since
        1 - s(a) = s(-a), and has ``reset_after=False``.

        Parameters
        ----------
        W_r, W_z, W_h : array_like
            (H, H + I), columns [h, x].
        b_r, b_z, b_h : array_like, optional
            (H,). Zero where not given.
        batch_first, dtype, engine
            As in `from_state_dict`.

        Raises
        ------
        TypeError, ValueError
            Matrices or biases that do not fit each other.

        References
        ----------
        Chung et al., "Empirical Evaluation of Gated Recurrent Neural Networks on Sequence Modeling", 2014.
        """
        engines.check_engine(engine)
        weights = weights_from_equations(
            W_r, W_z, W_h, b_r, b_z, b_h, batch_first=batch_first, dtype=dtype
        )
        return cls.from_weights(weights, engine)

    def to_torch(self) -> Any:
        """The same model as a `torch.nn.GRU`, with copies of the weights.

        Raises
        ------
        ValueError
            PyTorch's GRU cannot do what this one does: ``reset_after=False``, other activations, ...
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
            Whether the ONNX model has an input ``h_0`` (num_layers * D, N, H), for running on from an earlier
            state. Without it, it starts from zeros, or from the state stored with this model.
        lengths : bool, default False
            Whether it has an input ``lengths`` (N,), int32.

        Notes
        -----
        The inputs are ``x`` and what was asked for, the outputs ``y`` and ``h_n``, in this model's layout. T and N are
        free. ONNX Runtime gives an h_n of zeros, where cgru gives h_0, for a row of length 0; it computes float32
        only.

        Raises
        ------
        ImportError
            The package onnx is not installed: ``pip install "cgru[onnx]"``.
        OSError
            The file cannot be written.
        """
        from cgru.convert.onnx_write import write_onnx

        write_onnx(self.weights, path, h_0=h_0, lengths=lengths)
