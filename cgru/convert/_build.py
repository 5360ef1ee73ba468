"""From canonical arrays to `Weights`, and from a converter to a model: one build."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from cgru import engines
from cgru.cells import CELLS, Cell
from cgru.checks import check_dtype, real_array
from cgru.config import Config
from cgru.convert._errors import naming
from cgru.convert.conventions import CONVENTIONS, add_to_forget
from cgru.model import model_of
from cgru.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import DTypeLike

    from cgru.gru import GRU
    from cgru.lstm import LSTM
    from cgru.rnn import RNN

#: By the rows of a recurrent weight over its columns.
BY_ROWS = {cell.stacked: cell for cell in CELLS.values()}


class Parameters(NamedTuple):
    """One direction of one layer in the canonical form: rows stacked as in `Cell.gates`, and z keeps the old h.

    Attributes
    ----------
    w_ih, w_hh : ndarray
        (G, I) and (G, H), where G is 3H for a GRU, 4H for an LSTM, H for an RNN.
    b_ih, b_hh : ndarray or None
        (G,); None stands for zeros.
    """

    w_ih: np.ndarray
    w_hh: np.ndarray
    b_ih: np.ndarray | None = None
    b_hh: np.ndarray | None = None


def cell_of(recurrent: Any) -> Cell | None:
    """The cell whose recurrent weight has this shape, gates in rows or in columns; None where there is none."""
    shape = getattr(recurrent, "shape", ())
    if len(shape) != 2 or min(shape) == 0:
        return None
    return BY_ROWS.get(max(shape) / min(shape))


def told(name: str, recurrent: np.ndarray) -> Cell:
    """`cell_of` an array that must be a recurrent weight.

    Raises
    ------
    ValueError
        It is none.
    """
    cell = cell_of(recurrent)
    if cell is None:
        raise ValueError(
            f"{name} has shape {recurrent.shape}, expected 3 * hidden_size by hidden_size for a GRU, "
            "4 * hidden_size for an LSTM or hidden_size for an RNN"
        )
    return cell


def kernels(
    kernel: Any, recurrent: Any, cell: Cell, names: tuple[str, str] = ("kernel", "recurrent_kernel")
) -> tuple[np.ndarray, np.ndarray, int]:
    """The kernels (I, G) and (H, G) of systems that keep a cell's gates in columns, checked; and H."""
    recurrent = real_array(names[1], recurrent, (None, None))
    H = len(recurrent)
    rows = cell.stacked * H
    return real_array(names[0], kernel, (None, rows)), real_array(names[1], recurrent, (H, rows)), H


def joint_kernel(name: str, kernel: Any, cell: Cell) -> tuple[np.ndarray, np.ndarray, int]:
    """The kernels (I, G) and (H, G) of one kernel (I + H, G) over rows [x, h]; and H."""
    kernel = real_array(name, kernel, (None, None))
    H, rest = divmod(kernel.shape[1], cell.stacked)
    if rest or not 0 < H < len(kernel):
        times = f"{cell.stacked} * " if cell.stacked > 1 else ""
        raise ValueError(f"{name} has shape {kernel.shape}, expected (I + H, {times}H) with I of at least 1")
    return kernel[:-H], kernel[-H:], H


def canonical(
    system: str,
    cell: Cell,
    w_ih: np.ndarray,
    w_hh: np.ndarray,
    b_ih: np.ndarray | None = None,
    b_hh: np.ndarray | None = None,
    *,
    forget: float = 0.0,
) -> Parameters:
    """The `Parameters` of arrays whose rows stand as `system`, a key of `CONVENTIONS`, has them.

    `forget` is added to the input bias of an LSTM's forget gate.
    """
    convention = CONVENTIONS[system]
    found = [None if rows is None else convention.canonical(rows, cell) for rows in (w_ih, w_hh, b_ih, b_hh)]
    if forget:
        bias = np.zeros(len(w_ih)) if found[2] is None else found[2]
        found[2] = add_to_forget(bias, cell, forget)
    return Parameters(*found)      # type: ignore[arg-type]


def functions(cell: Cell, activations: Any = None, nonlinearity: Any = None) -> Any:
    """`Config.activations`, of a converter's arguments: an RNN takes its one function as `nonlinearity`.

    Raises
    ------
    ValueError
        It was given in the other way.
    """
    if "nonlinearity" in cell.options:
        if activations is not None:
            raise ValueError(f"activations={activations!r}: {cell.name} has one function; give it as nonlinearity")
        return nonlinearity
    if nonlinearity is not None:
        raise ValueError(f"nonlinearity={nonlinearity!r} is for an RNN; these are {cell.name} weights")
    return activations


def build(
    layers: Sequence[Sequence[Parameters]],
    *,
    cell: Cell = CELLS["gru"],
    reset_after: bool | None = None,
    dtype: Any = None,
    initial: Sequence[np.ndarray] | None = None,
    **options: Any,
) -> Weights:
    """`Weights` of canonical parameters.

    Parameters
    ----------
    layers : sequence of sequences of Parameters
        Of every layer, one per direction.
    cell : Cell
        Whose parameters they are.
    reset_after : bool, optional
        As in `Config`; a cell without a reset gate has none.
    dtype : dtype, optional
        As of `Weights`, which checks everything.
    initial : sequence of ndarray, optional
        Initial states (num_layers * D, H), one for each of `Cell.states`.
    **options
        Fields of `Config` that do not follow from the arrays.
    """
    flat = [parameters for layer in layers for parameters in layer]
    bias = any(parameters.b_ih is not None or parameters.b_hh is not None for parameters in flat)
    if reset_after is not None and "reset_after" in cell.options:
        options["reset_after"] = reset_after
    config = Config(
        kind=cell.kind,
        input_size=flat[0].w_ih.shape[1],
        hidden_size=flat[0].w_hh.shape[1],
        num_layers=len(layers),
        bias=bias,
        bidirectional=len(layers[0]) == 2,
        initial_state=initial is not None,
        **options,
    )
    zeros = np.zeros(cell.stacked * config.hidden_size)
    tensors = {}
    for parameters, (_, _, suffix) in zip(flat, config.directions(), strict=True):
        tensors[f"weight_ih_{suffix}"] = parameters.w_ih
        tensors[f"weight_hh_{suffix}"] = parameters.w_hh
        if bias:
            tensors[f"bias_ih_{suffix}"] = zeros if parameters.b_ih is None else parameters.b_ih
            tensors[f"bias_hh_{suffix}"] = zeros if parameters.b_hh is None else parameters.b_hh
    if initial is not None:
        tensors |= {f"{state}_0": array for state, array in zip(cell.states, initial, strict=True)}
    return Weights(config, tensors, dtype)


def model_from(
    convert: Callable[..., Weights],
    source: Any,
    *arguments: Any,
    dtype: DTypeLike | None,
    engine: str,
    **options: Any,
) -> GRU | LSTM | RNN:
    """The model with the `Weights` that ``convert(source, *arguments, dtype=dtype, **options)`` makes."""
    engines.check_engine(engine)
    dtype = None if dtype is None else check_dtype(dtype)
    with naming(source):
        weights = convert(source, *arguments, dtype=dtype, **options)
    return model_of(weights, engine)


def gru_from(convert: Callable[..., Weights], source: Any, *arguments: Any, **options: Any) -> GRU:
    """`model_from` for a converter that makes weights of GRUs only."""
    return cast("GRU", model_from(convert, source, *arguments, **options))
