"""The demo's picture: the confusion table, and the speakers' probabilities while one utterance comes in."""

import numpy as np

from cgru.commands._pictures import NINE, WRONG, new_figure, plain, whole_numbers
from cgru.demo.data import SPEAKERS

MARKERS = "osD^vP<>X"


def figure(table, number, speaker, probabilities):
    """Draw the picture.

    Parameters
    ----------
    table : (9, 9) int64
        Counts, row the speaker, column the guess.
    number, speaker : int
        The utterance and who speaks in it, from 1.
    probabilities : (T, 9) float32
        After each frame of that utterance.

    Returns
    -------
    matplotlib.figure.Figure
    """
    drawing = new_figure(13, 5.6)
    left, right = drawing.subplots(1, 2, width_ratios=(1, 1.25))
    _draw_table(left, table)
    _draw_probabilities(right, number, speaker, probabilities)
    return drawing


def _draw_table(axes, table):
    share = table / table.sum(axis=1, keepdims=True)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), count in np.ndenumerate(table):
        if count:
            style = {"color": "white"} if row == column else {"color": WRONG, "weight": "bold"}
            axes.text(column, row, str(count), ha="center", va="center", fontsize=11, **style)
    axes.set_xticks(range(SPEAKERS), range(1, SPEAKERS + 1))
    axes.set_yticks(range(SPEAKERS), range(1, SPEAKERS + 1))
    axes.set_xticks(np.arange(0.5, SPEAKERS - 1), minor=True)
    axes.set_yticks(np.arange(0.5, SPEAKERS - 1), minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("guessed speaker")
    axes.set_ylabel("speaker")
    right, total = int(np.trace(table)), int(table.sum())
    axes.set_title(f"{right} of {total} utterances right: accuracy {right / total:.3f}")


def _draw_probabilities(axes, number, speaker, probabilities):
    frames = np.arange(1, len(probabilities) + 1)
    for k, (colour, marker) in enumerate(zip(NINE, MARKERS, strict=True)):
        true = k == speaker - 1
        axes.plot(
            frames,
            probabilities[:, k],
            color=colour,
            marker=marker,
            markersize=6 if true else 4.5,
            linewidth=3 if true else 1.4,
            zorder=3 if true else 2,
            label=f"{k + 1} (speaks)" if true else str(k + 1),
        )
    axes.set_xlim(0.5, len(frames) + 0.5)
    axes.set_ylim(0, 1)
    whole_numbers(axes.xaxis)
    plain(axes)
    axes.set_xlabel("frame")
    axes.set_ylabel("probability after this frame")
    axes.set_title(f"utterance {number}, speaker {speaker}: the guess as the frames come in")
    axes.legend(title="speaker", loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
