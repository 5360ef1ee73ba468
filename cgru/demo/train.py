"""How the demo's model was trained: ``python -m cgru.demo.train``.

Every choice is made on held-out training utterances. Each candidate in `CANDIDATES` is cross-validated with
several seeds on the training split; the candidate with the lowest mean held-out loss wins, and of its seeds
the one whose mean is lowest. The choice is trained once more, on all training utterances, and the outcome is
tried on the test split, once.

PyTorch supplies the gradients, in `loss_and_gradients` and nowhere else. On one machine, with the same
versions, the same bytes come out; elsewhere the last bits of a sum may differ, and then the model, a little.
"""

import argparse
import functools
import json
import math
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from cgru._cli import Parser, Progress, guarded, need
from cgru.demo.classifier import Classifier, cross_entropy
from cgru.demo.data import FEATURES, SPEAKERS, load_utterances

HIDDEN = 32


@dataclass(frozen=True)
class Settings:
    """Hyper-parameters; `noise` and `shift` are standard deviations, per frame and per utterance."""

    epochs: int
    noise: float
    shift: float
    learning_rate: float = 1e-2  # decays to 0 along half a cosine
    weight_decay: float = 0.05
    smoothing: float = 0.1
    batch: int = 32
    max_norm: float = 1.0  # gradients are scaled down to it


CANDIDATES = tuple(
    Settings(epochs, noise, shift) for epochs in (120, 240) for noise, shift in ((0.03, 0.0), (0.2, 0.0), (0.2, 0.1))
)


def loss_and_gradients(tensors, x, lengths, speaker, smoothing):
    """Smoothed cross-entropy of the score after each row's last frame, and its gradients.

    Parameters
    ----------
    tensors : dict of str to (...) float32
        ``gru.*`` and ``head.*``.
    x : (T, N, 12) float32
        Padded frames.
    lengths, speaker : (N,) int64
    smoothing : float
        Share of the target that is spread evenly over all speakers.

    Returns
    -------
    loss : float
    gradients : dict of str to (...) float32
        Of the same names and shapes.
    """
    torch = need("torch", "training the demo's model", "torch")
    leaves = {name: torch.from_numpy(value).requires_grad_() for name, value in tensors.items()}
    weights = {name.removeprefix("gru."): leaf for name, leaf in leaves.items() if name.startswith("gru.")}
    y, _ = torch.func.functional_call(_torch_gru(), weights, torch.from_numpy(x))
    last = y[torch.from_numpy(lengths) - 1, torch.arange(len(lengths))]
    scores = last @ leaves["head.weight"].T + leaves["head.bias"]
    loss = torch.nn.functional.cross_entropy(scores, torch.from_numpy(speaker), label_smoothing=smoothing)
    loss.backward()
    return loss.item(), {name: leaf.grad.numpy() for name, leaf in leaves.items()}


@functools.cache
def _torch_gru():
    """PyTorch's GRU, for its computation only; the weights are given at each call."""
    import torch

    return torch.nn.GRU(FEATURES, HIDDEN)


def initial_tensors(rng):
    """Parameters drawn uniformly from +-1/sqrt(H), as PyTorch draws them."""
    bound = 1 / math.sqrt(HIDDEN)
    shapes = {
        "gru.weight_ih_l0": (3 * HIDDEN, FEATURES),
        "gru.weight_hh_l0": (3 * HIDDEN, HIDDEN),
        "gru.bias_ih_l0": (3 * HIDDEN,),
        "gru.bias_hh_l0": (3 * HIDDEN,),
        "head.weight": (SPEAKERS, HIDDEN),
        "head.bias": (SPEAKERS,),
    }
    return {name: rng.uniform(-bound, bound, shape).astype(np.float32) for name, shape in shapes.items()}


class AdamW:
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019), on a dict of arrays, in place."""

    def __init__(self, tensors, weight_decay, betas=(0.9, 0.999), eps=1e-8):
        self._decay, self._betas, self._eps = weight_decay, betas, eps
        self._moments = {name: (np.zeros_like(p), np.zeros_like(p)) for name, p in tensors.items()}
        self._steps = 0

    def update(self, tensors, gradients, rate):
        """One step of length `rate` against the gradients."""
        self._steps += 1
        b1, b2 = self._betas
        unbias1, unbias2 = 1 - b1**self._steps, 1 - b2**self._steps
        for name, p in tensors.items():
            g, (m, v) = gradients[name], self._moments[name]
            m += (1 - b1) * (g - m)
            v += (1 - b2) * (g * g - v)
            p -= rate * (self._decay * p + (m / unbias1) / (np.sqrt(v / unbias2) + self._eps))


def train(utterances, settings, seed, on_epoch=lambda: None):
    """Train one model.

    Parameters
    ----------
    utterances : Utterances
    settings : Settings
    seed : int
        Of the initial parameters, the order of the utterances, and the noise.
    on_epoch : callable, optional
        Called after each epoch.

    Returns
    -------
    dict of str to ndarray
        ``gru.*`` and ``head.*``, float32.
    """
    rng = np.random.default_rng(seed)
    tensors = initial_tensors(rng)
    optimizer = AdamW(tensors, settings.weight_decay)
    steps = settings.epochs * math.ceil(len(utterances) / settings.batch)
    step = 0
    for _ in range(settings.epochs):
        order = rng.permutation(len(utterances))
        for start in range(0, len(order), settings.batch):
            rows = utterances[order[start : start + settings.batch]]
            x = rows.frames[: rows.lengths.max()]
            x = x + settings.noise * rng.standard_normal(x.shape, np.float32)
            x += settings.shift * rng.standard_normal((1, *x.shape[1:]), np.float32)
            _, gradients = loss_and_gradients(tensors, x, rows.lengths, rows.speaker, settings.smoothing)
            norm = math.sqrt(sum(float(np.vdot(g, g)) for g in gradients.values()))
            scale = np.float32(min(1.0, settings.max_norm / norm)) if norm else np.float32(1)
            gradients = {name: scale * g for name, g in gradients.items()}
            decay = (1 + math.cos(math.pi * step / steps)) / 2
            optimizer.update(tensors, gradients, settings.learning_rate * decay)
            step += 1
        on_epoch()
    return tensors


def evaluate(tensors, utterances):
    """Accuracy and mean cross-entropy of a model, computed by cgru."""
    model = Classifier(tensors)
    _, last = model.batched(utterances)
    scores = model.scores(last)
    return float(np.mean(scores.argmax(-1) == utterances.speaker)), cross_entropy(scores, utterances.speaker)


def fold_of(utterances, folds):
    """(N,) the fold of each utterance: a run of neighbours of every speaker, since neighbours sound alike."""
    fold = np.empty(len(utterances), np.int64)
    for speaker in range(SPEAKERS):
        rows = np.flatnonzero(utterances.speaker == speaker)
        fold[rows] = np.arange(len(rows)) * folds // len(rows)
    return fold


def cross_validate(utterances, settings, seed, folds, on_epoch):
    """Mean held-out accuracy and loss over the folds, each held out once from a training of its own."""
    fold = fold_of(utterances, folds)
    results = [
        evaluate(train(utterances[fold != k], settings, seed, on_epoch), utterances[fold == k]) for k in range(folds)
    ]
    accuracy, loss = np.mean(results, axis=0)
    return float(accuracy), float(loss)


def choose(utterances, seeds, folds, progress):
    """Cross-validate every candidate with every seed; the choice and its figures.

    Returns
    -------
    settings : Settings
    seed : int
    figures : dict
        ``accuracy`` and ``loss`` per seed of the chosen candidate, held out.
    """
    results = {}
    for settings in CANDIDATES:
        per_seed = [cross_validate(utterances, settings, s, folds, progress.update) for s in range(seeds)]
        accuracy, loss = (list(values) for values in zip(*per_seed, strict=True))
        results[settings] = {"accuracy": accuracy, "loss": loss}
        progress.write(
            f"{settings.epochs} epochs, noise {settings.noise}, shift {settings.shift}: held-out accuracy "
            f"{np.mean(accuracy):.4f} (seeds {', '.join(f'{a:.4f}' for a in accuracy)}), "
            f"loss {np.mean(loss):.4f} (seeds {', '.join(f'{v:.4f}' for v in loss)})"
        )
    settings = min(results, key=lambda candidate: np.mean(results[candidate]["loss"]))
    return settings, int(np.argmin(results[settings]["loss"])), results[settings]


def run(args):
    """Choose, train, write, and look at the test split."""
    torch = need("torch", "training the demo's model", "torch")
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    if not Path(args.out).absolute().parent.is_dir():
        raise FileNotFoundError(f"--out {args.out}: there is no such directory; make it first")
    utterances = load_utterances("train")
    epochs = [candidate.epochs for candidate in CANDIDATES]
    progress = Progress(args.seeds * args.folds * sum(epochs) + max(epochs), "epoch")
    try:
        settings, seed, figures = choose(utterances, args.seeds, args.folds, progress)
        progress.write(f"chosen: {settings}, seed {seed}; training on all {len(utterances)} utterances")
        tensors = train(utterances, settings, seed, progress.update)
    finally:
        progress.close()

    accuracy, _ = evaluate(tensors, load_utterances("test"))  # the only look at the test split
    record = {
        "made_by": "python -m cgru.demo.train",
        "data": "Japanese Vowels, UCI Machine Learning Repository, doi 10.24432/C5NS47, CC BY 4.0",
        "gradients": f"PyTorch {torch.__version__}",
        "settings": asdict(settings),
        "seed": seed,
        "cross_validation": f"{args.folds} folds of the training split, seeds 0 to {args.seeds - 1}",
        "held_out_accuracy": figures["accuracy"][seed],
        "held_out_accuracy_of_all_seeds": figures["accuracy"],
        "held_out_loss_of_all_seeds": figures["loss"],
        "test_accuracy": accuracy,
    }
    from safetensors.numpy import save

    # one entry, because safetensors writes several in a random order
    Path(args.out).write_bytes(save(tensors, {"training": json.dumps(record)}))
    print(f"test accuracy {accuracy:.4f}; wrote {args.out}")


def at_least(least):
    """Argument type: an integer of at least `least`."""

    def integer(text):
        if int(text) < least:
            raise argparse.ArgumentTypeError(f"expected at least {least}, got {text}")
        return int(text)

    return integer


def main(argv=None):
    """Command line of the training; returns the exit status."""

    def command():
        parser = Parser(prog="python -m cgru.demo.train", description=__doc__.partition("\n")[0])
        parser.add_argument("--out", default="model.safetensors", metavar="FILE", help="default: %(default)s")
        parser.add_argument("--seeds", type=at_least(1), default=5, help="default: %(default)s")
        parser.add_argument("--folds", type=at_least(2), default=5, help="default: %(default)s")
        run(parser.parse_args(argv))

    return guarded(command, "cgru.demo.train")


if __name__ == "__main__":
    sys.exit(main())
