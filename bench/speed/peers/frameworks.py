"""The contestants that are called from Python, all with the same small interface.

A contestant has a `name`, and `runners(problem)` gives every sensible way to call it for that problem as
:class:`timing.PythonRunner`; the fastest of them is timed. Inputs are put into the peer's own tensors
beforehand, weights are given to it once, and a stepping peer carries h from call to call.
"""

import contextlib
import io
from importlib.metadata import version

import numpy as np

from contestant import Contestant
from onnx_peers import OnnxRuntime, OpenVino
from timing import PythonRunner


class Cgru(Contestant):
    """cgru itself. A step is a stream's step; a sequence is a call of the model."""

    engine = ""

    def load(self):
        import cgru

        self.cgru = cgru
        self.version = cgru.__version__
        probe = {"weight_ih_l0": np.zeros((3, 1), np.float32), "weight_hh_l0": np.zeros((3, 1), np.float32)}
        found = cgru.GRU.from_state_dict(probe, engine=self.engine).engine
        if found != self.engine:
            raise ImportError(f"cgru has no engine {self.engine} here, but {found}")

    def runners(self, problem):
        gru = self.cgru.GRU.from_state_dict(problem.state, engine=self.engine)
        if problem.point.is_step:
            return self._steps(gru, problem)
        more = "" if self.threads == 1 else f", threads={self.threads}"

        def prepare():
            return {
                "gru": gru,
                "x": problem.x,
                "h_0": problem.h_0[None],
                "y": np.empty_like(problem.expected, dtype=np.float32),
            }

        return [
            PythonRunner(f"y, h_n = gru(x, h_0{more})", "y", prepare, 1),
            PythonRunner(f"y, h_n = gru(x, h_0, out=y{more})", "y", prepare, 1),
        ]

    def _steps(self, gru, problem):
        calls = problem.check_calls

        def prepare():
            return {"gru": gru, "x": problem.x, "h": problem.h_0[None]}

        def prepare_stream():
            stream = gru.stream()
            stream.state = problem.h_0.reshape(stream.state.shape)
            return {"step": stream.step, "x": problem.x[0, 0], "out": np.empty(gru.hidden_size, np.float32)}

        runners = [PythonRunner("y, h = gru(x, h)", "y", prepare, calls)]
        if hasattr(gru, "stream"):
            runners += [
                PythonRunner("y = step(x)", "y[None, None]", prepare_stream, calls),
                PythonRunner("step(x, out=out)", "out[None, None]", prepare_stream, calls),
            ]
        return runners


def cgru_config():
    """What `cgru.show_config()` prints (version, instruction set, engines, BLAS), or None."""
    try:
        import cgru

        with contextlib.redirect_stdout(io.StringIO()) as said:
            cgru.show_config()
    except (ImportError, AttributeError):
        return None
    return said.getvalue()


class CgruPacked(Cgru):
    """The engine that `engine="auto"` takes for float32."""

    name, engine = "cgru packed", "packed"


class CgruBlas(Cgru):
    """The engine on SciPy's BLAS."""

    name, engine = "cgru blas", "blas"


class Torch(Contestant):
    """PyTorch's nn.GRU, and nn.GRUCell for a step if that is faster; in inference mode."""

    name, distribution = "PyTorch", "torch"

    def load(self):
        import torch

        self.torch = torch
        torch.set_num_threads(self.threads)
        self._mode = torch.inference_mode()
        self._mode.__enter__()  # as long as this object lives; nobody else sees it

    def runners(self, problem):
        torch, p = self.torch, problem.point
        state = {name: torch.from_numpy(array) for name, array in problem.state.items()}
        gru = torch.nn.GRU(p.I, p.H)
        gru.load_state_dict(state)
        cell = torch.nn.GRUCell(p.I, p.H)
        cell.load_state_dict({name.removesuffix("_l0"): array for name, array in state.items()})
        x, h_0 = torch.from_numpy(problem.x), torch.from_numpy(problem.h_0)

        def prepare():
            return {"gru": gru, "x": x, "h": h_0[None], "h_0": h_0[None]}

        def prepare_cell():
            return {"cell": cell, "x": x[0], "h": h_0}

        if not p.is_step:
            return [PythonRunner("y, h_n = gru(x, h_0)", "y.numpy()", prepare, 1)]
        return [
            PythonRunner("y, h = gru(x, h)", "y.numpy()", prepare, problem.check_calls),
            PythonRunner("h = cell(x, h)", "h[None].numpy()", prepare_cell, problem.check_calls),
        ]


class Jax(Contestant):
    """JAX: one jit-compiled function, `lax.scan` over the steps, weights as its constants."""

    name, distribution = "JAX", "jax"

    def load(self):
        import jax

        jax.config.update("jax_cpu_enable_async_dispatch", False)  # a call then runs on the caller's thread
        self.jax = jax
        self.version += f", jaxlib {version('jaxlib')}"

    def _functions(self, problem):
        jax, jnp = self.jax, self.jax.numpy
        w_ih, w_hh, b_ih, b_hh = (
            jnp.asarray(problem.state[name])
            for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
        )

        def cell(h, gi):
            gh = h @ w_hh.T + b_hh
            i_r, i_z, i_n = jnp.split(gi, 3, axis=-1)
            h_r, h_z, h_n = jnp.split(gh, 3, axis=-1)
            r, z = jax.nn.sigmoid(i_r + h_r), jax.nn.sigmoid(i_z + h_z)
            n = jnp.tanh(i_n + r * h_n)
            h = n + z * (h - n)
            return h, h

        def step(x, h):
            return cell(h, x @ w_ih.T + b_ih)[0]

        def scan(x, h):
            return jax.lax.scan(cell, h, x @ w_ih.T + b_ih)[1]

        return jax.jit(step), jax.jit(scan)

    def runners(self, problem):
        step, scan = self._functions(problem)
        x, h_0 = self.jax.device_put(problem.x), self.jax.device_put(problem.h_0)

        def prepare():
            return {"step": step, "scan": scan, "x": x[0] if problem.point.is_step else x, "h": h_0}

        if problem.point.is_step:
            statement = "h = step(x, h).block_until_ready()"
            return [PythonRunner(statement, "h[None]", prepare, problem.check_calls)]
        return [PythonRunner("y = scan(x, h).block_until_ready()", "y", prepare, 1)]


class NumPy(Contestant):
    """NumPy: one product for the input of all steps, then one product and a handful of ufuncs per step."""

    name, distribution = "NumPy", "numpy"

    def runners(self, problem):
        gru = numpy_gru(problem.state)

        def prepare():
            return {"gru": gru, "x": problem.x, "h": problem.h_0, "h_0": problem.h_0}

        if problem.point.is_step:
            return [PythonRunner("y = gru(x, h); h = y[-1]", "y", prepare, problem.check_calls)]
        return [PythonRunner("y = gru(x, h_0)", "y", prepare, 1)]


def numpy_gru(state):
    """A float32 GRU in NumPy, ufuncs in place; returns a function of x (T, N, I) and h_0 (N, H) giving y."""
    w_ih, w_hh = np.ascontiguousarray(state["weight_ih_l0"].T), np.ascontiguousarray(state["weight_hh_l0"].T)
    b_ih, b_hh = state["bias_ih_l0"], state["bias_hh_l0"]
    hidden = len(w_hh)
    one = np.float32(1)

    def gru(x, h):
        steps, rows, inputs = x.shape
        projected = x.reshape(steps * rows, inputs) @ w_ih
        projected += b_ih
        y = np.empty((steps, rows, hidden), np.float32)
        for gi, out in zip(projected.reshape(steps, rows, 3 * hidden), y, strict=True):
            gh = h @ w_hh
            gh += b_hh
            gates = gi[:, : 2 * hidden] + gh[:, : 2 * hidden]
            np.negative(gates, out=gates)
            np.exp(gates, out=gates)
            gates += one
            np.reciprocal(gates, out=gates)
            n = gh[:, 2 * hidden :]
            n *= gates[:, :hidden]
            n += gi[:, 2 * hidden :]
            np.tanh(n, out=n)
            np.subtract(h, n, out=out)
            out *= gates[:, hidden:]
            out += n
            h = out
        return y

    return gru


PEERS = [CgruPacked, CgruBlas, OnnxRuntime, OpenVino, Jax, Torch, NumPy]
