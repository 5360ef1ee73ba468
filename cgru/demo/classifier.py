"""The demo's model: a GRU, and a linear head on its state."""

import numpy as np

from cgru.gru import GRU


class Classifier:
    """Nine speakers' scores from a GRU's state.

    Parameters
    ----------
    tensors : mapping of str to ndarray
        ``gru.weight_ih_l0`` (3H, 12), ``gru.weight_hh_l0`` (3H, H), ``gru.bias_ih_l0`` and ``gru.bias_hh_l0``
        (3H,), ``head.weight`` (9, H), ``head.bias`` (9,).

    Attributes
    ----------
    gru : cgru.GRU
    """

    def __init__(self, tensors):
        self.gru = GRU.from_state_dict(tensors, prefix="gru.")
        self._weight, self._bias = tensors["head.weight"], tensors["head.bias"]

    def probabilities(self, h):
        """(..., 9) probabilities of the speakers, from states h (..., H)."""
        return softmax(self.scores(h))

    def scores(self, h):
        """(..., 9) logarithms of the probabilities, up to a constant, from states h (..., H)."""
        return h @ self._weight.T + self._bias

    def batched(self, utterances):
        """All utterances in one call: the states y (T, N, H), and each one's last state, (N, H)."""
        y, h_n = self.gru(utterances.frames, lengths=utterances.lengths)
        return y, h_n[0]

    def stepped(self, frames):
        """One utterance (T, 12) as it comes in, frame by frame: the state after each frame, (T, H)."""
        states = np.empty((len(frames), self.gru.hidden_size), np.float32)
        stream = self.gru.stream()
        for x_t, h_t in zip(frames, states, strict=True):
            stream.step(x_t, out=h_t)
        return states


def softmax(scores):
    """Probabilities (..., C) from scores (..., C), safe for scores of any size."""
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def cross_entropy(scores, speaker):
    """Mean of -log of the probability that scores (N, C) give to the right speaker (N,)."""
    top = scores.max(axis=-1, keepdims=True)
    log_p = scores - top - np.log(np.exp(scores - top).sum(axis=-1, keepdims=True))
    return float(-log_p[np.arange(len(speaker)), speaker].mean())
