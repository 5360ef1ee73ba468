"""Make what the fixed run is held to: hashes of what engine "packed" gives, and outputs of the float64 oracle.

    cd tests && python -m golden.make_self_test

It writes hashes.md and outputs.npz into cgru/fixed_run. A hash that is there already never changes: it is the promise
of an earlier version, and another one is an error here. Rows are added by a line in `cgru.fixed_run.CASES`.
"""

from pathlib import Path

import numpy as np

from cgru import engines, fixed_run
from support import chains, reference
from support.quantized import AFFINE

FOLDER = Path(fixed_run.__file__).parent
HEAD = """\
# The fixed run's hashes

SHA-256 of the outputs of `cgru self-test`, the same on every processor with fused multiply-adds. What is computed is
said in [\\_\\_init\\_\\_.py](__init__.py); `tests/golden/make_self_test.py` adds rows, and changes none.

| cell | weights | SHA-256 |
|---|---|---|
"""


def oracle(case):
    """What `fixed_run.whole` gives, float64; of int8 weights the activations are rounded as there."""
    return of_numbers(case, AFFINE[case.weights])


def recipe(case):
    """The network as the oracle has it."""
    layers = [
        chains.Dense(one["hidden_size"], one["activations"]) if "activations" in one
        else chains.cells(one["kind"], one["hidden_size"])
        for one in case.layers
    ]  # fmt: skip
    return chains.Recipe(case.cell, fixed_run.INPUTS, tuple(layers), case.options)


def of_numbers(case, affine):
    """The same with these products."""
    given = fixed_run.numbers(case)
    if case.layers:
        h_0, *pair = given.states
        y, (h_n, final) = chains.chain(
            recipe(case), given.weights.tensors, given.x, (h_0, tuple(pair)), fixed_run.LENGTHS, dtype=np.float32,
            affines=[affine] * len(case.layers),
        )  # fmt: skip
        return [y, *h_n, *final]
    function = getattr(reference, case.kind)
    hx = given.states if len(given.states) > 1 else given.states[0]
    y, final = function(given.x, given.weights.tensors, hx, fixed_run.LENGTHS, **case.options, affine=affine)
    return [y, *(final if isinstance(final, tuple) else (final,))]


def main():
    """Write both files."""
    if not engines.load(fixed_run.ENGINE).FUSED:
        raise SystemExit(f"{engines.isa()} has no fused multiply-adds: the hashes are made where there are some")
    known = fixed_run.published() if (FOLDER / "hashes.md").exists() else {}
    hashes, outputs = [], {}
    for case in fixed_run.CASES:
        found = fixed_run.digest(fixed_run.whole(fixed_run.inputs(case)))
        if known.get(case.name, found) != found:
            raise SystemExit(f"{case.name}: the published hash is {known[case.name]}, now it is {found}")
        hashes.append(f"| {case.cell} | {case.weights} | `{found}` |\n")
        outputs[case.name] = fixed_run.sample(oracle(case)).astype(np.float32)
    (FOLDER / "hashes.md").write_text(HEAD + "".join(hashes), encoding="utf-8")
    np.savez_compressed(FOLDER / "outputs.npz", **outputs)
    print(f"{len(hashes)} rows, outputs.npz has {(FOLDER / 'outputs.npz').stat().st_size} bytes")


if __name__ == "__main__":
    main()
