"""What the parts share. Standard library only: the command line reads it before NumPy is loaded."""

from dataclasses import dataclass

RATE = 48_000  # samples per second
BLOCK = 64  # samples that an audio interface hands over at once
HIDDEN = 40


@dataclass(frozen=True)
class Settings:
    """How the network is trained."""

    seconds: float = 32.0  # of the training signal
    test_seconds: float = 8.0
    rows: int = 32  # the training signal is cut into so many pieces, which run side by side
    chunk: int = 512  # samples of each that a gradient looks back over; the state goes on
    epochs: int = 36
    rate: float = 8e-3  # of Adam; it falls to 0 along half a cosine
    max_norm: float = 1.0  # the gradients of a step are scaled down to it
    seed: int = 0
    bias: bool = True  # of both layers


QUICK = Settings(seconds=1.0, test_seconds=0.5, rows=8, chunk=256, epochs=2)
