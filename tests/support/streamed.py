"""A stream of the C extension tests/capi/calls.c, to be used as a `Stream` is."""

import numpy as np

OK = 0


class Streamed:
    """A model with a stream in C; everything it gives is asserted to be well."""

    def __init__(self, calls, model, rows=1):
        self.calls, self.dtype, self.rows = calls, model.dtype, rows
        self.model = calls.model_new(model)
        self.input_size, self.output_size, self.state_size, itemsize = calls.sizes(self.model)
        assert itemsize == model.dtype.itemsize
        code, self.stream = calls.stream_new(self.model, rows)
        assert code == OK and self.stream

    def step(self, x, stream=None):
        y = np.full((self.rows, self.output_size), np.nan, self.dtype)
        assert self.calls.stream_run(stream or self.stream, 1, np.ascontiguousarray(x, self.dtype), y, True) == OK
        return y

    def run(self, x):
        y = np.full((len(x), self.rows, self.output_size), np.nan, self.dtype)
        assert self.calls.stream_run(self.stream, len(x), np.ascontiguousarray(x, self.dtype), y, False) == OK
        return y

    @property
    def state(self):
        state = np.full(self.rows * self.state_size, np.nan, self.dtype)
        assert self.calls.state(self.stream, state, False) == OK
        return state

    def set_state(self, state):
        assert self.calls.state(self.stream, np.ascontiguousarray(state), True) == OK

    def reset(self):
        assert self.calls.stream_reset(self.stream) == OK

    def free(self):
        assert self.calls.stream_free(self.stream) == OK
        assert self.calls.model_free(self.model) == OK


def flat(state):
    """A stream's state as C has it: for each layer h and then an LSTM's c."""
    planes = state if isinstance(state, tuple) else (state,)
    return np.concatenate([plane[layer].ravel() for layer in range(len(planes[0])) for plane in planes])
