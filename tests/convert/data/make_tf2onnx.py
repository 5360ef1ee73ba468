"""Writes the models of Keras beside it: ``python make_tf2onnx.py``, with tensorflow, tf_keras and tf2onnx.

Made with tensorflow 2.21, tf_keras 2.21, tf2onnx 1.17 and NumPy 2.2. Keras 3's layers become loops, which no reader of
chains reads; those of Keras 2 become GRU and LSTM nodes, a SimpleRNN a loop.
"""

import os
from pathlib import Path

os.environ["TF_USE_LEGACY_KERAS"] = "1"

import numpy as np

# tf2onnx still uses names of NumPy 1
vars(np).update(bool=bool, object=object)
vars(np)["cast"] = type("Cast", (dict,), {"__missing__": lambda self, dtype: lambda a: np.asarray(a).astype(dtype)})()

import onnx  # noqa: E402
import tensorflow as tf  # noqa: E402
import tf2onnx  # noqa: E402
import tf_keras as keras  # noqa: E402

T, N, I = 6, 4, 3  # noqa: E741


def networks():
    """Name -> layers."""
    layers = keras.layers
    return {
        "gru": [
            layers.Dense(4, activation="relu"), layers.GRU(5, return_sequences=True), layers.GRU(6),
            layers.Dropout(0.1), layers.Dense(2, activation="softmax"),
        ],
        "bilstm": [
            layers.BatchNormalization(), layers.Bidirectional(layers.LSTM(5, return_sequences=True)),
            layers.TimeDistributed(layers.Dense(4, activation="elu")), layers.Dense(2),
        ],
        "bigru_last": [
            layers.Bidirectional(layers.GRU(5)), layers.Dense(4, activation="gelu"),
            layers.Dense(2, activation="hard_sigmoid"),
        ],
        "rnn": [layers.SimpleRNN(5, return_sequences=True), layers.Dense(2, activation="swish")],
    }


def main():
    """Every network as a file, and x and y of all in one."""
    rng = np.random.default_rng(14)
    arrays = {}
    for name, layers in networks().items():
        model = keras.Sequential([keras.Input((None, I)), *layers])
        model.set_weights([
            weight + rng.uniform(0.1, 0.6, weight.shape) if (weight == 1).all() else rng.normal(size=weight.shape) * 0.5
            for weight in model.get_weights()
        ])
        signature = [tf.TensorSpec((None, None, I), tf.float32, name="x")]
        function = tf.function(lambda x, model=model: model(x), input_signature=signature)
        proto, _ = tf2onnx.convert.from_function(function, input_signature=signature, opset=15)
        onnx.save(proto, Path(__file__).with_name(f"tf2onnx_{name}.onnx"))
        x = rng.normal(size=(N, T, I)).astype(np.float32)
        arrays |= {f"{name}.x": x, f"{name}.y": model(x).numpy()}
    np.savez(Path(__file__).with_name("tf2onnx.npz"), **arrays)


if __name__ == "__main__":
    main()
