"""The demo's real data and its trained model, read from inside the package."""

from dataclasses import dataclass
from importlib import resources
from io import BytesIO

import numpy as np

from cgru.sequential import Sequential
from cgru.stored import load

SPEAKERS = 9
FEATURES = 12


@dataclass(frozen=True)
class Utterances:
    """A set of utterances, padded with zeros to the longest.

    Attributes
    ----------
    frames : (T, N, 12) float32
        Linear-prediction cepstrum coefficients, time first; zero past an utterance's length.
    lengths : (N,) int64
        Valid frames of each utterance.
    speaker : (N,) int64
        Who speaks, 0 to 8 (speaker 1 to 9 in everything that is printed).
    """

    frames: np.ndarray
    lengths: np.ndarray
    speaker: np.ndarray

    def __len__(self):
        return len(self.lengths)

    def __getitem__(self, rows):
        """The utterances that an index array or slice selects, still padded to the same T."""
        return Utterances(self.frames[:, rows], self.lengths[rows], self.speaker[rows])


def load_utterances(split, file=None):
    """Read one split of the Japanese Vowels data.

    Parameters
    ----------
    split : {"train", "test"}
        270 or 370 utterances: the split of the source.
    file : str or path, optional
        Where its arrays are, if not in the package, which has "test"; "train" is in the repository,
        ``examples/speakers/training_utterances.npz``.

    Returns
    -------
    Utterances
        The source's decimal values, rounded once to float32.

    Raises
    ------
    ValueError
        If the package does not have the split.
    """
    if file is None and split != "test":
        raise ValueError(
            f'split is "test" in the package, got {split!r}; the training utterances are in cgru\'s repository: '
            "give file=.../examples/speakers/training_utterances.npz"
        )
    file = BytesIO(read("japanese_vowels.npz")) if file is None else file
    with np.load(file, allow_pickle=False) as stored:
        low, middle, high = stored[f"{split}_frames"].astype(np.int32)  # (12, sum of lengths) each
        lengths = stored[f"{split}_lengths"].astype(np.int64)
        speaker = stored[f"{split}_speaker"].astype(np.int64) - 1
    # differences from frame to frame, in units of 1e-6
    micro = np.cumsum(low + (middle << 8) + (high << 16) - (1 << 23), axis=1).T
    frames = np.zeros((lengths.max(), len(lengths), FEATURES), np.float32)
    valid = np.arange(len(frames)) < lengths[:, None]  # (N, T): row-major order is the stored order
    frames.swapaxes(0, 1)[valid] = micro / 1e6
    return Utterances(frames, lengths, speaker)


def load_network():
    """Read the trained network: GRU(12, 32) and Linear(32, 9) with softmax, which sees an utterance's last frame.

    A stream of it gives the probabilities after every frame.
    """
    with resources.as_file(resources.files(__package__) / "model.safetensors") as path:
        return Sequential.from_chain(load(path))


def read(name):
    """Return the bytes of a file of this package, wherever it is installed (a zip file too)."""
    return (resources.files(__package__) / name).read_bytes()
