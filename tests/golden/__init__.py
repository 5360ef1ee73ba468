"""Golden vectors: inputs and PyTorch's answers, for tests that run without PyTorch.

`make_golden.py` beside this file made them; the configurations are listed there.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent


@dataclass(frozen=True, eq=False)
class GoldenCase:
    """One configuration of `torch.nn.GRU` and what it computed.

    state, x and h_0 have the dtype asked for: they are float32 numbers, so float32 and float64 mean the same
    values. The answers keep their own: y and h_n float64, y_float32 and h_n_float32 PyTorch's in float32.
    Padded steps of x hold numbers that must not matter.
    """

    name: str
    config: dict  # input_size, hidden_size, num_layers, bias, batch_first, bidirectional: arguments of nn.GRU
    state: dict  # PyTorch's names
    x: np.ndarray  # (T, N, I), (N, T, I) if batch_first, (T, I) in the case "unbatched"
    h_0: np.ndarray  # (L*D, N, H), unbatched (L*D, H)
    lengths: np.ndarray | None  # (N,) int64, not sorted
    y: np.ndarray
    h_n: np.ndarray
    y_float32: np.ndarray
    h_n_float32: np.ndarray
    torch_version: str

    def __str__(self):
        return self.name


def golden_cases(dtype=np.float64):
    """Every GoldenCase by name, ready for `@pytest.mark.parametrize("case", golden_cases(), ids=str)`."""
    return [read_case(path, dtype) for path in sorted(FOLDER.glob("*.npz"))]


def read_case(path, dtype):
    """One .npz as a GoldenCase, with its inputs in `dtype`."""
    with np.load(path) as file:
        stored = dict(file)
    state = {key.removeprefix("state."): a for key, a in stored.items() if key.startswith("state.")}
    return GoldenCase(
        name=path.stem,
        config=json.loads(stored["config"].item()),
        state={key: a.astype(dtype) for key, a in state.items()},
        x=stored["x"].astype(dtype),
        h_0=stored["h_0"].astype(dtype),
        lengths=stored.get("lengths"),
        torch_version=stored["torch_version"].item(),
        **{key: stored[key] for key in ("y", "h_n", "y_float32", "h_n_float32")},
    )
