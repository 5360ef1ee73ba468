"""NumPy."""

from typing import ClassVar

from bench.common.contestant import Contestant
from bench.common.numpy_gru import numpy_gru
from bench.common.timing import PythonRunner


class NumPy(Contestant):
    """NumPy: one product for the input of all steps, then one product and a handful of ufuncs per step."""

    name, distribution = "NumPy", "numpy"
    style: ClassVar = {"color": "#56B4E9", "linewidth": 1.6, "marker": "P", "markersize": 4}

    def runners(self, problem):
        gru = numpy_gru(problem.state)

        def prepare():
            return {"gru": gru, "x": problem.x, "h": problem.h_0, "h_0": problem.h_0}

        if problem.point.is_step:
            return [PythonRunner("y = gru(x, h); h = y[-1]", "y", prepare, problem.check_calls)]
        return [PythonRunner("y = gru(x, h_0)", "y", prepare, 1)]
