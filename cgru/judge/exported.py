"""The C that cgru writes of a layer, as a contestant."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Any

import numpy as np

from cgru.cells import CELLS
from cgru.judge import host
from cgru.model import Model

_ARRAYS = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")

#: Between the functions of an exported layer and those of cgru_judge.h: @...@ stand for what one layer has.
_ADAPTER = """\
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "layer.c"
#include <cgru_judge.h>

static const uint64_t expected[4] = {@sums@};

static int is_other(const float *values, size_t count, uint64_t sum)
{
    uint32_t bits;
    for (size_t i = 0; i < count; i++) {
        memcpy(&bits, values + i, sizeof bits);
        sum -= (2 * (uint64_t)i + 1) * bits;
    }
    return sum != 0;
}

void *cgru_judge_make(const cgru_judge_layer *layer)
{
    const size_t I = LAYER_INPUT_SIZE, H = LAYER_OUTPUT_SIZE, columns = @gates@ * H;
    if (layer->cell != @cell@ || layer->rows != 1 || layer->input_size != LAYER_INPUT_SIZE)
        return NULL;
    if (layer->hidden_size != LAYER_OUTPUT_SIZE)
        return NULL;
    if (layer->cell == CGRU_JUDGE_GRU && layer->reset_after != @reset_after@)
        return NULL;
    if (is_other(layer->weight_ih, columns * I, expected[0]) || is_other(layer->weight_hh, columns * H, expected[1])
        || is_other(layer->bias_ih, columns, expected[2]) || is_other(layer->bias_hh, columns, expected[3]))
        return NULL;
    void *state = NULL;
    if (posix_memalign(&state, 64, sizeof(layer_state)))
        return NULL;
    layer_reset((layer_state *)state);
    return state;
}

int cgru_judge_reset(void *model, const float *h_0, const float *c_0)
{
    layer_state *state = (layer_state *)model;
    (void)c_0;
    memcpy(state->h0, h_0, LAYER_OUTPUT_SIZE * sizeof *h_0);
@c_0@    return 0;
}

void cgru_judge_step(void *model, const float *x, float *y)
{
    layer_step((layer_state *)model, x, y);
}

void cgru_judge_run(void *model, int steps, const float *x, float *y)
{
    layer_run((layer_state *)model, (size_t)steps, x, y);
}

void cgru_judge_free(void *model)
{
    free(model);
}
"""
_C_0 = "    memcpy(state->c0, c_0, LAYER_OUTPUT_SIZE * sizeof *c_0);\n"


class Exported:
    """What `cgru.GRU.to_c` and its like write: every layer is another contestant, since its weights are constants.

    Parameters
    ----------
    flags : sequence of str, optional
        The compiler's; by default those that the exported header names.
    cc : str, optional
        The compiler.
    """

    name = "exported C"

    def __init__(self, *, flags: Any = None, cc: str | None = None) -> None:
        self._flags, self._cc = flags, cc

    def of_layer(self, weights: dict[str, np.ndarray], cell: str, *, reset_after: bool = True) -> host.Contestant:
        """The contestant of one layer: it refuses every other one, and several rows.

        Parameters
        ----------
        weights : dict of str to ndarray
            weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0 as PyTorch has them, float32.
        cell : {"gru", "lstm", "rnn"}
        reset_after : bool
            Of a GRU.

        Raises
        ------
        BuildError
            There is no compiler.
        """
        row = CELLS[cell]
        kind: Any = Model.classes[cell]
        more = {"reset_after": reset_after} if "reset_after" in row.options else {}
        folder = tempfile.mkdtemp(prefix="cgru_judge_")
        kind.from_state_dict(weights, **more).to_c(Path(folder, "layer.c"), name="layer")
        text = _ADAPTER
        for mark, value in {
            "sums": ", ".join(f"UINT64_C({_sum(weights[name])})" for name in _ARRAYS),
            "gates": row.stacked,
            "cell": f"CGRU_JUDGE_{cell.upper()}",
            "reset_after": int(reset_after),
            "c_0": _C_0 if "c" in row.states else "",
        }.items():
            text = text.replace(f"@{mark}@", str(value))
        source = Path(folder, "exported_layer.c")
        source.write_text(text, encoding="ascii")
        contestant = host.Contestant.of(source, flags=self._flags, include=(folder,), cc=self._cc)
        weakref.finalize(contestant, shutil.rmtree, folder, True)       # it is compiled when it is first asked
        return contestant


def _sum(array):
    """A sum of the bits of float32 numbers in which each place counts differently, modulo 2 ** 64."""
    bits = np.ascontiguousarray(array, np.float32).ravel().view(np.uint32).astype(np.uint64)
    with np.errstate(over="ignore"):
        return int((bits * (2 * np.arange(bits.size, dtype=np.uint64) + np.uint64(1))).sum(dtype=np.uint64))
