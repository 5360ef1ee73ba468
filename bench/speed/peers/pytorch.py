"""PyTorch."""

from typing import ClassVar

from bench.common.contestant import Contestant
from bench.common.timing import PythonRunner


class Torch(Contestant):
    """PyTorch's nn.GRU, nn.LSTM and nn.RNN, and a step by their cells if that is faster; in inference mode."""

    name, distribution = "PyTorch", "torch"
    style: ClassVar = {"color": "#7A3E9D", "linewidth": 1.6, "marker": "D", "markersize": 3.5}

    def load(self):
        import torch

        self.torch = torch
        torch.set_num_threads(self.threads)
        self._mode = torch.inference_mode()
        self._mode.__enter__()  # as long as this object lives; nobody else sees it

    def runners(self, problem, made=lambda layer: layer):
        """Ways to call it; `made` turns a layer with its weights into the one that is called."""
        torch, nn, p = self.torch, self.torch.nn, problem.point
        state = {name: torch.from_numpy(array) for name, array in problem.state.items()}
        layer = {"gru": nn.GRU, "lstm": nn.LSTM, "rnn": nn.RNN}[p.cell]
        model = layer(p.I, p.H, num_layers=p.layers, bidirectional=p.directions == 2)
        model.load_state_dict(state)
        model = made(model)
        x, states = torch.from_numpy(problem.x), tuple(torch.from_numpy(plane) for plane in problem.states)

        def prepare():
            return {"model": model, "x": x, "hx": states if p.cell == "lstm" else states[0]}

        if not p.is_step:
            return [PythonRunner("y, h_n = model(x, hx)", "y.numpy()", prepare, 1)]
        whole = PythonRunner("y, hx = model(x, hx)", "y.numpy()", prepare, problem.check_calls)
        return [whole] if p.is_stack else [whole, self._cell(problem, state, x, states, made)]

    def _cell(self, problem, state, x, states, made):
        nn, p = self.torch.nn, problem.point
        cell = {"gru": nn.GRUCell, "lstm": nn.LSTMCell, "rnn": nn.RNNCell}[p.cell](p.I, p.H)
        cell.load_state_dict({name.removesuffix("_l0"): array for name, array in state.items()})
        cell = made(cell)
        pair = p.cell == "lstm"

        def prepare():
            hx = tuple(plane[0] for plane in states)
            return {"cell": cell, "x": x[0], "hx": hx if pair else hx[0]}

        y = "hx[0][None].numpy()" if pair else "hx[None].numpy()"
        return PythonRunner("hx = cell(x, hx)", y, prepare, problem.check_calls)
