"""How rows of a stream may be named, and how not."""

import numpy as np

#: Rows of the stream.
N = 7

FORMS = {
    "index": 2,
    "index of NumPy": np.int16(2),
    "from the end": -1,
    "indices": [5, 0, 3],
    "tuple": (4, -7),
    "array": np.array([6, 1], np.uint8),
    "slice": slice(1, 6, 2),
    "all": slice(None),
    "mask": [True, False, False, True, False, False, True],
    "mask of NumPy": np.arange(N) % 3 == 1,
    "none of them": [],
}

BAD_FORMS = {
    "above": N,
    "below": -N - 1,
    "one above": [0, N],
    "short mask": [True, False],
    "fraction": 1.5,
    "fractions": [0.0, 1.0],
    "text": "0",
    "twice": [3, 1, 3],
    "twice, from the end": [-1, N - 1],
    "a bool": True,
    "two axes": [[0, 1], [2, 3]],
    "mapping": {0: 1},
}
