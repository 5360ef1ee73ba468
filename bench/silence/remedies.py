"""What a user can do about it, each tried: sound, silence, sound; the time of blocks late in the silence, and y."""

import time

import numpy as np

import cgru
from bench.silence import fate, floating
from bench.silence.settings import BLOCK, RATE

NOTHING = "nothing"


def zeros(net, count):
    """Silence."""
    return np.zeros((count, 1), np.float32)


def noise(level):
    """Silence with white noise of that size."""
    return lambda net, count: np.random.default_rng(5).uniform(-level, level, (count, 1)).astype(np.float32)


def constant(level):
    """Silence with that number in the place of zero."""
    return lambda net, count: np.full((count, 1), level, np.float32)


def biased(net, bias):
    """The network with that number as the bias of n in its GRU."""
    gru, head = net.layers
    state, H = gru.state_dict(), gru.hidden_size
    b = np.zeros(3 * H, np.float32)
    b[2 * H :] = bias
    state |= {"bias_ih_l0": b, "bias_hh_l0": np.zeros(3 * H, np.float32)}
    return cgru.Sequential([cgru.GRU.from_state_dict(state), head], skip=net.skip)


def remedies(net):
    """By name: the network, the x of silence, whether the thread flushes, whether the stream is reset in it."""
    found = {NOTHING: (net, zeros, False, False)}
    for level in (1e-30, 1e-20, 1e-15, 1e-12):
        found[f"noise of {level:g} in x"] = net, noise(level), False, False
    found["1e-12 added to x"] = net, constant(1e-12), False, False
    for bias in (1e-20, 1e-12):
        found[f"a bias of {bias:g}"] = biased(net, bias), zeros, False, False
    found["reset() after a second"] = net, zeros, False, True
    if floating.AVAILABLE:
        found["subnormals flushed by the thread"] = net, zeros, True, False
    return found


def measure(net, seconds=3.0, rounds=200):
    """Sound of 0.1 s, silence of so many seconds, and the same sound again.

    Returns
    -------
    dict of str to dict
        By remedy ``ns``, nanoseconds a step in blocks at the end of the silence, and ``over_sound``, how many times
        those of a block of sound that took turns with it; ``difference``: the largest of y, sound and silence, from
        what it is with nothing done; ``same_bits``: of the first sound, and of the second.
    """
    sound, count = fate.burst(), int(seconds * RATE) // BLOCK * BLOCK
    ys, times, found = {}, {}, {}
    for name, (model, silence, flush, reset) in remedies(net).items():
        x = silence(model, count)
        if flush:
            floating.set_flush(True)
        try:
            ys[name], times[name] = _go(model, sound, x, reset, rounds)
        finally:
            if flush:
                floating.set_flush(False)
    for name, (quiet, loud) in times.items():
        parts = [slice(0, len(sound)), slice(-len(sound), None)]
        found[name] = {
            "ns": quiet, "over_sound": quiet / loud,
            "difference": float(np.abs(ys[name].astype(np.float64) - ys[NOTHING]).max()),
            "same_bits": [bool(np.array_equal(ys[name][part], ys[NOTHING][part])) for part in parts],
        }  # fmt: skip
    return found


def _go(net, sound, silence, reset, rounds):
    """y of sound, silence and sound; the median time of a step, in silence and in sound."""
    stream, beside = net.stream(), net.stream()
    out = np.empty((BLOCK, 1), np.float32)
    y = [stream.run(sound)]
    if reset:
        y.append(stream.run(silence[:RATE]))
        stream.reset()
        silence = silence[RATE:]
    y.append(stream.run(silence))
    quiet, loud, kept = [], [], stream.copy()
    x, end = np.ascontiguousarray(silence[-BLOCK:]), stream.state
    for at in range(rounds):
        block = np.ascontiguousarray(sound[at * BLOCK % (len(sound) - BLOCK) :][:BLOCK])
        kept.state = end
        for samples, one, of in ((quiet, kept, x), (loud, beside, block)):
            start = time.thread_time_ns()
            one.run(of, out=out)
            samples.append((time.thread_time_ns() - start) / BLOCK)
    y.append(stream.run(sound))
    return np.concatenate(y), (float(np.median(quiet)), float(np.median(loud)))
