"""NumPy."""

from typing import ClassVar

from bench.common.contestant import Contestant
from bench.common.numpy_cells import ARRAYS, numpy_cell
from bench.common.timing import PythonRunner


class NumPy(Contestant):
    """NumPy: one product for the input of all steps, then one product and a handful of ufuncs per step."""

    name, distribution = "NumPy", "numpy"
    style: ClassVar = {"color": "#56B4E9", "linewidth": 1.6, "marker": "P", "markersize": 4}
    stacks = False

    def runners(self, problem):
        cell = numpy_cell(problem.point.cell, [problem.state[f"{name}_l0"] for name in ARRAYS])

        def prepare():
            return {"cell": cell, "x": problem.x, "state": tuple(plane[0] for plane in problem.states)}

        if problem.point.is_step:
            return [PythonRunner("y, state = cell(x, *state)", "y", prepare, problem.check_calls)]
        return [PythonRunner("y, last = cell(x, *state)", "y", prepare, 1)]
