"""What a caller passes to a pool of streams: checks, and ids as the compiled part wants them."""

import itertools

import numpy as np

from cgru.checks import check_size

#: An id is a ticket, of which there is one in the process, with the stream's place in its pool in these low bits.
SLOT_BITS = 24

#: next() of it is atomic.
_tickets = itertools.count(1)


def checked_capacity(capacity):
    """`capacity` as an int."""
    capacity = check_size("capacity", capacity)
    if capacity > 1 << SLOT_BITS:
        raise ValueError(f"capacity={capacity} is more than a pool can hold, {1 << SLOT_BITS}; make several pools")
    return capacity


def new_id(slot):
    """An id that no stream in this process has had, for the stream in this place of its pool."""
    return next(_tickets) << SLOT_BITS | slot


def id_array(ids):
    """`ids` as int64, (M,), or () of a single one."""
    try:
        found = np.asarray(ids)
    except (ValueError, OverflowError, TypeError):
        found = np.asarray(None)
    if found.size == 0 and found.ndim == 1 and not isinstance(ids, np.ndarray):
        return np.empty(0, np.int64)
    if found.dtype.kind in "fO" and found.ndim < 2:     # numbers too large for int64, or unsigned ones beside signed
        given = list(ids) if found.ndim else [ids]
        if all(type(one) is int or isinstance(one, np.integer) for one in given):
            return _fitting(given, found.shape)
    if found.dtype.kind not in "iu":
        kind = type(ids).__name__ if found.dtype == object else found.dtype
        raise TypeError(f"ids must be integers, an id or one for each row of x, as from open(); got {kind}")
    if found.ndim > 1:
        raise ValueError(f"ids must be one id, or a sequence of them; got an array of shape {found.shape}")
    if found.dtype == np.uint64:
        return _fitting(found.ravel().tolist(), found.shape)
    return np.require(found, np.int64, ["C", "A"]).reshape(found.shape)


def _fitting(numbers, shape):
    """Integers as an array of int64; no stream has one that it does not hold."""
    for place, number in enumerate(numbers):
        if not -(1 << 63) <= number < 1 << 63:
            raise not_open(number, place if shape else None)
    return np.array(numbers, np.int64).reshape(shape)


def id_of(value):
    """A single id."""
    found = id_array(value)
    if found.ndim:
        raise TypeError(f"id must be one integer, as from open(); got {value!r}")
    return int(found)


def not_open(number, place=None):
    """The error of an id that is none."""
    where = "id" if place is None else f"ids[{place}] ="
    return ValueError(
        f"{where} {number} is no open stream of this pool: it was closed, or another pool's, or never given by open(); "
        "ids are the open ones"
    )


def twice(number, place):
    """The error of an id that is given twice."""
    return ValueError(f"ids[{place}] = {number} is given a second time; a stream makes one step at a time")


def full(capacity):
    """The error of a pool without room."""
    return RuntimeError(f"this pool is full: all {capacity} of its streams are open; close one, or make a larger pool")
