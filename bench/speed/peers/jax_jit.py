"""JAX."""

from importlib.metadata import version
from typing import ClassVar

from bench.common.contestant import Contestant
from bench.common.numpy_cells import ARRAYS
from bench.common.timing import PythonRunner


class Jax(Contestant):
    """JAX: one jit-compiled function, `lax.scan` over the steps, weights as its constants."""

    name, distribution = "JAX", "jax"
    style: ClassVar = {"color": "#009E73", "linewidth": 1.6, "marker": "v", "markersize": 4}
    cells = ("gru", "lstm")
    stacks = False

    def load(self):
        import jax

        jax.config.update("jax_cpu_enable_async_dispatch", False)  # a call then runs on the caller's thread
        self.jax = jax
        self.version += f", jaxlib {version('jaxlib')}"

    def _functions(self, problem):
        jax, jnp = self.jax, self.jax.numpy
        w_ih, w_hh, b_ih, b_hh = (jnp.asarray(problem.state[f"{name}_l0"]) for name in ARRAYS)
        sigmoid, tanh = jax.nn.sigmoid, jnp.tanh

        def gru(state, gi):
            (h,) = state
            i_r, i_z, i_n = jnp.split(gi, 3, axis=-1)
            h_r, h_z, h_n = jnp.split(h @ w_hh.T + b_hh, 3, axis=-1)
            r, z = sigmoid(i_r + h_r), sigmoid(i_z + h_z)
            n = tanh(i_n + r * h_n)
            h = n + z * (h - n)
            return (h,), h

        def lstm(state, gi):
            h, c = state
            i, f, g, o = jnp.split(gi + (h @ w_hh.T + b_hh), 4, axis=-1)
            c = sigmoid(f) * c + sigmoid(i) * tanh(g)
            h = sigmoid(o) * tanh(c)
            return (h, c), h

        cell = {"gru": gru, "lstm": lstm}[problem.point.cell]

        def step(x, state):
            return cell(state, x @ w_ih.T + b_ih)[0]

        def scan(x, state):
            return jax.lax.scan(cell, state, x @ w_ih.T + b_ih)[1]

        return jax.jit(step), jax.jit(scan)

    def runners(self, problem):
        step, scan = self._functions(problem)
        x = self.jax.device_put(problem.x)
        state = tuple(self.jax.device_put(plane[0]) for plane in problem.states)

        def prepare():
            return {"step": step, "scan": scan, "x": x[0] if problem.point.is_step else x, "state": state}

        if problem.point.is_step:
            waiting = "state = step(x, state); state[0].block_until_ready()"  # one call gives all of the state
            return [PythonRunner(waiting, "state[0][None]", prepare, problem.check_calls)]
        return [PythonRunner("y = scan(x, state).block_until_ready()", "y", prepare, 1)]
