"""An `out` over the memory that x or hx is read from: noticed whatever object that memory comes in, before a write."""

import numpy as np
import pytest

from support.compare import assert_same_bits
from support.models import pack
from support.variants import WEIGHTS

pytestmark = pytest.mark.variants(weights=WEIGHTS)

T, N, H = 20, 3, 8


class ArrayInterface:
    """Memory by NumPy's protocol, and no array."""

    def __init__(self, array):
        self.array = array
        self.__array_interface__ = array.__array_interface__


class ArrayMethod:
    """The same by NumPy's method."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return self.array


OBJECTS = {
    "array": lambda array: array,
    "subclass": lambda array: array.view(np.recarray),
    "buffer": memoryview,
    "interface": ArrayInterface,
    "method": ArrayMethod,
}


@pytest.mark.parametrize("form", [*OBJECTS, "tensor"])
def test_an_out_over_x_or_hx(best, rng, form, request):
    make = request.getfixturevalue("torch").from_numpy if form == "tensor" else OBJECTS[form]
    model = best.model(2 * H, H, bidirectional=True, rng=1)
    memory = best.cast(rng.normal(size=((T + 1) * N * 2 * H)))
    size, kept = T * N * 2 * H, memory.copy()
    out = memory[:size].reshape(T, N, 2 * H)
    for shift in (0, 2 * H, 1, N * 2 * H):
        x = memory[shift : shift + size].reshape(T, N, 2 * H)
        with pytest.raises(ValueError, match="out overlaps x"):
            model(make(x), out=out)
    hx = memory[: 2 * N * H].reshape(2, N, H)
    for plane in range(len(best.cell.states)):
        given = pack([make(hx) if number == plane else np.zeros_like(hx) for number in range(len(best.cell.states))])
        with pytest.raises(ValueError, match="out overlaps hx"):
            model(kept[:size].reshape(out.shape), given, out=out)
    assert_same_bits(memory, kept)


def test_what_is_copied_on_its_way_in_may_lie_there(best, rng):
    """Nothing is read from the caller's memory any more when `out` is written."""
    model = best.model(H, H, rng=1)
    memory = np.zeros(2 * T * N * H * 8, np.uint8)
    out = memory[: T * N * H * best.dtype.itemsize].view(best.dtype).reshape(T, N, H)
    other = np.float64 if best.dtype == np.float32 else np.float32
    x = memory[: T * N * H * np.dtype(other).itemsize].view(other).reshape(T, N, H)
    x[:] = rng.normal(size=x.shape)
    expected = model(x.copy())
    assert_same_bits(model(x, out=out), expected)


def test_an_out_beside_both(best, rng):
    """Neighbours in one piece of memory do not overlap."""
    model = best.model(H, H, rng=1)
    memory = best.cast(rng.normal(size=(2 * T, N, H)))
    expected = model(memory[T:].copy())
    assert_same_bits(model(memoryview(memory[T:]), out=memory[:T]), expected)
