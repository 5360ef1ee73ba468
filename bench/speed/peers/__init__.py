"""The contestants, a file per peer, all with the interface of :class:`bench.common.contestant.Contestant`.

`runners(problem)` gives every sensible way to call one for that problem; the fastest is timed. Inputs are put into
the peer's own tensors beforehand, weights are given to it once, and a stepping peer carries h from call to call.
A new peer is a file here and a word in `CONTESTANTS`.
"""

from bench.speed.peers.c_baselines import Blas, Naive, NaiveFast, Panel
from bench.speed.peers.cgru_engines import CgruBlas, CgruPacked
from bench.speed.peers.jax_jit import Jax
from bench.speed.peers.numpy_loop import NumPy
from bench.speed.peers.onnx_runtime import OnnxRuntime
from bench.speed.peers.open_vino import OpenVino
from bench.speed.peers.pytorch import Torch

# In the order of tables and legends.
CONTESTANTS = (CgruPacked, CgruBlas, OnnxRuntime, OpenVino, Jax, Torch, NumPy, Naive, NaiveFast, Blas, Panel)
