"""Files of older versions of Keras, put together by hand."""

import json

import numpy as np

from support.peers import peer


def hard_sigmoid(a):
    """Of Keras 1 and 2."""
    return np.clip(0.2 * a + 0.5, 0, 1)


def write_h5(path, config, groups, version, *, nested=True):
    """A file of whole-model saving: configuration and arrays by layer."""
    h5py = peer("h5py")
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(config).encode()
        top = file.create_group("model_weights") if nested else file
        if version:
            top.attrs["keras_version"] = version.encode()
        top.attrs["layer_names"] = [name.encode() for name in groups]
        for name, arrays in groups.items():
            group = top.create_group(name)
            group.attrs["weight_names"] = [weight.encode() for weight in arrays]
            for weight, array in arrays.items():
                group[weight] = array.astype("f4")


#: The beginning of a program in which no framework can be imported.
WITHOUT_KERAS = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("keras", "tf_keras", "tensorflow", "jax", "torch"):
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocked())
"""
