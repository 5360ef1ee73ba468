"""The Linear layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cgru import engines
from cgru.activations import shown
from cgru.checks import check_dtype, check_size, input_array, output_array, real_array, refuse_overlap
from cgru.forward import Inputs, run
from cgru.gradients_chain import backpropagate_linear, record_linear
from cgru.layout import LAYOUTS
from cgru.model import Model
from cgru.threads import thread_count
from cgru.weights import linear_from_state_dict, linear_weights

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from numpy.typing import ArrayLike, DTypeLike

    from cgru.gradients import Gradients
    from cgru.gradients_chain import LinearTape
    from cgru.model import Rng, StrPath


class Linear(Model, kind="linear"):
    r"""y = g(x W^T + b): PyTorch's `nn.Linear`, and what its output goes through.

    Parameters are drawn uniformly from +-1/sqrt(in_features), as PyTorch draws them.

    Parameters
    ----------
    in_features : int
        Features I of x.
    out_features : int
        Features O of y.
    bias : bool, default True
        Whether there is a b.
    activation : activation, optional
        The function g: a name or (name, alpha, beta), see `cgru.activations.DEFAULTS`, or "softmax", which goes over
        the O features: e^(a_i - max a) / sum_j e^(a_j - max a). None is none.
    dtype, engine, rng
        As in `GRU`.

    Raises
    ------
    TypeError, ValueError, ImportError
        As in `GRU`; another activation.

    Notes
    -----
    A model is immutable and may be shared by any number of threads; the GIL is released while it computes. With
    ``engine="packed"`` a row's y has the same bits alone, in a batch, in a `Sequential` and on every instruction set
    with fused multiply-adds: b is the first number of a sum, W x follows with the features of x in their order.

    Examples
    --------
    >>> import numpy as np, cgru
    >>> linear = cgru.Linear(5, 3, activation="elu", rng=0)
    >>> linear(np.zeros((7, 2, 5), np.float32)).shape
    (7, 2, 3)
    """

    __slots__ = ()

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        activation: Any = None,
        dtype: DTypeLike = np.float32,
        engine: str = "auto",
        rng: Rng = None,
    ) -> None:
        sizes = {"input_size": check_size("in_features", in_features)}
        sizes["hidden_size"] = check_size("out_features", out_features)
        self._draw(0.0, dtype, engine, rng, None, bias=bias, activations=activation, **sizes)

    @classmethod
    def from_state_dict(
        cls,
        mapping: Mapping[str, Any],
        *,
        prefix: str = "",
        activation: Any = None,
        dtype: DTypeLike | None = None,
        engine: str = "auto",
    ) -> Self:
        """A Linear from PyTorch's parameter names, ``weight`` (O, I) and ``bias`` (O,), which may be missing.

        Parameters
        ----------
        mapping : mapping of str to array
            Anything that `numpy.asarray` takes, and tensors of other libraries.
        prefix : str, default ""
            In front of the names, such as "head."; other names are ignored where there is one.
        activation
            As in `Linear`; a state dict does not hold it.
        dtype, engine
            As in `GRU.from_state_dict`.

        Raises
        ------
        TypeError, ValueError
            A parameter is missing, unknown, not numeric or of the wrong shape.
        """
        engines.check_engine(engine)
        weights = linear_from_state_dict(mapping, prefix=prefix, activation=activation, dtype=dtype)
        return cls.from_weights(weights, engine)

    @classmethod
    def normalizer(
        cls, mean: ArrayLike, std: ArrayLike, *, dtype: DTypeLike = np.float32, engine: str = "auto"
    ) -> Self:
        """The affine normaliser y = (x - mean) / std, each feature by itself: a Linear with a diagonal W.

        Parameters
        ----------
        mean, std : array_like
            (I,) each, or a number for `mean` or `std` beside the other's (I,); std is not 0.
        dtype, engine
            As in `GRU`.

        Raises
        ------
        TypeError, ValueError
            They are no real numbers of one shape (I,), or std is 0, negative or not finite somewhere.
        """
        arrays = [np.asarray(real_array(name, value), np.float64) for name, value in (("mean", mean), ("std", std))]
        shape = max((array.shape for array in arrays), key=len)
        if len(shape) != 1 or not shape[0] or any(array.shape not in ((), shape) for array in arrays):
            raise ValueError(f"mean and std must be of shape (I,); got {arrays[0].shape} and {arrays[1].shape}")
        center, width = (np.broadcast_to(array, shape) for array in arrays)
        wrong = ~((width >= np.finfo(check_dtype(dtype)).tiny) & np.isfinite(width))
        if wrong.any():
            raise ValueError(f"std must be positive, finite and no subnormal number; got {width[wrong][0]}")
        return cls.from_weights(linear_weights(np.diag(1 / width), -center / width, dtype=dtype), engine)

    @property
    def in_features(self) -> int:
        """Features of x."""
        return self.config.input_size

    @property
    def out_features(self) -> int:
        """Features of y."""
        return self.config.hidden_size

    @property
    def bias(self) -> bool:
        """Whether there is a bias."""
        return self.config.bias

    @property
    def activation(self) -> Any:
        """What y goes through, as the constructor takes it, or None."""
        found = shown(self.config.activations)
        return None if found == "linear" else found

    def replace(self, *, engine: str) -> Self:
        """The same parameters, computed by another engine.

        Raises
        ------
        ValueError
            An engine that does not exist or does not compute this.
        """
        return self.from_weights(self.weights, engine)

    def __call__(self, x: ArrayLike, *, out: np.ndarray | None = None, threads: int = 1) -> np.ndarray:
        """Apply it to the last dimension of x.

        Parameters
        ----------
        x : array_like
            (..., I), converted to the model's dtype where it is another. Never changed.
        out : ndarray, optional
            Where to put y: its shape and the model's dtype, C-contiguous, not overlapping x.
        threads : int, default 1
            Split the rows over up to this many threads; -1 is all cores that the process may use. With
            ``engine="packed"`` the result is the same to the last bit for every value.

        Returns
        -------
        ndarray
            (..., O); `out` where given.

        Raises
        ------
        TypeError, ValueError
            x or out of the wrong type, dtype or shape; threads that are no integer.
        """
        threads = thread_count(threads)
        given = input_array("x", x, self.dtype, self.config.input_size, "in_features")
        shape = (*given.shape[:-1], self.config.hidden_size)
        if out is None:
            y = np.empty(shape, self.dtype)
        else:
            output_array(out, self.dtype, shape)
            refuse_overlap(out, "x", given)
            y = out
        rows = given.reshape(1, -1, given.shape[-1])
        run(self, Inputs(rows, (), None, LAYOUTS[False, True]), y.reshape(1, -1, shape[-1]), threads)
        return y

    def record(self, x: ArrayLike, *, threads: int = 1) -> tuple[np.ndarray, LinearTape]:
        """Apply it, and keep what `backward` needs.

        Parameters
        ----------
        x
            As in a call.
        threads : int, default 1
            As in a call, where there is enough work.

        Returns
        -------
        y : ndarray
            (..., O), as from a call.
        tape : cgru.gradients_chain.LinearTape
            It holds copies of x, of y, and of what went into the activation.

        Raises
        ------
        TypeError, ValueError
            As a call; quantised weights.
        """
        x = input_array("x", x, self.dtype, self.config.input_size, "in_features")
        y, tape = record_linear(self, x, threads=thread_count(threads))
        return y.copy(), tape

    def backward(self, tape: LinearTape, dy: ArrayLike, *, threads: int = 1) -> Gradients:
        """The gradients of a loss L, given dL/dy: with a = x W^T + b,

            dL/da = dL/dy g'(a)    dL/dW = sum of dL/da x^T    dL/db = sum of dL/da    dL/dx = W^T dL/da

        Parameters
        ----------
        tape : cgru.gradients_chain.LinearTape
            From `record` of this very model; it is not used up.
        dy : array_like
            Of y's shape.
        threads : int, default 1
            As of `record`. In float32 the gradients of a tape are the same, to the last bit, for any number of them.

        Returns
        -------
        cgru.gradients.Gradients
            ``grads.x``, ``grads["weight"]`` and ``grads["bias"]``, of the shapes of x and of the parameters.

        Raises
        ------
        TypeError
            `tape` is none.
        ValueError
            A tape from another model; a wrong shape.
        ImportError
            SciPy, which gradients need, is missing or cannot be used.
        """
        return backpropagate_linear(self, tape, dy, threads=thread_count(threads))

    def to_torch(self) -> Any:
        """A `torch.nn.Linear`, or with an activation an `nn.Sequential` of the two, with copies of the weights.

        Raises
        ------
        ValueError
            PyTorch has no module for the activation.
        ImportError
            PyTorch is not installed.
        """
        from cgru.convert.torch_write import to_torch

        return to_torch(self.weights)

    def to_onnx(self, path: StrPath) -> None:
        """Write it as ONNX (opset 17), with an input ``x`` (N, I), an output ``y``; see `GRU.to_onnx`.

        Raises
        ------
        ImportError
            The package onnx is not installed: ``pip install "cgru[onnx]"``.
        OSError
            The file cannot be written.
        """
        from cgru.convert.onnx_write import write_onnx

        write_onnx(self.weights, path)
