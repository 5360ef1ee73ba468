"""JAX."""

from importlib.metadata import version
from typing import ClassVar

from bench.common.contestant import Contestant
from bench.common.timing import PythonRunner


class Jax(Contestant):
    """JAX: one jit-compiled function, `lax.scan` over the steps, weights as its constants."""

    name, distribution = "JAX", "jax"
    style: ClassVar = {"color": "#009E73", "linewidth": 1.6, "marker": "v", "markersize": 4}

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
