"""A pool beside streams: each open id has a `Stream` of its own, which gets the same steps and states."""

import numpy as np
import pytest

from support.compare import assert_same_bits
from support.models import on_planes


def fresh_hx(model, rng):
    """A random state of one stream of a model, in the form that `model.stream(hx=)` takes."""

    def random(state):
        return on_planes(state, lambda plane: rng.uniform(-1, 1, plane.shape).astype(plane.dtype))

    state = model.stream().state
    return tuple(map(random, state)) if hasattr(model, "layers") else random(state)


class Beside:
    """A pool and what it should be.

    Parameters
    ----------
    model : GRU, LSTM, RNN or Sequential
    capacity : int
    rng : Generator
    options : dict
        Of `model.pool`.
    """

    def __init__(self, model, capacity, rng, **options):
        self.model, self.rng = model, rng
        self.outputs = model.output_size if hasattr(model, "layers") else model.hidden_size
        self.pool, self.streams = model.pool(capacity, **options), {}

    def open(self, *, random=False):
        """Open a stream in both, from h_0 or a random state; its id."""
        hx = fresh_hx(self.model, self.rng) if random else None
        number = self.pool.open(hx)
        assert type(number) is int and number >= 0 and number not in self.streams
        self.streams[number] = self.model.stream(hx=hx)
        return number

    def fill(self):
        """Open until the pool is full, every other one from a random state; the ids."""
        while len(self.pool) < self.pool.capacity:
            self.open(random=len(self.pool) % 2 == 1)
        return list(self.streams)

    def close(self, number):
        """Close one in both."""
        assert self.pool.close(number) is None
        del self.streams[number]

    def set_state(self, number):
        """Give one a random state in both."""
        hx = fresh_hx(self.model, self.rng)
        assert self.pool.set_state(number, hx) is None
        self.streams[number].state = hx

    def draw(self, *shape):
        """A random x; some of it 0 and -0."""
        x = self.rng.normal(size=(*shape, self.model.input_size)).astype(self.model.dtype)
        x[self.rng.random(x.shape) < 0.05] = 0.0
        x[self.rng.random(x.shape) < 0.05] = -0.0
        return x

    def some(self, count):
        """So many of the open ids, in random order."""
        return [int(number) for number in self.rng.permutation(list(self.streams))[:count]]

    def step(self, numbers, ids=None, *, with_out=False):
        """Advance these in both, named to the pool as `ids`: the outputs are the same bits."""
        x = self.draw(len(numbers))
        wanted = np.empty((len(numbers), self.outputs), self.model.dtype)
        for row, number in enumerate(numbers):
            self.streams[number].step(x[row], out=wanted[row])
        out = np.full_like(wanted, np.nan) if with_out else None
        y = self.pool.step(numbers if ids is None else ids, x, out=out)
        assert out is None or y is out
        assert_same_bits(y, wanted)
        return y

    def step_one(self, number, given=None):
        """Advance one by its number alone, without a batch."""
        x = self.draw()
        y = self.pool.step(number if given is None else given, x)
        assert_same_bits(y, self.streams[number].step(x))

    def check(self):
        """Ids, their order, and every state."""
        pool, numbers = self.pool, list(self.streams)
        assert len(pool) == len(numbers) and pool.ids.dtype == np.int64
        assert pool.ids.tolist() == numbers and all(number in pool for number in numbers)
        for number, stream in self.streams.items():
            assert_same_bits(pool.state(number), stream.state)

    def refused(self, error, match, call, *arguments, **options):
        """The call raises this error, and nothing has changed."""
        with pytest.raises(error, match=match) as caught:
            call(*arguments, **options)
        assert caught.type in (error if isinstance(error, tuple) else (error,))     # not a subclass that says less
        self.check()
