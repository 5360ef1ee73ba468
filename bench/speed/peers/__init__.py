"""The contestants, a file per peer, all with the interface of :class:`bench.common.contestant.Contestant`.

`runners(problem)` gives every sensible way to call one for that problem; the fastest is timed. Inputs are put into
the peer's own tensors beforehand, weights are given to it once, and a stepping peer carries h from call to call.
A new peer is a file here and a word in `CONTESTANTS`, or in `WEIGHTS` if it has quantised weights.
"""

from bench.speed.peers.c_baselines import Blas, Naive, NaiveFast, Panel
from bench.speed.peers.cgru_engines import CgruBfloat16, CgruBlas, CgruInt8, CgruPacked
from bench.speed.peers.jax_jit import Jax
from bench.speed.peers.ncnn_int8 import NcnnInt8
from bench.speed.peers.numpy_loop import NumPy
from bench.speed.peers.onnx_runtime import OnnxRuntime
from bench.speed.peers.open_vino import OpenVino, OpenVinoBfloat16
from bench.speed.peers.open_vino_int8 import OpenVinoInt8
from bench.speed.peers.pytorch import Torch
from bench.speed.peers.torch_int8 import TorchInt8

# In the order of tables and legends.
CONTESTANTS = (CgruPacked, CgruBlas, OnnxRuntime, OpenVino, Jax, Torch, NumPy, Naive, NaiveFast, Blas, Panel)
# Of the run of quantised weights: cgru in float32, which the others are held against, comes first.
WEIGHTS = (CgruPacked, CgruBfloat16, CgruInt8, OnnxRuntime, OpenVinoBfloat16, OpenVinoInt8, TorchInt8, NcnnInt8)
