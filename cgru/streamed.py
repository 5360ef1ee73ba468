"""The ways to run a model step by step, which recurrent models and networks share: a stream, a pool, a window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic

from cgru.pool import Pool
from cgru.stream import Stream
from cgru.study.views import State, StateLike
from cgru.window import Window

if TYPE_CHECKING:
    from typing import Any


class Streamed(Generic[State, StateLike]):
    """Base of GRU, LSTM, RNN and Sequential."""

    __slots__ = ()

    def stream(self: Any, batch_size: int | None = None, hx: StateLike | None = None) -> Stream[State, StateLike]:
        """A `Stream` over this model: one step at a time, with the state kept in between.

        A step goes through all layers in one call, without Python in between. A network gives the y of every step,
        whatever its `last` says.

        Parameters
        ----------
        batch_size : int, optional
            Rows N that run side by side; None for one row without a batch dimension.
        hx : array_like, or for an LSTM (array_like, array_like), optional
            Initial state, (num_layers, N, H) or (num_layers, H); a network's is a tuple with each recurrent layer's
            own. By default as in a call.

        Raises
        ------
        ValueError
            The model, or a layer, is bidirectional or reversed; hx has the wrong shape.
        TypeError
            `batch_size` is no integer; an LSTM's hx that is no pair, a network's that is no tuple.

        Examples
        --------
        >>> import numpy as np, cgru
        >>> stream = cgru.GRU(3, 5, rng=0).stream()
        >>> out = np.empty(5, np.float32)
        >>> for x_t in np.ones((10, 3), np.float32):
        ...     h = stream.step(x_t, out=out)
        """
        return Stream(self, batch_size, hx)

    def pool(self: Any, capacity: int, *, threads: int = 1) -> Pool[State, StateLike]:
        """A `Pool` over this model: streams that come and go, any number of which make a step together.

        Parameters
        ----------
        capacity : int
            The most streams that can be open at a time; memory is that of so many.
        threads : int, default 1
            Threads over which the streams of a step are split where that is worth it; -1 is all cores.

        Raises
        ------
        ValueError
            The model, or a layer, is bidirectional or reversed; capacity or threads below 1.
        TypeError
            capacity or threads that are no integers.

        Examples
        --------
        >>> import numpy as np, cgru
        >>> pool = cgru.GRU(3, 5, rng=0).pool(100)
        >>> a, b, c = (pool.open() for _ in range(3))
        >>> pool.step([c, a], np.ones((2, 3))).shape
        (2, 5)
        >>> pool.close(a)
        >>> len(pool)
        2
        """
        return Pool(self, capacity, threads=threads)

    def window(self: Any, T: int, hx: StateLike | None = None) -> Window[StateLike]:
        """A `Window` over this model: what it gives for the last T samples, at the latency of one step.

        Parameters
        ----------
        T : int
            Steps of a window.
        hx : array_like, or for an LSTM (array_like, array_like), optional
            The state from which every window starts, as of a stream. By default as in a call.

        Raises
        ------
        ValueError
            The model, or a layer, is bidirectional or reversed; T below 1; hx has the wrong shape.
        TypeError
            T is no integer; an LSTM's hx that is no pair, a network's that is no tuple.

        Examples
        --------
        >>> import numpy as np, cgru
        >>> gru = cgru.GRU(3, 5, rng=0)
        >>> x = np.random.default_rng(0).random((30, 3), np.float32)
        >>> window = gru.window(10)
        >>> for x_t in x:
        ...     y = window.step(x_t)
        ...     window.settle()       # when there is time; else the next step does it
        >>> bool(np.all(y == gru(x[-10:])[0][-1]))
        True
        """
        return Window(self, T, hx)
