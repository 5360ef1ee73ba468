"""The order of additions that the contract promises, and the bits that follow from it on every machine."""

import dataclasses
import hashlib

import numpy as np
import pytest

from cgru.config import Config
from support.compare import assert_same_bits
from support.models import build, build_from, configuration, configurations
from support.variants import variants

FUSED = variants(kind="gru", engine="packed", fused=True)

ORDER = "bias first, then one fused multiply-add per term, index ascending"


def chain(bias, matrix, vectors):
    """float32 (N, M): bias, then one fused multiply-add per column of the (M, K) matrix, ascending.

    A product of two float32 is exact in long double, and so nearly is its sum with a third.
    """
    total = np.broadcast_to(bias, (len(vectors), len(bias))).astype(np.float32)
    for k in range(matrix.shape[1]):
        products = matrix[:, k].astype(np.longdouble) * vectors[:, k, None].astype(np.longdouble)
        total = (total.astype(np.longdouble) + products).astype(np.float32)
    return total


@pytest.mark.skipif(not FUSED, reason="no instruction set with fused multiply-adds on this machine")
@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 63, reason="long double is too short to imitate a fused product")
@pytest.mark.parametrize("reset_after", [True, False])
@pytest.mark.parametrize("N", [1, 2, 7, 33])
def test_order_of_additions(rng, reset_after, N):
    """With r = 1, z = 0 and linear activations h' is W_n x + b_n + (U_n h + c_n), each sum in its order."""
    for variant in FUSED:
        for K, H in ((1, 33), (37, 24), (129, 100)):
            matrices = {"weight_ih_l0": K, "weight_hh_l0": H}
            tensors = {name: variant.cast(rng.normal(size=(3 * H, columns))) for name, columns in matrices.items()}
            tensors |= {name: variant.cast(rng.normal(size=3 * H)) for name in ("bias_ih_l0", "bias_hh_l0")}
            for values in tensors.values():
                values[: 2 * H] = 0                         # r = z = 0 ...
            tensors["bias_ih_l0"][:H] = 1                   # ... and r = 1
            config = Config(
                input_size=K, hidden_size=H, reset_after=reset_after, activations=(("linear", "linear"),)
            )  # fmt: skip
            model = build_from(variant, config, tensors)
            x, h = variant.cast(rng.normal(size=(1, N, K))), variant.cast(rng.normal(size=(1, N, H)))
            y, _ = model(x, h)
            W, U = (tensors[name][2 * H :] for name in matrices)
            b, c = (tensors[name][2 * H :] for name in ("bias_ih_l0", "bias_hh_l0"))
            assert_same_bits(y[0], chain(b, W, x[0]) + chain(c, U, h[0]))
            backwards = chain(b, W[:, ::-1], x[0, :, ::-1]) + chain(c, U[:, ::-1], h[0, :, ::-1])
            assert not np.array_equal(y[0], backwards), "an order that does not matter proves nothing"


def pattern(*shape):
    """Numbers in -1..1 without a random generator: the same ones everywhere and always."""
    k = np.arange(np.prod(shape), dtype=np.int64).reshape(shape)
    return ((k * 7919 + 12345) % 2003 - 1001).astype(np.float32) / np.float32(1024)


#: The first 16 hexadecimal digits of SHA-256 over y and h_n, little-endian. They change with the gate
#: polynomials only; the failing assertion shows the new ones.
GOLDEN = {
    "after, one layer": "f146418c24d04eef",
    "before, one layer": "2053c9f87c5f1161",
    "after, two layers": "722acb61be0faa62",
    "clip": "0875cf80dfc98767",
    "hard_sigmoid, relu": "cac02176750dba2d",
    "softsign, elu": "0dd4e9d180a835f9",
}


@pytest.mark.skipif(not FUSED, reason="no instruction set with fused multiply-adds on this machine")
@pytest.mark.parametrize("name", GOLDEN)
def test_the_same_bits_on_every_machine(name):
    """Recorded results, to the last bit: any machine, compiler and instruction set with fused multiply-adds."""
    for variant in FUSED:
        config = Config(input_size=7, hidden_size=45, **configuration("gru", name).fields())
        tensors = {name: pattern(*shape) * np.float32(0.25) for name, shape in config.parameters()}
        model = build_from(variant, config, tensors)
        y, h_n = model(pattern(19, 5, 7) * 2, pattern(config.num_layers, 5, 45))
        assert np.ptp(y) > 1 and len(np.unique(y)) > 1000
        data = b"".join(np.ascontiguousarray(a).astype("<f4").tobytes() for a in (y, h_n))
        assert hashlib.sha256(data).hexdigest()[:16] == GOLDEN[name], f"on {variant}: {ORDER}"


@pytest.mark.variants(engine="packed")
@pytest.mark.parametrize("layout", ["one layer", "both ways, two layers"])
def test_blas_agrees_within_its_tolerance(best, rng, layout):
    """What the contract says of one engine is no accident of the test's inputs: the other one's bits differ."""
    other = dataclasses.replace(best, engine="blas")
    for one in configurations(kind=best.kind, layout=layout):
        x = best.cast(rng.normal(size=(9, 6, 40)))
        y, z = (build(variant, one, 40, 100)(x)[0] for variant in (best, other))
        assert 0 < np.abs(y - z).max() < best.tolerance
