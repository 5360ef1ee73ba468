"""The contestants that are called from Python, all with the same small interface.

A contestant has a `name`, and `runners(problem)` gives every sensible way to call it for that problem as
:class:`timing.PythonRunner`; the fastest of them is timed. Inputs are put into the peer's own tensors
beforehand, weights are given to it once, and a stepping peer carries h from call to call.
"""

from importlib.metadata import version

import numpy as np

from timing import PythonRunner


class Contestant:
    """What the parts of the benchmark see of a contestant.

    Attributes
    ----------
    name : str
        Shown in tables and used by ``--peers``.
    distribution : str
        Package whose version is recorded.
    """

    name = ""
    distribution = ""

    def __init__(self, threads=1):
        self.threads = threads
        self.version = version(self.distribution)
        self.load()

    def load(self):
        """Import the peer and set its number of threads; ImportError where it is missing."""

    def runners(self, problem):
        """Every way to call it for this problem, as a list of runners."""
        raise NotImplementedError


class Cgru(Contestant):
    """cgru itself. A step is a stream's step; a sequence is a call of the model."""

    distribution = "cgru"
    engine = ""

    def load(self):
        import cgru

        self.cgru = cgru
        # The version of the package that runs, which may be a source tree.
        self.version = f"{getattr(cgru, '__version__', self.version)}, engine {self.engine}"
        probe = {"weight_ih_l0": np.zeros((3, 1), np.float32), "weight_hh_l0": np.zeros((3, 1), np.float32)}
        found = cgru.GRU.from_state_dict(probe, engine=self.engine).engine
        if found != self.engine:
            raise ImportError(f"cgru has no engine {self.engine} here, but {found}")

    def runners(self, problem):
        gru = self.cgru.GRU.from_state_dict(problem.state, engine=self.engine)
        if problem.point.is_step and problem.point.N == 1:
            return self._steps(gru, problem)
        more = "" if self.threads == 1 else f", threads={self.threads}"

        def prepare():
            return {"gru": gru, "x": problem.x, "h_0": problem.h_0[None], "y": np.empty_like(
                problem.expected, dtype=np.float32)}

        return [PythonRunner(f"y, h_n = gru(x, h_0{more})", "y", prepare, 1),
                PythonRunner(f"y, h_n = gru(x, h_0, out=y{more})", "y", prepare, 1)]

    def _steps(self, gru, problem):
        def prepare():
            stream = gru.stream()
            stream.state = problem.h_0.reshape(stream.state.shape)
            return {"step": stream.step, "x": problem.x[0, 0], "out": np.empty(gru.hidden_size, np.float32)}

        return [PythonRunner("step(x, out=out)", "out[None, None]", prepare, problem.check_calls)]


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
        return [PythonRunner("y, h = gru(x, h)", "y.numpy()", prepare, problem.check_calls),
                PythonRunner("h = cell(x, h)", "h[None].numpy()", prepare_cell, problem.check_calls)]


def onnx_model(problem):
    """Serialised one-node ONNX model: X, H0 -> Y, Y_h, with fixed shapes, `linear_before_reset=1`."""
    from onnx import TensorProto, helper, numpy_helper

    p = problem.point
    weights = [numpy_helper.from_array(array, name) for name, array in zip("WRB", problem.onnx_weights())]
    node = helper.make_node("GRU", ["X", "W", "R", "B", "", "H0"], ["Y", "Y_h"], hidden_size=p.H,
                            linear_before_reset=1)

    def tensor(name, *shape):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    graph = helper.make_graph([node], "gru", [tensor("X", p.T, p.N, p.I), tensor("H0", 1, p.N, p.H)],
                              [tensor("Y", p.T, 1, p.N, p.H), tensor("Y_h", 1, p.N, p.H)], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return model.SerializeToString()


class OnnxRuntime(Contestant):
    """ONNX Runtime on the CPU: `run` with a dictionary, or IO binding to ready buffers if that is faster."""

    name, distribution = "ONNX Runtime", "onnxruntime"

    def load(self):
        import onnx
        import onnxruntime

        self.onnxruntime = onnxruntime
        self.version += f", onnx {onnx.__version__}"

    def _session(self, problem):
        options = self.onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.execution_mode = self.onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = self.onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        return self.onnxruntime.InferenceSession(onnx_model(problem), options,
                                                 providers=["CPUExecutionProvider"])

    def runners(self, problem):
        session, x, h_0 = self._session(problem), problem.x, problem.h_0[None]

        def prepare():
            return {"run": session.run, "feed": {"X": x, "H0": h_0}, "x": x, "h": h_0, "Y": ["Y"], "Y_h": ["Y_h"]}

        def bind(h_in, out):
            binding = session.io_binding()
            binding.bind_cpu_input("X", x)
            binding.bind_cpu_input("H0", h_in)
            name = "Y_h" if problem.point.is_step else "Y"
            binding.bind_output(name, "cpu", 0, np.float32, out.shape, out.ctypes.data)
            return binding, out

        def prepare_step():
            ping, pong = h_0.copy(), np.empty_like(h_0)
            return {"run": session.run_with_iobinding, "now": bind(ping, pong), "then": bind(pong, ping)}

        def prepare_sequence():
            p = problem.point
            binding, out = bind(h_0, np.empty((p.T, 1, p.N, p.H), np.float32))
            return {"run": session.run_with_iobinding, "binding": binding, "out": out}

        if problem.point.is_step:
            calls = problem.check_calls
            return [PythonRunner("h, = run(Y_h, {'X': x, 'H0': h})", "h", prepare, calls),
                    PythonRunner("run(now[0]); now, then = then, now", "then[1]", prepare_step, calls)]
        return [PythonRunner("y, = run(Y, feed)", "y[:, 0]", prepare, 1),
                PythonRunner("run(binding)", "out[:, 0]", prepare_sequence, 1)]


class OpenVino(Contestant):
    """OpenVINO on the CPU with the latency hint: an infer request on ready tensors, its outputs not copied."""

    name, distribution = "OpenVINO", "openvino"

    def load(self):
        import onnx  # noqa: F401 - the model is built with it
        import openvino

        self.openvino = openvino

    def _compiled(self, problem):
        core = self.openvino.Core()
        model = core.read_model(onnx_model(problem))
        return core.compile_model(model, "CPU", {
            "PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": self.threads, "NUM_STREAMS": 1,
            "INFERENCE_PRECISION_HINT": "f32"})

    def runners(self, problem):
        compiled, p = self._compiled(problem), problem.point
        tensor = self.openvino.Tensor
        x, h_0 = problem.x, problem.h_0[None]

        def request(h_in, h_out, y):
            one = compiled.create_infer_request()
            one.set_tensor("X", tensor(x, shared_memory=True))
            one.set_tensor("H0", tensor(h_in, shared_memory=True))
            one.set_tensor("Y", tensor(y, shared_memory=True))
            one.set_tensor("Y_h", tensor(h_out, shared_memory=True))
            return one, y

        def prepare():
            ping, pong = h_0.copy(), np.empty_like(h_0)
            y = np.empty((p.T, 1, p.N, p.H), np.float32)
            now, then = request(ping, pong, y), request(pong, ping, y)
            # OpenVINO's tensors do not keep the arrays whose memory they share: these names do.
            return {"infer": now[0].infer, "y": y, "now": now, "then": then, "x": x, "h": h_0.copy(),
                    "model": compiled, "keep": (ping, pong)}

        if p.is_step:
            calls = problem.check_calls
            return [PythonRunner("now[0].infer(share_outputs=True); now, then = then, now", "y[:, 0]", prepare, calls),
                    PythonRunner("h = model({'X': x, 'H0': h}, share_inputs=True)['Y_h']", "h", prepare, calls)]
        return [PythonRunner("infer(share_outputs=True)", "y[:, 0]", prepare, 1)]


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
        w_ih, w_hh, b_ih, b_hh = (jnp.asarray(problem.state[name]) for name in (
            "weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"))

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
            return [PythonRunner("h = step(x, h).block_until_ready()", "h[None]", prepare, problem.check_calls)]
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
        for gi, out in zip(projected.reshape(steps, rows, 3 * hidden), y):
            gh = h @ w_hh
            gh += b_hh
            gates = gi[:, :2 * hidden] + gh[:, :2 * hidden]
            np.negative(gates, out=gates)
            np.exp(gates, out=gates)
            gates += one
            np.reciprocal(gates, out=gates)
            n = gh[:, 2 * hidden:]
            n *= gates[:, :hidden]
            n += gi[:, 2 * hidden:]
            np.tanh(n, out=n)
            np.subtract(h, n, out=out)
            out *= gates[:, hidden:]
            out += n
            h = out
        return y

    return gru


PEERS = [CgruPacked, CgruBlas, OnnxRuntime, OpenVino, Jax, Torch, NumPy]
