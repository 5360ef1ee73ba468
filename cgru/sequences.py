"""Many sequences of different lengths: in one call, padded, or one after the other over a pool of threads."""

import numpy as np

from cgru import forward
from cgru.checks import input_array, is_packed
from cgru.layout import LAYOUTS
from cgru.threads import map_in_threads, thread_count


def call(model, x, hx, lengths, out, threads):
    """What a model's call returns for a list of sequences or a PackedSequence; see `Recurrent.__call__`."""
    kind = "PackedSequence" if is_packed(x) else "list of sequences"
    if lengths is not None:
        raise TypeError(f"lengths cannot be given beside a {kind}, which has its own")
    if out is not None:
        raise TypeError(f"out cannot be given beside a {kind}, whose results are new arrays; drop it")
    return (_call_packed if is_packed(x) else _call_list)(model, x, hx, threads)


def _run(model, x, lengths, hx, threads):
    """y as (T, N, features), the step in it at which each row begins, and the final state."""
    y, final = forward.call(model, x, hx, lengths, None, threads)
    y = LAYOUTS[model.batch_first, True].time_major(y)
    # an odd number of layers that go backwards leaves the padding in front
    in_front = model.go_backwards and model.num_layers % 2 == 1
    return y, len(y) - lengths if in_front else np.zeros_like(lengths), final


def _zeros(model, T, N):
    """An empty x in the model's layout, and the view (T, N, I) of it."""
    form = LAYOUTS[model.batch_first, True]
    x = np.zeros(form.shape(T, N, model.input_size), model.dtype)
    return x, form.time_major(x)


def _call_list(model, sequences, hx, threads):
    arrays = [_sequence(model, f"x[{row}]", sequence) for row, sequence in enumerate(sequences)]
    lengths = np.array([len(array) for array in arrays])
    x, rows = _zeros(model, lengths.max(), len(arrays))
    for row, array in enumerate(arrays):
        rows[: len(array), row] = array
    y, starts, final = _run(model, x, lengths, hx, threads)
    return [y[a : a + T, row].copy() for row, (a, T) in enumerate(zip(starts, lengths, strict=True))], final


def _sequence(model, name, value):
    """One sequence (T, I), as the model takes it."""
    x = input_array(name, value, model.dtype, model.input_size, "input_size")
    if x.ndim != 2:
        raise ValueError(f"{name} has {x.ndim} dimensions (shape {x.shape}), expected one sequence (T, I)")
    return x


def _call_packed(model, packed, hx, threads):
    """The packed rows in the caller's order, so hx and the final state are in that order too."""
    data = input_array("x.data", packed.data, model.dtype, model.input_size, "input_size")
    sizes = np.asarray(packed.batch_sizes)
    if data.ndim != 2 or sizes.sum() != len(data) or np.any(sizes[1:] > sizes[:-1]) or not np.all(sizes > 0):
        raise ValueError(
            f"x is no valid PackedSequence: batch_sizes {sizes.tolist()} do not fit data of shape {data.shape}"
        )
    N = int(sizes[0]) if len(sizes) else 0
    steps = np.repeat(np.arange(len(sizes)), sizes)
    rows = np.arange(len(data)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    if packed.sorted_indices is not None:
        order = np.asarray(packed.sorted_indices.cpu())
        rows = order[rows]
    x, by_step = _zeros(model, len(sizes), N)
    by_step[steps, rows] = data
    y, starts, final = _run(model, x, np.bincount(rows, minlength=N), hx, threads)
    # without importing the framework: a tensor of its own makes tensors of the model's dtype
    like = packed.data.detach()[:0]
    like = like.double() if model.dtype == np.float64 else like.float()
    y = like.new_tensor(y[steps + starts[rows], rows])
    y = type(packed)(y, packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices)
    final = tuple(like.new_tensor(plane) for plane in final) if isinstance(final, tuple) else like.new_tensor(final)
    return y, final


def map_sequences(model, sequences, threads):
    """(y, h_n) of every sequence; see `Recurrent.map`."""
    threads = thread_count(threads)
    if is_packed(sequences):
        raise TypeError("sequences is a PackedSequence, which a call takes: model(x)")
    items = enumerate(iter(sequences))

    def run(item):
        number, x = item
        return forward.call(model, _sequence(model, f"sequences[{number}]", x), None, None, None, 1)

    return map_in_threads(run, items, threads)
