"""What the parts share. Standard library only: the command line reads it before NumPy is loaded."""

from bench.audio.settings import BLOCK, HIDDEN, RATE

__all__ = ["BLOCK", "EPOCHS", "HIDDEN", "LEVELS", "MEMORY", "RATE"]

EPOCHS = 12  # of the network's training, a third of what bench/audio takes
MEMORY = 0.99  # the factor by which the slowest part of a state shrinks in a step of silence
# The largest number of a state, as far from the end of each dtype's numbers
LEVELS = {
    "float32": {"signal": 0.1, "quiet": 1e-12, "small squares": 1e-20, "subnormal": 1e-40, "zero": 0.0},
    "float64": {"signal": 0.1, "quiet": 1e-100, "small squares": 1e-157, "subnormal": 1e-310, "zero": 0.0},
}
