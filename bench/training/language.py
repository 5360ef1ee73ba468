"""A whole training run of a small language model: the same code over `cgru.torch` and over `torch.nn`.

Embedding, two layers of GRU, Linear; cross-entropy of the next symbol, from a zero state in every window. The three
runs start from the same parameters and see the same batches. They take turns, step by step, each step in another
order, so what disturbs the machine disturbs all; the wall time of a run is the sum of its steps.
"""

import time

import numpy as np
import torch

import cgru.torch
from bench.training import text

EMBEDDING, HIDDEN, LAYERS = 32, 128, 2
T, N = 64, 32
SYMBOLS = 100_000  # of the text
SEED = 17
OWN, PEER, EXACT = "cgru.torch float32", "PyTorch float32", "PyTorch float64"
RUNS = {OWN: (cgru.torch, torch.float32), PEER: (torch.nn, torch.float32), EXACT: (torch.nn, torch.float64)}
OPTIMIZERS = {
    "SGD": (torch.optim.SGD, {"lr": 1.0, "momentum": 0.9}),
    "AdamW": (torch.optim.AdamW, {"lr": 5e-3, "weight_decay": 0.01}),
}


class Language(torch.nn.Module):
    """Logits (T, N, 64) of the next symbol from symbols (T, N).

    Parameters
    ----------
    library : module
        Whose `GRU` is taken: `torch.nn` or `cgru.torch`. Nothing else differs.
    """

    def __init__(self, library):
        super().__init__()
        self.embedding = torch.nn.Embedding(text.VOCABULARY, EMBEDDING)
        self.gru = library.GRU(EMBEDDING, HIDDEN, num_layers=LAYERS, dropout=0.0)
        self.head = torch.nn.Linear(HIDDEN, text.VOCABULARY)

    def forward(self, symbols):
        y, _ = self.gru(self.embedding(symbols))
        return self.head(y)


class Run:
    """One training run, a step at a time: `losses` and `seconds` of each step."""

    def __init__(self, library, dtype, optimizer):
        torch.manual_seed(SEED)
        self.model = Language(library).to(dtype)  # drawn in float32: the same numbers for all
        kind, options = OPTIMIZERS[optimizer]
        self.optimizer = kind(self.model.parameters(), **options)
        self.losses, self.seconds = [], []

    def step(self, batch):
        """Make one step of the optimizer on a batch (T + 1, N)."""
        start = time.perf_counter()
        self.optimizer.zero_grad(set_to_none=True)
        logits = self.model(batch[:-1])
        loss = _loss(logits, batch)
        loss.backward()
        self.optimizer.step()
        loss.item()  # as one who prints it
        self.seconds.append(time.perf_counter() - start)
        with torch.no_grad():  # not timed: in float32 a loss of 4 is itself rounded to 2e-7
            self.losses.append(_loss(logits.double(), batch).item())


def _loss(logits, batch):
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch[1:].flatten())


def measure(steps, threads, tick=lambda: None):
    """Train with every optimizer.

    Parameters
    ----------
    steps : int
    threads : int
        PyTorch's number of threads, which `cgru.torch` takes over.
    tick : callable
        Called after each step of all runs.

    Returns
    -------
    dict
        ``steps``, ``threads``, sizes, ``nats`` of the text; ``own``, ``peer`` and ``exact``, names of the runs; and
        ``optimizers``: by name ``options`` and ``runs``, each with ``losses``, ``seconds`` of the whole run and
        ``median_ms`` of a step.
    """
    torch.set_num_threads(threads)
    made = text.make(SYMBOLS)
    batches = torch.from_numpy(text.batches(made, steps, T, N))
    order = np.random.default_rng(SEED)
    optimizers = {}
    for name, (_, options) in OPTIMIZERS.items():
        runs = {one: Run(library, dtype, name) for one, (library, dtype) in RUNS.items()}
        for batch in batches:
            for one in order.permutation(list(runs)).tolist():
                runs[one].step(batch)
            tick()
        optimizers[name] = {"options": options, "runs": {one: figures(run) for one, run in runs.items()}}
    return {
        "steps": steps, "threads": threads, "T": T, "N": N, "embedding": EMBEDDING, "hidden": HIDDEN,
        "layers": LAYERS, "symbols": SYMBOLS,
        "vocabulary": text.VOCABULARY,
        "nats": made.nats, "own": OWN, "peer": PEER, "exact": EXACT, "optimizers": optimizers,
    }  # fmt: skip


def figures(run):
    """What is kept of a run."""
    return {
        "losses": run.losses,
        "seconds": sum(run.seconds),
        "median_ms": 1e3 * float(np.median(run.seconds)),
    }
