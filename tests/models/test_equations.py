"""`GRU.from_equations`: the forms in which books and frameworks give the matrices of 2014."""

import re

import numpy as np
import pytest

import cgru
from support import reference

INPUT, H, T = 3, 5, 6


@pytest.fixture
def parts(rng):
    """W (H, I), U (H, H) and b (H,) of r, z and h."""
    shapes = (H, INPUT), (H, H), (H,)
    return [[rng.normal(size=shape) for _ in "rzh"] for shape in shapes]


def side_by_side(left, right):
    return [np.concatenate(pair, axis=1) for pair in zip(left, right, strict=True)]


def of_u(U):
    return dict(zip(("U_r", "U_z", "U_h"), U, strict=True))


def expected(parts, x):
    W, U, b = parts
    h, y = np.zeros((1, H)), []
    for x_t in x:
        h = reference.starting_equations(x_t[None], h, *side_by_side(U, W), *b)
        y.append(h)
    return np.concatenate(y)


def test_every_form_computes_the_same(parts, rng):
    W, U, b = parts
    x = rng.normal(size=(T, INPUT))
    plain = cgru.GRU.from_equations(*side_by_side(U, W), *b)
    np.testing.assert_allclose(plain(x)[0], expected(parts, x), rtol=0, atol=1e-12)
    assert cgru.GRU.from_equations(*side_by_side(U, W), *b, columns="hx") == plain
    assert cgru.GRU.from_equations(*side_by_side(W, U), *b, columns="xh") == plain
    assert cgru.GRU.from_equations(*W, *b, **of_u(U)) == plain
    single = cgru.GRU.from_equations(*W, **of_u(U), dtype="float32", batch_first=True)
    assert single.dtype == np.float32 and single.batch_first and not single.bias
    wrong = cgru.GRU.from_equations(*side_by_side(W, U), *b)
    assert np.abs(wrong(x)[0] - expected(parts, x)).max() > 0.01      # nobody can notice


def test_what_shapes_contradict_is_refused(parts):
    W, U, _ = parts
    with pytest.raises(ValueError, match="columns must be 'hx' or 'xh'; got 'ih'"):
        cgru.GRU.from_equations(*side_by_side(U, W), columns="ih")
    with pytest.raises(ValueError, match=re.escape("W_r has shape (5, 3), expected (H, H + I) with I of at least 1")):
        cgru.GRU.from_equations(*W)
    with pytest.raises(TypeError, match="U_r, U_z and U_h belong together; U_z and U_h not given"):
        cgru.GRU.from_equations(*W, U_r=U[0])
    with pytest.raises(ValueError, match="columns='xh' is for W that hold the columns of h and x"):
        cgru.GRU.from_equations(*W, **of_u(U), columns="xh")
    with pytest.raises(ValueError, match=re.escape("U_r has shape (5, 3), expected (H, H)")):
        cgru.GRU.from_equations(*U, **of_u(W))
    with pytest.raises(ValueError, match=re.escape("W_r has shape (3, 5), expected (5, I), as U_r has shape (5, 5)")):
        cgru.GRU.from_equations(*(matrix.T for matrix in W), **of_u(U))
    with pytest.raises(ValueError, match=re.escape("U_h has shape (4, 4), expected (5, 5), as U_r has shape (5, 5)")):
        cgru.GRU.from_equations(*W, **of_u([*U[:2], np.ones((4, 4))]))
    with pytest.raises(ValueError, match=re.escape("W_z has shape (5, 4), expected (5, 3), as W_r has shape (5, 3)")):
        cgru.GRU.from_equations(W[0], np.ones((5, 4)), W[2], **of_u(U))
