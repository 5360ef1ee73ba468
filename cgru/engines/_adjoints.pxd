"""One step of backpropagation, elementwise parts, for every cell; the lines are numbered in backward.pyx.

Units are handled in blocks of LANES. A block's results are built in local arrays, so the compiler needs no
aliasing checks; `count` is LANES, or what is left at a row's end.
"""

from cgru.engines._gates cimport LANES
from cython cimport floating
from libc.string cimport memcpy


cdef inline void gru_block(
    bint reset_after,
    const floating* tape, Py_ssize_t H,                              # IN r, z, n, q, H apart
    const floating* h, const floating* dy,                           # IN the old state; dL/dy or NULL
    floating* dh,                                                    # IN/OUT dL/dh' -> the direct part of dL/dh
    floating* da,                                                    # OUT da_n, da_r, da_z, da_q, H apart
    Py_ssize_t count,
) noexcept nogil:
    """Lines 4 to 1; with reset_after=False da_r is left to `gru_reset_block`, and there is no da_q."""
    cdef const floating* r = tape
    cdef const floating* z = tape + H
    cdef const floating* n = tape + 2 * H
    cdef const floating* q = tape + 3 * H
    cdef floating D[LANES]
    cdef floating da_n[LANES]
    cdef floating da_r[LANES]
    cdef floating da_z[LANES]
    cdef floating da_q[LANES]
    cdef floating one = 1.0
    cdef Py_ssize_t j
    memcpy(D, dh, count * sizeof(floating))
    if dy != NULL:
        for j in range(count):
            D[j] += dy[j]
    for j in range(count):
        da_n[j] = D[j] * (one - z[j]) * (one - n[j] * n[j])             # 4a, 3a
        da_z[j] = D[j] * (h[j] - n[j]) * (z[j] * (one - z[j]))          # 4b, 2
        D[j] = D[j] * z[j]                                              # 4c
    memcpy(da + 2 * H, da_z, count * sizeof(floating))
    memcpy(dh, D, count * sizeof(floating))
    if reset_after:
        for j in range(count):
            da_r[j] = da_n[j] * q[j] * (r[j] * (one - r[j]))            # 3b, 1
            da_q[j] = da_n[j] * r[j]                                    # 3c
        memcpy(da + H, da_r, count * sizeof(floating))
        memcpy(da + 3 * H, da_q, count * sizeof(floating))
    memcpy(da, da_n, count * sizeof(floating))


cdef inline void gru_reset_block(
    const floating* r, const floating* h, const floating* dq,        # IN
    floating* dh,                                                    # IN/OUT
    floating* da_r,                                                  # OUT
    Py_ssize_t count,
) noexcept nogil:
    """reset_after=False, once dq = U_n^T da_n is known."""
    cdef floating D[LANES]
    cdef floating da[LANES]
    cdef floating one = 1.0
    cdef Py_ssize_t j
    for j in range(count):
        da[j] = dq[j] * h[j] * (r[j] * (one - r[j]))                    # 3'b, 1
        D[j] = dh[j] + dq[j] * r[j]                                     # 3'c
    memcpy(dh, D, count * sizeof(floating))
    memcpy(da_r, da, count * sizeof(floating))
