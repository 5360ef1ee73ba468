"""Keras's layers that no chain has, and the lines of NumPy that do what they do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Class -> a line; in braces what the layer's configuration says.
_LINES = {
    "Embedding": "x = table[tokens] before the call, with table = layer.get_weights()[0]",
    "Conv1D": "x = sum(x[:, i : i + T - {kernel_size} + 1] @ kernel[i] for i in range({kernel_size})) + bias, where "
    "strides and dilation are 1 and padding is 'valid'",
    "LayerNormalization": "x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + {epsilon}) * gamma "
    "+ beta",
    "RMSNormalization": "x = x / np.sqrt((x * x).mean(-1, keepdims=True) + {epsilon}) * scale",
    "UnitNormalization": "x = x / np.sqrt((x * x).sum(axis=-1, keepdims=True))",
    "MultiHeadAttention": "for each head p = np.exp(q @ k.swapaxes(1, 2) / np.sqrt({key_dim})); "
    "x = p / p.sum(axis=-1, keepdims=True) @ v",
    "Attention": "p = np.exp(q @ v.swapaxes(1, 2)); x = p / p.sum(axis=-1, keepdims=True) @ v",
    "RepeatVector": "x = np.repeat(y[:, None], {n}, axis=1), between two networks",
    "Flatten": "x = x.reshape(len(x), -1)",
    "Reshape": "x = x.reshape(len(x), *{target_shape})",
    "Permute": "x = x.transpose(0, *{dims})",
    "GlobalAveragePooling1D": "x = x.mean(axis=1)",
    "GlobalMaxPooling1D": "x = x.max(axis=1)",
    "AveragePooling1D": "x = x[:, : T // {pool_size} * {pool_size}].reshape(N, T // {pool_size}, {pool_size}, -1)"
    ".mean(axis=2)",
    "MaxPooling1D": "x = x[:, : T // {pool_size} * {pool_size}].reshape(N, T // {pool_size}, {pool_size}, -1)"
    ".max(axis=2)",
    "ZeroPadding1D": "x = np.pad(x, ((0, 0), {padding}, (0, 0)))",
    "Cropping1D": "before, after = {cropping}; x = x[:, before : x.shape[1] - after]",
    "UpSampling1D": "x = np.repeat(x, {size}, axis=1)",
    "Concatenate": "x = np.concatenate([a, b], axis={axis})",
    "Multiply": "x = a * b",
    "Subtract": "x = a - b",
    "Average": "x = (a + b) / 2",
    "Maximum": "x = np.maximum(a, b)",
    "PReLU": "x = np.where(x > 0, x, alpha * x)",
    "EinsumDense": "x = np.einsum({equation!r}, x, kernel) + bias",
    "Lambda": "its function, written in NumPy",
}
_OTHER = {
    "GlobalAvgPool1D": "GlobalAveragePooling1D", "GlobalMaxPool1D": "GlobalMaxPooling1D", "MaxPool1D": "MaxPooling1D",
    "AvgPool1D": "AveragePooling1D", "Convolution1D": "Conv1D", "AdditiveAttention": "Attention",
}  # fmt: skip


def by_hand(kind: str, config: Mapping[str, Any]) -> str:
    """"; by hand, in NumPy: ...": the line that does what a layer of class `kind` does; "" where none is known."""
    line = _LINES.get(_OTHER.get(kind, kind))
    if line is None:
        return ""
    one = ("kernel_size", "pool_size", "size", "strides")
    plain = {name: value[0] if name in one and isinstance(value, list | tuple) and value else value
             for name, value in config.items()}  # fmt: skip
    try:
        return f"; by hand, in NumPy: {line.format_map(plain)}"
    except (LookupError, ValueError, AttributeError):
        return ""
