"""The experiment's sound, made from a seed: plucked strings, and an amplifier that distorts them."""

import numpy as np
from scipy.signal import butter, lfilter

from bench.audio.settings import RATE

PITCHES = 82.41 * 2 ** (np.array([0, 3, 5, 7, 10, 12, 15, 17, 19, 22, 24, 27, 29, 31]) / 12)  # E minor, five tones
RINGING = 1.5  # seconds that a string sounds


def plucked_string(rng, period, samples):
    """A string after Karplus and Strong: a burst of noise that goes round a delay line and is averaged there.

    Parameters
    ----------
    rng : numpy.random.Generator
    period : int
        Samples of the delay line: the tone has RATE / (period + 0.5) Hz.
    samples : int

    Returns
    -------
    (samples,) float64

    References
    ----------
    Karplus and Strong, "Digital synthesis of plucked-string and drum timbres", 1983.
    """
    softness = rng.uniform(0.3, 0.9)
    burst = lfilter([1 - softness], [1, -softness], rng.uniform(-1, 1, period))
    y = np.zeros(period + 1 + samples)
    y[1 : period + 1] = (burst - burst.mean()) / np.abs(burst).max()
    for start in range(period + 1, len(y), period):
        stop = min(start + period, len(y))
        y[start:stop] = 0.498 * (y[start - period : stop - period] + y[start - period - 1 : stop - period - 1])
    return y[period + 1 :]


def guitar(rng, seconds):
    """Notes and small chords, soft and loud, with rests: (T,) float64 within 1, T = seconds * RATE."""
    x = np.zeros(int(seconds * RATE))
    start = 0
    while start < len(x):
        samples = min(int(RINGING * RATE), len(x) - start)
        level = 10 ** rng.uniform(-1.3, 0)
        for pitch in rng.choice(PITCHES, rng.choice([1, 1, 1, 2, 3]), replace=False):
            x[start : start + samples] += level * plucked_string(rng, round(RATE / pitch - 0.5), samples)
        start += int(RATE * rng.choice([0.12, 0.25, 0.25, 0.5, 1.0]))
    return x / np.abs(x).max()


def amplifier(x):
    """What the network has to learn: a high-pass filter, a tube that bends one side more, two filters again.

    Parameters
    ----------
    x : (T,) float64

    Returns
    -------
    (T,) float64
        All of it at RATE, so what the tube aliases is part of the sound.
    """
    tight = lfilter(*butter(1, 150, "highpass", fs=RATE), x)
    bent = np.tanh(8 * tight + 0.4) - np.tanh(0.4)
    cabinet = lfilter(*butter(2, 4500, fs=RATE), bent)
    return 0.7 * lfilter(*butter(1, 40, "highpass", fs=RATE), cabinet)


def recording(rng, seconds):
    """The strings, and the amplifier's sound of them: (T, 1) float32 each."""
    x = guitar(rng, seconds)
    return x[:, None].astype(np.float32), amplifier(x)[:, None].astype(np.float32)


def error_to_signal(y, target):
    """ESR: the energy of the error over that of the target."""
    y, target = y.astype(np.float64), target.astype(np.float64)
    return float(((y - target) ** 2).sum() / (target**2).sum())
