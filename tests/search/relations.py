"""What must be equal: each function goes through pairs of results that are promised to be the same bits.

x and y have time in front here, whatever the model's layout: `Subject` turns them.
"""

import copy
import functools
import pickle

import numpy as np

import cgru


def each_plane(state, function):
    """`function` of every array of a model's or a network's state."""
    if state is None:
        return None
    if isinstance(state, tuple):
        return tuple(each_plane(one, function) for one in state)
    return function(state)


def rows_of(state, rows):
    """The state of one row, or of some."""
    return each_plane(state, lambda plane: plane[:, rows])


class Subject:
    """A case's model, what goes in, and what it makes of all of it in one call."""

    def __init__(self, case, variables, folder):
        self.case, self.folder = case, folder
        self.model, self.hx = variables["model"], variables["hx"]
        self.x = self.turned(variables["x"])
        self.lengths = None if variables["lengths"] is None else np.array(variables["lengths"], int)
        self.T, self.N = self.x.shape[:2]
        self.last = bool(getattr(self.model, "last", False))
        #: The axis of rows in y.
        self.rows = 0 if self.last else 1
        self.whole = self(self.x, self.hx)

    @functools.cached_property
    def cut(self):
        """With the lengths."""
        return self(self.x, self.hx, lengths=self.lengths)

    def turned(self, array):
        """x or y with time in front, and back."""
        return array.swapaxes(0, 1) if self.model.batch_first and array.ndim == 3 else array

    def __call__(self, x, hx=None, *, model=None, out=None, **options):
        """y and the final state of x."""
        y, final = (model or self.model)(self.turned(x), hx, out=out, **options)
        return self.turned(y), final

    def row(self, result, row, steps=slice(None)):
        """What a batch's result says of one row: y of these steps, and its state."""
        y, final = result
        y = y.take(row, self.rows)
        return y if self.last else y[steps], rows_of(final, row)

    def valid(self, length):
        """Where a row's outputs stand: go_backwards leaves them at the end of a flipped sequence."""
        options = self.case.options
        behind = options.get("go_backwards") and options.get("num_layers", 1) % 2
        return slice(self.T - length, self.T) if behind else slice(0, length)

    @functools.cached_property
    def every(self):
        """The model that gives the y of every step, as its stream does."""
        model = self.model
        return cgru.Sequential(model.layers, skip=model.skip, batch_first=model.batch_first) if self.last else model


# ------------------------------------------------------------------------------------- calls of all kinds


def calls(s, rng):
    """Once more, into `out`, on threads, in other memory, through lengths that say nothing."""
    yield "the same call again", s(s.x, s.hx), s.whole
    threads = int(rng.integers(2, 6))
    yield f"model(x, hx, threads={threads})", s(s.x, s.hx, threads=threads), s.whole
    out = np.full(s.turned(s.whole[0]).shape, np.nan, s.model.dtype)
    yield f"model(x, hx, out=out, threads={threads})", s(s.x, s.hx, out=out, threads=threads), s.whole
    yield "out", s.turned(out), s.whole[0]
    wide = np.zeros((s.T, 2 * s.N, s.x.shape[2] + 3), s.x.dtype)
    wide[:, ::2, 3:] = s.x
    yield "model(x as a view of a wider array)", s(wide[:, ::2, 3:], s.hx), s.whole
    fortran = each_plane(s.hx, np.asfortranarray)
    yield "model(np.asfortranarray(x))", s(np.asfortranarray(s.x), fortran), s.whole
    if s.lengths is not None:
        yield "model(x, hx, lengths=all of them T)", s(s.x, s.hx, lengths=np.full(s.N, s.T)), s.whole


def layouts(s, rng):
    """batch_first and not."""
    other = s.model.replace(batch_first=not s.model.batch_first)
    y, final = other(np.ascontiguousarray(s.x if s.model.batch_first else s.x.swapaxes(0, 1)), s.hx)
    flip = other.batch_first and y.ndim == 3
    yield "model.replace(batch_first=...)", (y.swapaxes(0, 1) if flip else y, final), s.whole


def rows(s, rng):
    """A row alone, without a batch and with one; some of them, repeated and exchanged."""
    if not s.N:
        return
    for row in {0, s.N - 1, int(rng.integers(s.N))}:
        alone = s.model(s.x[:, row], rows_of(s.hx, row))
        yield f"model(row {row} alone)", alone, s.row(s.whole, row)
    chosen = rng.integers(0, s.N, int(rng.integers(0, 2 * s.N + 1)))
    threads = int(rng.integers(1, 4))
    found = s(s.x[:, chosen], rows_of(s.hx, chosen), threads=threads)
    wanted = s.whole[0].take(chosen, s.rows), rows_of(s.whole[1], chosen)
    yield f"model(x[:, {chosen.tolist()}], threads={threads})", found, wanted


def lengths(s, rng):
    """Each row cut to its length; on threads; whatever stands past the lengths."""
    if s.lengths is None:
        return
    threads = int(rng.integers(2, 6))
    yield f"model(lengths=, threads={threads})", s(s.x, s.hx, lengths=s.lengths, threads=threads), s.cut
    spoiled = s.x.copy()
    spoiled[np.arange(s.T)[:, None] >= s.lengths] = np.nan
    yield "model(lengths=, NaN past them)", s(spoiled, s.hx, lengths=s.lengths), s.cut
    for row in rng.permutation(s.N)[:6]:
        length = s.lengths[row]
        alone = s.model(np.ascontiguousarray(s.x[:length, row]), rows_of(s.hx, row))
        yield f"model(row {row} cut to {length} steps)", alone, s.row(s.cut, row, s.valid(length))


# --------------------------------------------------------------------------------------- copies and looks


def copies(s, rng):
    """Pickled, copied, saved and loaded."""
    yield "a pickled model", s(s.x, s.hx, model=pickle.loads(pickle.dumps(s.model))), s.whole
    yield "a copied model", s(s.x, s.hx, model=copy.deepcopy(s.model)), s.whole
    if rng.random() < 0.3:
        s.model.save(s.folder / "m.safetensors")
        loaded = cgru.load(s.folder / "m.safetensors", engine=s.case.variant.engine)
        yield "a saved and loaded model", s(s.x, s.hx, model=loaded), s.whole


def looks(s, rng):
    """What `record` and `trace` say of y and the final state."""
    turned = s.turned(s.x)
    if not s.case.variant.quantizes:
        y, final, _ = s.model.record(turned, s.hx, lengths=s.lengths)
        yield "model.record(x, hx, lengths=)", (s.turned(y), final), s.cut
    if s.case.recipe is None:
        y, final, _ = s.model.trace(turned, s.hx, lengths=s.lengths)
        yield "model.trace(x, hx, lengths=)", (s.turned(y), final), s.cut


# ---------------------------------------------------------------------------------------- piece by piece


def pieces(s, rng):
    """Chunks through the model, through a stream, and steps of a batch."""
    if not s.case.streams:
        return
    model = s.every
    wanted = s(s.x, s.hx, model=model)
    cuts = sorted(rng.integers(0, s.T + 1, int(rng.integers(1, 5))).tolist())
    bounds = list(zip([0, *cuts], [*cuts, s.T], strict=True))
    state, parts = s.hx, []
    for begin, end in bounds:
        y, state = s(s.x[begin:end], state, model=model)
        parts.append(y)
    yield f"model(x) in pieces that end at {cuts}", (np.concatenate(parts), state), wanted
    if not s.N:
        return
    stream, parts = model.stream(s.N, s.hx), [wanted[0][:0]]
    for begin, end in bounds:  # run and step by turns
        if rng.random() < 0.5:
            parts.append(s.turned(stream.run(s.turned(s.x[begin:end]))))
        else:
            parts += [stream.step(np.ascontiguousarray(x_t))[None] for x_t in s.x[begin:end]]
    yield f"stream.run and step by turns, {cuts}", (np.concatenate(parts), stream.state), wanted


def steps(s, rng):
    """One row's stream; some rows of a stream at a time; a pool; a window."""
    if not s.case.streams or not s.N:
        return
    model = s.every
    y, final = s(s.x, s.hx, model=model)
    row = int(rng.integers(s.N))
    alone = model.stream(hx=rows_of(s.hx, row))
    found = [alone.step(np.ascontiguousarray(x_t)) for x_t in s.x[:, row]]
    wanted = y[:, row], rows_of(final, row)
    yield f"stream.step of row {row}", (np.array(found).reshape(wanted[0].shape).astype(y.dtype), alone.state), wanted
    yield "stream.step(rows=)", _apart(s, rng, model.stream(s.N, s.hx), y, None), (y, final)
    pool = model.pool(s.N, threads=int(rng.integers(1, 3)))
    ids = np.array([pool.open(rows_of(s.hx, k)) for k in range(s.N)])
    yield "pool.step of some ids", _apart(s, rng, pool, y, ids)[0], y
    yield f"pool.state of row {row}", pool.state(int(ids[row])), rows_of(final, row)
    T = int(rng.integers(1, s.T + 2))
    if s.T <= 24:
        start = rows_of(s.hx, row)
        window, end = model.window(T, start), None
        for x_t in s.x[:, row]:
            end = window.step(np.ascontiguousarray(x_t))
        if s.T:
            yield f"window({T}) of row {row}", end, model(s.x[-T:, row], start)[0][-1]


def _apart(s, rng, runner, y, ids):
    """Rows that go on at times of their own; y of all of them, and the state at the end."""
    found, at = np.full_like(y, np.nan), np.zeros(s.N, int)
    while (at < s.T).any():
        ready = np.flatnonzero(at < s.T)
        some = rng.permutation(ready)[: rng.integers(1, len(ready) + 1)]
        x = np.ascontiguousarray(s.x[at[some], some])
        found[at[some], some] = runner.step(x, rows=some) if ids is None else runner.step(ids[some], x)
        at[some] += 1
    return found, None if ids is not None else runner.state


# -------------------------------------------------------------------------------- what is not finite


def one_nan(result):
    """A result whose NaNs are all the same one: which NaN it is, is not promised."""
    return each_plane(tuple(result), lambda array: np.where(np.isnan(array), np.float32(np.nan), array))


def odd_rows(s, rng):
    """NaN and infinity stay in their row and behind their step, and are the same ones however x is fed."""
    if not s.N or not s.T or not s.x.shape[2]:
        return
    t, row, feature = (int(rng.integers(size)) for size in s.x.shape)
    value = [np.nan, -np.nan, np.inf, -np.inf][rng.integers(4)]
    x = s.x.copy()
    x[t, row, feature] = value
    odd, others = s(x, s.hx), [k for k in range(s.N) if k != row]
    name = f"{value} in x[{t}, {row}, {feature}]"
    clean = s.whole[0].take(others, s.rows), rows_of(s.whole[1], others)
    yield f"{name}: other rows", (odd[0].take(others, s.rows), rows_of(odd[1], others)), clean
    yield f"{name}: threads=3", one_nan(s(x, s.hx, threads=3)), one_nan(odd)
    yield f"{name}: alone", one_nan(s.model(x[:, row], rows_of(s.hx, row))), one_nan(s.row(odd, row))
    if s.case.streams and not s.last:
        yield f"{name}: before it", odd[0][:t], s.whole[0][:t]
        if np.isnan(value):
            yield f"{name}: NaN from there on", np.isnan(odd[0][t:, row]), np.ones_like(odd[0][t:, row], bool)
        first, state = s(x[: t + 1], s.hx)
        second, state = s(x[t + 1 :], state)
        yield f"{name}: in two pieces", one_nan((np.concatenate([first, second]), state)), one_nan(odd)
        stream = s.model.stream(s.N, s.hx)
        found = np.stack([stream.step(np.ascontiguousarray(x_t)) for x_t in x])
        yield f"{name}: stream.step", one_nan((found, stream.state)), one_nan(odd)


EVERY = (calls, layouts, rows, lengths, copies, looks, pieces, steps, odd_rows)
