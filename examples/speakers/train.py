"""How the demo's model was trained: ``python examples/speakers/train.py``, with cgru installed.

Every choice is made on held-out training utterances. Each candidate in `CANDIDATES` is cross-validated with
several seeds on the training split; the candidate with the lowest mean held-out loss wins, and of its seeds
the one whose mean is lowest. The choice is trained once more, on all training utterances, and the outcome is
tried on the test split, once.

The gradients are cgru's own `backward`. On one machine, with the same versions, the same bytes come out,
whatever else runs and whatever BLAS is told by environment variables: the script starts itself over with one
thread and this machine's own kernels, since others may add in another order. Elsewhere the last bits of a sum
may differ, and then the model, a little.
"""

import argparse
import json
import math
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # behind what is installed: cgru is found there

import numpy as np
from speakers.adamw import AdamW, clip_norm

from cgru import __version__
from cgru.commands._exit import Parser, guarded
from cgru.commands._progress import Progress
from cgru.demo import data
from cgru.demo.data import FEATURES, SPEAKERS
from cgru.gru import GRU
from cgru.linear import Linear
from cgru.sequential import Sequential
from cgru.stored import save

HERE = Path(__file__).resolve().parent
HIDDEN = 32
ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
CLEARED = ("CGRU_ISA", "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")  # each may change the order of additions


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


CANDIDATES = tuple(Settings(240, noise, shift) for noise in (0.15, 0.2) for shift in (0.05, 0.1))


def load_utterances(split):
    """The utterances of a split: "train", which lies beside this script, or the installed package's "test"."""
    return data.load_utterances(split, HERE / "training_utterances.npz" if split == "train" else None)


def network(tensors, activation=None, engine="auto"):
    """The network of these parameters, by their names in it; it gives scores, or with "softmax" probabilities."""
    gru = GRU.from_state_dict(tensors, prefix="0.", engine=engine)
    head = Linear.from_state_dict(tensors, prefix="1.", activation=activation, engine=engine)
    return Sequential([gru, head], last=True)


def initial_tensors(rng):
    """Parameters as PyTorch draws them, by their names in the network."""
    return Sequential([GRU(FEATURES, HIDDEN, rng=rng), Linear(HIDDEN, SPEAKERS, rng=rng)], last=True).state_dict()


def log_probabilities(scores):
    """Logarithms (N, C) of the softmax of scores (N, C) of any size."""
    scores = scores - scores.max(axis=-1, keepdims=True)
    return scores - np.log(np.exp(scores).sum(axis=-1, keepdims=True))


def loss_and_gradients(tensors, x, lengths, speaker, smoothing):
    """Smoothed cross-entropy of the score after each row's last frame, and its gradients.

    Parameters
    ----------
    tensors : dict of str to (...) float32
        As of `initial_tensors`.
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
    net = network(tensors, engine="blas")
    scores, _, tape = net.record(x, lengths=lengths)
    target = np.full_like(scores, smoothing / SPEAKERS)
    target[np.arange(len(speaker)), speaker] += np.float32(1 - smoothing)
    log_p = log_probabilities(scores)
    gradients = net.backward(tape, (np.exp(log_p) - target) / np.float32(len(speaker)))
    return float(-(target * log_p).sum(axis=-1).mean()), dict(gradients)


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
        As of `initial_tensors`.
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
            gradients = clip_norm(gradients, settings.max_norm)
            decay = (1 + math.cos(math.pi * step / steps)) / 2
            optimizer.update(tensors, gradients, settings.learning_rate * decay)
            step += 1
        on_epoch()
    return tensors


def evaluate(tensors, utterances):
    """Accuracy and mean cross-entropy of a model, computed by cgru."""
    scores, _ = network(tensors)(utterances.frames, lengths=utterances.lengths)
    loss = -log_probabilities(scores)[np.arange(len(utterances)), utterances.speaker].mean()
    return float(np.mean(scores.argmax(-1) == utterances.speaker)), float(loss)


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
        evaluate(train(utterances[fold != k], settings, seed, on_epoch), utterances[fold == k])
        for k in range(folds)
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
        "made_by": "python examples/speakers/train.py",
        "data": "Japanese Vowels, UCI Machine Learning Repository, doi 10.24432/C5NS47, CC BY 4.0",
        "versions": {"cgru": __version__} | {name: version(name) for name in ("numpy", "scipy")},
        "settings": asdict(settings),
        "seed": seed,
        "cross_validation": f"{args.folds} folds of the training split, seeds 0 to {args.seeds - 1}",
        "held_out_accuracy": figures["accuracy"][seed],
        "held_out_accuracy_of_all_seeds": figures["accuracy"],
        "held_out_loss_of_all_seeds": figures["loss"],
        "test_accuracy": accuracy,
    }
    save(args.out, network(tensors, "softmax").chain, {"training": json.dumps(record)})
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
        parser = Parser(prog="python examples/speakers/train.py", description=__doc__.partition("\n")[0])
        parser.add_argument("--out", default="model.safetensors", metavar="FILE", help="default: %(default)s")
        parser.add_argument("--seeds", type=at_least(1), default=3, help="default: %(default)s")
        parser.add_argument("--folds", type=at_least(2), default=5, help="default: %(default)s")
        run(parser.parse_args(argv))

    return guarded(command, "train.py")


def ensure_one_thread():
    """Start this interpreter over, unless BLAS was told to use one thread before it was loaded."""
    if not any(name in os.environ for name in CLEARED) and ONE_THREAD.items() <= os.environ.items():
        return
    environment = {name: value for name, value in os.environ.items() if name not in CLEARED} | ONE_THREAD
    command = [sys.executable, *sys.orig_argv[1:]]
    if os.name == "posix":
        os.execve(sys.executable, command, environment)
    sys.exit(subprocess.run(command, env=environment, check=False).returncode)


if __name__ == "__main__":
    ensure_one_thread()
    sys.exit(main())
