"""What each system means by a GRU or an LSTM: the one table for converters, `cgru.check`, ``cgru info`` and the docs.

    r = f(W_r x + b_r + U_r h + c_r)                 reset after    n = g(W_n x + b_n + r * (U_n h + c_n))
    z = f(W_z x + b_z + U_z h + c_z)                 reset before   n = g(W_n x + b_n + U_n (r * h) + c_n)
    z keeps   h' = z * h + (1 - z) * n               z is new       h' = (1 - z) * h + z * n

    LSTM, everywhere: gates i, f, o and candidate g; c' = f * c + i * g, h' = o * tanh(c')
    RNN, everywhere: one matrix for x and one for h

The canonical form is PyTorch's: rows stacked r, z, n, and z keeps the old h; i, f, g, o. Reset before and reset after
cannot be turned into one another; a z that is new can be turned into one that keeps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from cgru.activations import Activation
    from cgru.cells import Cell

CANONICAL = "rzn"


@dataclass(frozen=True)
class Convention:
    """What one system means by a GRU, and by an LSTM.

    Attributes
    ----------
    name : str
        The system, as messages and documentation call it.
    order : str
        A GRU's gates in the order in which they are stacked, in the letters r, z, n; "" where each has its own arrays.
    after, before : str
        What to say or set there for a reset gate that acts after, or before, the recurrent product; "" where the
        system has no such GRU.
    z_keeps : bool
        Whether z is the share of the old h, or of the new.
    biases : str
        Their form in a GRU.
    lstm : str
        An LSTM's gates in their order, in the letters i, f, g, o; "" where each has its own arrays.
    lstm_biases : str
        Their form in an LSTM.
    forget : float
        What an LSTM adds to its forget gate when it runs: it is not in the weights.
    """

    name: str
    order: str
    after: str
    before: str
    z_keeps: bool
    biases: str
    lstm: str = ""
    lstm_biases: str = ""
    forget: float = 0.0

    @property
    def reset_after(self) -> bool | None:
        """Where the reset gate acts, as `Config` has it; None where the system has both."""
        return None if self.after and self.before else bool(self.after)

    def order_of(self, cell: Cell) -> str:
        """The order of this cell's gates; the canonical one where each has its own arrays, or there are none."""
        return next((order for order in (self.order, self.lstm) if sorted(order) == sorted(cell.gates)), cell.gates)

    def canonical(self, rows: np.ndarray, cell: Cell) -> np.ndarray:
        """Rows stacked as this system has them, in the canonical form: as in `Cell.gates`, and z keeps the old h."""
        rows = reorder(rows, self.order_of(cell), cell.gates)
        return rows if self.z_keeps or "z" not in cell.gates else negate_z(rows)


#: By the name of the converter, where there is one; the best known first.
CONVENTIONS = {
    "torch": Convention("PyTorch", "rzn", "PyTorch", "", True, "two, (3H,) each", "ifgo", "two, (4H,) each"),
    "keras": Convention(
        "Keras", "zrn", "Keras's default", "Keras reset_after=False", True,
        "(2, 3H): input, recurrent; with reset before one, (3H,)", "ifgo", "one, (4H,)",
    ),
    "onnx": Convention(
        "ONNX", "zrn", "ONNX linear_before_reset=1", "ONNX linear_before_reset=0", True, "(D, 6H): W's, then R's",
        "iofg", "(D, 8H): W's, then R's",
    ),
    "cudnn": Convention("cuDNN", "rzn", "cuDNN", "", True, "two for each gate", "ifgo", "two for each gate"),
    "tensorflow1": Convention(
        "TensorFlow 1", "rzn", "", "TensorFlow 1", True, "one: (2H,) of r, z; (H,) of n", "igfo", "one, (4H,)",
        forget=1.0,
    ),
    "keras1": Convention(
        "Keras 1", "zrn", "", "Keras 1", True, "one for each gate, (H,)", "igfo", "one for each gate, (H,)"
    ),
    "equations": Convention(
        "the equations of 2014", "", "", "the equations of 2014", False, "one for each gate, or none"
    ),
    "haiku": Convention("Haiku", "zrn", "", "Haiku", False, "one, (3H,)", "igfo", "one, (4H,)", forget=1.0),
    "flax": Convention(
        "Flax", "rzn", "Flax", "", True, "one, (3H,); linen also one for n's recurrent product", "ifgo",
        "one, (4H,), of the recurrent product",
    ),
    "mlx": Convention(
        "MLX", "rzn", "MLX", "", True, "(3H,), and (H,) for n's recurrent product", "ifgo", "one, (4H,)"
    ),
    "rtneural": Convention(
        "RTNeural", "zrn", "RTNeural", "", True, "(2, 3H): input, recurrent", "ifgo", "one, (4H,)"
    ),
    "paddle": Convention("Paddle", "zrn", "", "Paddle", False, "one, (3H,)"),
    "paddle_origin": Convention(
        "Paddle origin_mode=True", "zrn", "", "Paddle origin_mode=True", True, "one, (3H,)"
    ),
    "tflite": Convention("TFLite", "rzn", "", "TFLite", True, "one: (2H,) of r, z; (H,) of n"),
    "openvino": Convention(
        "OpenVINO", "zrn", "OpenVINO linear_before_reset=true", "OpenVINO's default", True,
        "(D, 3H) with reset before; (D, 4H): z, r, n's input, n's recurrent", "figo", "one, (D, 4H)",
    ),
    "onednn": Convention(
        "oneDNN", "zrn", "oneDNN lbr_gru", "oneDNN gru", True, "3 gates; 4 with reset after", "ifgo", "one, 4 gates"
    ),
    "ncnn": Convention(
        "ncnn", "rzn", "ncnn", "", True, "(D, 4, H): r, z, n's input, n's recurrent", "ifog", "(D, 4, H), one"
    ),
    "candle": Convention("candle", "rzn", "candle", "", True, "two, (3H,) each", "ifgo", "two, (4H,) each"),
    "madmom": Convention("madmom", "", "madmom", "", False, "one for each gate"),
}  # fmt: skip

#: The slope of what each system calls hard_sigmoid, clip(slope * x + 0.5, 0, 1).
HARD_SIGMOID = {"Keras 1": 0.2, "Keras 2": 0.2, "ONNX": 0.2, "Keras 3": 1 / 6}


def systems(
    *, order: str | None = None, reset_after: bool | None = None, z_keeps: bool | None = None, most: int = 4
) -> str:
    """The systems that do it so, for messages: "PyTorch, Keras's default, ONNX linear_before_reset=1, cuDNN".

    Parameters
    ----------
    order : str, optional
        Those that stack their gates in this order, such as "zrn", or an LSTM's "iofg".
    reset_after : bool, optional
        Those whose reset gate acts there, with what chooses it.
    z_keeps : bool, optional
        Those whose z is the share of the old h, or of the new.
    most : int, default 4
        At most so many, the best known.
    """
    found = []
    for convention in CONVENTIONS.values():
        words = {None: convention.name, True: convention.after, False: convention.before}[reset_after]
        if words and order in (None, convention.order, convention.lstm) and z_keeps in (None, convention.z_keeps):
            found.append(words)
    return ", ".join(found[:most])


def hard_sigmoids() -> dict[float, str]:
    """The slopes that go by the name hard_sigmoid, each with its systems: {0.2: "Keras 1, Keras 2, ONNX", ...}."""
    return {
        slope: ", ".join(system for system, its in HARD_SIGMOID.items() if its == slope)
        for slope in dict.fromkeys(HARD_SIGMOID.values())
    }


def reorder(rows: np.ndarray, order: str, wanted: str = CANONICAL) -> np.ndarray:
    """Rows (or a bias) stacked gate by gate in `order`, such as "zrn", stacked in the order `wanted`."""
    if order == wanted:
        return rows
    parts = dict(zip(order, np.split(rows, len(order)), strict=True))
    return np.concatenate([parts[gate] for gate in wanted])


def negate_z(rows: np.ndarray) -> np.ndarray:
    """Rows stacked r, z, n with those of z negated: a z that is new becomes one that keeps, since 1 - s(a) = s(-a)."""
    r, z, n = np.split(rows, 3)
    z = z.astype(np.float64 if z.dtype == np.float64 else np.float32, copy=False)
    return np.concatenate([r, np.negative(z), n])


def add_to_forget(bias: np.ndarray, cell: Cell, amount: float) -> np.ndarray:
    """An LSTM's canonical bias with what its system adds to the forget gate when it runs."""
    dtype = np.float64 if bias.dtype == np.float64 else np.float32
    rows = np.repeat([amount * (gate == "f") for gate in cell.gates], len(bias) // cell.stacked)
    return bias.astype(dtype) + rows.astype(dtype)


def negatable(f: Activation) -> bool:
    """Whether `negate_z` is exact for the gate activation f: whether 1 - f(a) = f(-a)."""
    return f.name == "sigmoid" or (f.name == "hard_sigmoid" and f.beta == 0.5)


def check_negatable(f: Activation) -> None:
    """Refuse a gate activation for which `negate_z` is not exact."""
    if not negatable(f):
        raise ValueError(
            f"z takes the new value in this model, which converts exactly for the gate activation sigmoid or "
            f"hard_sigmoid with beta 0.5; got {f}"
        )
