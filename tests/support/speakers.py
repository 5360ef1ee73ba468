"""The Japanese Vowels data, of which each half lies in another place."""

import hashlib

import numpy as np


def utterances_are(data, per_speaker, frames, sha256, readme):
    """Check a split: utterances of each speaker, (all frames, shortest, longest), the frames' hash, and its README."""
    total, shortest, longest = frames
    assert len(data) == sum(per_speaker)
    assert np.bincount(data.speaker).tolist() == per_speaker
    assert (data.lengths.sum(), data.lengths.min(), data.lengths.max()) == (total, shortest, longest)
    assert data.frames.shape == (longest, len(data), 12)
    assert data.frames.dtype == np.float32
    valid = np.concatenate([data.frames[:length, k] for k, length in enumerate(data.lengths)])
    assert hashlib.sha256(valid.astype("<f4").tobytes()).hexdigest() == sha256
    for k, length in enumerate(data.lengths):
        assert not data.frames[length:, k].any()
    assert sha256 in readme
    assert "10.24432/C5NS47" in readme and "CC BY 4.0" in readme
