"""What all runs share. Standard library only: the command line reads it before NumPy is loaded."""

from dataclasses import dataclass

# Adam's rate for each network: at T = 50 the best of 0.0003, 0.001, 0.003, 0.01 (GRU, LSTM: of the last two).
RATES = {"RNN": 1e-3, "GRU": 1e-2, "LSTM": 1e-2}
NETWORKS = tuple(RATES)
CHANCE = 1 / 6  # mean squared error of the constant 1: twice the variance of a uniform number
SOLVED = 0.01
TESTS = 1000  # sequences, the same for all runs of one T
EVALUATIONS = 60  # points of a curve


@dataclass(frozen=True)
class Settings:
    """What all runs share."""

    hidden_size: int = 32
    steps: int = 6000
    batch: int = 32
    rate: float | None = None  # of Adam; by default each network's own of `RATES`
    max_norm: float = 1.0  # the gradients of a step are scaled down to it
