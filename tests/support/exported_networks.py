"""Networks of every cell and type of weights, for tests that run exported models elsewhere."""

import numpy as np

import cgru
from cgru import engines
from support.c_programs import expected, export

#: Where `packed` has fused multiply-adds its bits are those of every exported model that has them too.
FUSED = engines.load("packed").FUSED


def networks(rng):
    """Name -> network; sizes are odd, and fill no vector."""
    gru = cgru.GRU(3, 37, num_layers=2, rng=rng)
    lstm = cgru.LSTM(5, 19, rng=rng)
    normalizer = cgru.Linear.normalizer(rng.normal(size=4), rng.uniform(0.5, 2, 4))
    head = cgru.Linear(11, 6, activation="softmax", rng=rng)
    return {
        "gru": gru,
        "gru_before": cgru.GRU(3, 10, reset_after=False, rng=rng),
        "gru_bfloat16": gru.quantize("bfloat16"),
        "gru_int8": gru.quantize("int8"),
        "lstm": lstm,
        "lstm_int8": lstm.quantize("int8"),
        "rnn": cgru.RNN(4, 13, rng=rng),
        "chain": cgru.Sequential([normalizer, cgru.GRU(4, 11, rng=rng), head]),
        "skip": cgru.Sequential([cgru.LSTM(1, 9, rng=rng), cgru.Linear(9, 1, rng=rng)], skip=True),
    }


class Samples:
    """Networks exported into a folder, an input for each, and what its stream gives.

    Parameters
    ----------
    folder : Path
    rng : Generator
    steps : int
        Of every input.
    """

    def __init__(self, folder, rng, steps=9):
        self.networks = networks(rng)
        self.models = [export(network, folder, name) for name, network in self.networks.items()]
        self.x = {
            model.name: rng.normal(size=(steps, model.inputs)).astype(np.float32) for model in self.models
        }  # fmt: skip
        self.y = {name: expected(network, self.x[name]) for name, network in self.networks.items()}

    def requests(self, way="run"):
        """What `Program.ask` takes: each input once."""
        return [(name, x, way) for name, x in self.x.items()]

    def check(self, found, *, same_bits):
        """Hold the y of every request against Python's."""
        assert len(found) == len(self.y)
        for (name, wanted), y in zip(self.y.items(), found, strict=True):
            assert np.abs(wanted).max() > 0.05      # there is something to compare
            if same_bits and FUSED:
                np.testing.assert_array_equal(y, wanted, err_msg=name)
            else:
                # a number that is half way between two integers of 8 bits may fall to the other side
                np.testing.assert_allclose(y, wanted, rtol=0, atol=2e-2 if "int8" in name else 2e-6, err_msg=name)
