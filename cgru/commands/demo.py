"""Recognise the speaker of each of 370 real utterances: in one batched call, and again frame by frame."""

import time
from dataclasses import dataclass

import numpy as np

from cgru.commands import _pictures
from cgru.demo.data import SPEAKERS, load_network, load_utterances

UTTERANCE = 264  # its running guess changes on the way
REPEATS = 5  # timings are medians of so many runs
BAR = 40  # characters of a probability of 1


@dataclass(frozen=True)
class Result:
    """What `recognise` found, N utterances with F frames in all.

    Attributes
    ----------
    batched, stepped : (N,) int64
        Speaker (0 to 8) that each way names after the last frame.
    probabilities : (F, 9) float32
        Of the speakers after each frame, the utterances one after another, as the stream gives them.
    difference : float
        Largest absolute difference between the probabilities of both ways after the last frames.
    batched_seconds : float
        Per utterance: the network's call divided by N.
    stepped_seconds : float
        Per frame: the loop over all frames of all utterances divided by F.
    """

    batched: np.ndarray
    stepped: np.ndarray
    probabilities: np.ndarray
    difference: float
    batched_seconds: float
    stepped_seconds: float


def add_arguments(parser):
    parser.add_argument(
        "--utterance",
        type=int,
        default=UTTERANCE,
        metavar="K",
        help="the utterance to follow frame by frame, 1 to 370 (default: %(default)s)",
    )
    parser.add_argument(
        "--plot",
        metavar="FILE",
        help="draw the table and that utterance's probabilities (.png, .pdf or .svg; needs matplotlib)",
    )


def main(args):
    utterances = load_utterances("test")
    if not 1 <= args.utterance <= len(utterances):
        raise ValueError(f"--utterance is 1 to {len(utterances)}, got {args.utterance}")
    if args.plot is not None:
        _pictures.check(args)
    net = load_network()
    result = recognise(net, utterances)
    table = confusion(utterances.speaker, result.batched)
    followed = result.probabilities[frames_of(utterances, args.utterance - 1)]
    speaker = int(utterances.speaker[args.utterance - 1]) + 1

    lines = [f"{len(utterances)} test utterances of {SPEAKERS} speakers, {net}", ""]
    lines += [*confusion_lines(table), "", *running_lines(args.utterance, speaker, followed), ""]
    lines += summary_lines(utterances, result)
    print("\n".join(lines))
    if args.plot is not None:
        from cgru.commands import _demo_picture

        _pictures.save(_demo_picture.figure(table, args.utterance, speaker, followed), args.plot)
        print(f"wrote {args.plot}")


def recognise(net, utterances, repeats=REPEATS):
    """Name the speaker of every utterance both ways.

    Parameters
    ----------
    net : cgru.Sequential
        Of `load_network`.
    utterances : Utterances
    repeats : int
        Timed runs of each way.

    Returns
    -------
    Result
    """
    rows = [utterances.frames[:length, k] for k, length in enumerate(utterances.lengths)]
    (batched, _), whole = timed(lambda: net(utterances.frames, lengths=utterances.lengths), repeats)
    stepped, loop = timed(lambda: frame_by_frame(net, rows), repeats)
    last = stepped[np.cumsum(utterances.lengths) - 1]
    return Result(
        batched=batched.argmax(-1),
        stepped=last.argmax(-1),
        probabilities=stepped,
        difference=float(np.abs(batched - last).max()),
        batched_seconds=whole / len(utterances),
        stepped_seconds=loop / len(stepped),
    )


def frame_by_frame(net, rows):
    """Every utterance (T, 12) as it comes in: the probabilities after each frame, (F, 9), one after another."""
    probabilities = np.empty((sum(map(len, rows)), net.output_size), net.dtype)
    stream, outs = net.stream(), iter(probabilities)
    for row in rows:
        stream.reset()
        for x_t, p_t in zip(row, outs, strict=False):
            stream.step(x_t, out=p_t)
    return probabilities


def timed(function, repeats):
    """The result of ``function()`` and its median time in seconds, after one call to warm up."""
    result, seconds = function(), []
    for _ in range(repeats):
        start = time.perf_counter()
        result = function()
        seconds.append(time.perf_counter() - start)
    return result, float(np.median(seconds))


def frames_of(utterances, k):
    """Where utterance k lies among all frames laid one after another."""
    end = int(utterances.lengths[: k + 1].sum())
    return slice(end - int(utterances.lengths[k]), end)


def confusion(speaker, guess):
    """(9, 9) counts: row the speaker, column the guess."""
    table = np.zeros((SPEAKERS, SPEAKERS), np.int64)
    np.add.at(table, (speaker, guess), 1)
    return table


def confusion_lines(table):
    """The confusion table as text; a dot is a zero."""
    numbers = range(1, SPEAKERS + 1)
    yield "         guessed".ljust(9 + 4 * SPEAKERS) + "   right"
    yield "speaker  " + "".join(f"{n:4d}" for n in numbers)
    for n, row in zip(numbers, table, strict=True):
        cells = "".join(f"{count or '.':>4}" for count in row)
        yield f"{n:7d}  {cells}   {row[n - 1]:2d} of {row.sum():2d}  {row[n - 1] / row.sum():6.1%}"


def running_lines(number, speaker, probabilities):
    """The best guess after each frame of one utterance, with its probability as a bar."""
    yield f"utterance {number}, speaker {speaker}: the guess after each frame (bar: # right, - wrong)"
    yield "  frame  guess  probability"
    for t, p in enumerate(probabilities, start=1):
        guess = int(p.argmax()) + 1
        bar = ("#" if guess == speaker else "-") * round(BAR * float(p.max()))
        yield f"{t:7d}{guess:7d}{p.max():13.3f}  {bar}"


def summary_lines(utterances, result):
    """Accuracy and time of each way, and whether they agree."""
    n = len(utterances)
    ways = (
        ("one batched call", result.batched, result.batched_seconds, "utterance"),
        ("frame by frame", result.stepped, result.stepped_seconds, "frame"),
    )
    for way, guess, seconds, unit in ways:
        right = int((guess == utterances.speaker).sum())
        yield f"{way:18} accuracy {right / n:.4f} ({right} of {n}), {1e6 * seconds:.2f} us per {unit}"
    same = int((result.batched == result.stepped).sum())
    differ = f"differ by at most {result.difference:.1e}" if result.difference else "are the same bits"
    yield (
        f"{'both ways agree' if same == n else 'the ways differ':18} on {same} of {n} speakers; "
        f"the probabilities {differ}"
    )
