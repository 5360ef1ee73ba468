"""PyTorch."""

from typing import ClassVar

from bench.common.contestant import Contestant
from bench.common.timing import PythonRunner


class Torch(Contestant):
    """PyTorch's nn.GRU, and nn.GRUCell for a step if that is faster; in inference mode."""

    name, distribution = "PyTorch", "torch"
    style: ClassVar = {"color": "#7A3E9D", "linewidth": 1.6, "marker": "D", "markersize": 3.5}

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
