"""PyTorch's dynamic quantisation: 8-bit weights, inputs and states rounded to 8 bits in every call."""

import warnings

from bench.common.contestant import Absent
from bench.common.timing import PythonRunner
from bench.speed.peers.pytorch import Torch

ENGINES = ("x86", "fbgemm", "onednn")  # and where there is none of these, the others


class TorchInt8(Torch):
    """`quantize_dynamic` of nn.GRU and nn.LSTM, and of their cells for a step, by every engine that is here."""

    name, weight_dtype, cells, stacks = "PyTorch int8", "int8", ("gru", "lstm"), False

    def load(self):
        super().load()
        supported = [name for name in self.torch.backends.quantized.supported_engines if name != "none"]
        self.engines = [name for name in ENGINES if name in supported] or supported
        if not self.engines:
            raise Absent("this PyTorch has no engine for quantised layers")
        self.version += f", engines {', '.join(self.engines)}"

    def runners(self, problem):
        found = []
        for engine in self.engines:
            for runner in super().runners(problem, lambda layer, engine=engine: self._quantised(layer, engine)):
                call = f"{runner.call}  # {engine}"
                found.append(PythonRunner(call, runner.result_text, runner.prepare, runner.check_calls))
        return found

    def _quantised(self, layer, engine):
        """The layer in 8 bits. Only what is inside another module is replaced: hence the list."""
        torch, backend = self.torch, self.torch.backends.quantized
        before = backend.engine
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that all of this is to move to another package
            try:
                backend.engine = engine  # weights are packed for the engine that is set
                (made,) = torch.ao.quantization.quantize_dynamic(
                    torch.nn.ModuleList([layer]), {type(layer)}, dtype=torch.qint8
                )
            finally:
                backend.engine = before
        if type(made) is type(layer):
            raise RuntimeError(f"PyTorch left {type(layer).__name__} as it is")
        return made
