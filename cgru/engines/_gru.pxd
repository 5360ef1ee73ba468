"""The GRU, forward and backward: one block of LANES hidden units at a time.

a = W x + b and b = U h + c are a gate's two sums, s is f (the logistic function) and tanh is g, unless a model has
others. Forward, and beside each line what it gives backward, where dv stands for dL/dv, the derivative of the loss L,
and a_v for the argument of the activation that gives v. A line with ' is that of reset_after=False.

    1   r = s(W_r x + b_r + U_r h + c_r)        da_r = dr r (1 - r)
    2   z = s(W_z x + b_z + U_z h + c_z)        da_z = dz z (1 - z)
    3   q = U_n h + c_n
        n = tanh(W_n x + b_n + r q)             da_n = dn (1 - n^2)  a;  dr = da_n q  b;  da_q = dq = da_n r  c
    3'  q = r h
        n = tanh(W_n x + b_n + U_n q + c_n)     da_n = dn (1 - n^2)  a;  dq = da_n U_n;  dr = dq h  b;  dh += dq r  c
    4   h' = (1 - z) n + z h                    dn = dh' (1 - z)  a;  dz = dh' (h - n)  b;  dh = dh' z  c

With other activations, or a clip, v (1 - v) and 1 - v^2 give way to their slopes (_slopes.pxd).

The tape keeps r, z, n, q of every step, H numbers apart; with other activations, or a clip, behind them what goes into
r's, z's and n's, before it is clamped.

In a block everything is computed in local arrays first and copied out at the end: then the compiler needs no checks
for arrays that overlap, and h_new may be h. There is one loop, since gcc unrolls shorter ones to scalars before it
makes vector code. `count` is LANES, or what is left at the end of a row. `plain` and `taped` are compile-time
constants; k are the constants of _activations.pxd. `slopes` are blocks of LANES, and NULL where it is plain.
"""

from cgru.engines._activations cimport Activations, apply_f, apply_g
from cgru.engines._blocks cimport arriving, save, slope_of_sigmoid, slope_of_tanh
from cgru.engines._target cimport LANES, fma
from cython cimport floating
from libc.string cimport memcpy

# ---- forward: all LANES units, whatever `count` is; only the tape's memory may end with the row


cdef inline void gru_after_block(
    bint plain, bint taped, const Activations* act, const floating* k,
    const floating* a, const floating* b, Py_ssize_t stride,         # IN sums of r, z, n, stride apart
    const floating* h,                                               # IN the old state
    floating* h_new,                                                 # OUT
    floating* tape, Py_ssize_t H, Py_ssize_t count,                  # OUT r, z, n, q and maybe more, or NULL
) noexcept nogil:
    """Lines 1 to 4, with h' = n + z (h - n)."""
    cdef floating r[LANES]
    cdef floating z[LANES]
    cdef floating n[LANES]
    cdef floating out[LANES]
    cdef floating sums[3][LANES]
    cdef floating sum_r, sum_z, sum_n
    cdef const floating* a_z = a + stride
    cdef const floating* b_z = b + stride
    cdef const floating* a_n = a + 2 * stride
    cdef const floating* q = b + 2 * stride
    cdef Py_ssize_t j
    for j in range(LANES):
        sum_r, sum_z = a[j] + b[j], a_z[j] + b_z[j]
        r[j], z[j] = apply_f(plain, act, sum_r, k), apply_f(plain, act, sum_z, k)
        sum_n = fma(r[j], q[j], a_n[j])
        n[j] = apply_g(plain, act, sum_n, k)
        out[j] = fma(z[j], h[j] - n[j], n[j])
        if not plain:
            sums[0][j], sums[1][j], sums[2][j] = sum_r, sum_z, sum_n
    if taped and tape != NULL:
        save(tape, &r[0], count)
        save(tape + H, &z[0], count)
        save(tape + 2 * H, &n[0], count)
        save(tape + 3 * H, q, count)
        if not plain:
            for j in range(3):
                save(tape + (4 + j) * H, &sums[j][0], count)
    memcpy(h_new, &out[0], LANES * sizeof(floating))


cdef inline void gru_reset_block(
    bint plain, bint taped, const Activations* act, const floating* k,
    const floating* a, const floating* b,                            # IN sums of r
    const floating* h,                                               # IN the old state
    floating* q,                                                     # OUT
    floating* tape, Py_ssize_t H, Py_ssize_t count,                  # OUT r, q and maybe r's sum, or NULL
) noexcept nogil:
    """reset_after=False, before the product with U_n: line 1, and q = r h."""
    cdef floating r[LANES]
    cdef floating out[LANES]
    cdef floating sums[LANES]
    cdef floating sum_r
    cdef Py_ssize_t j
    for j in range(LANES):
        sum_r = a[j] + b[j]
        r[j] = apply_f(plain, act, sum_r, k)
        out[j] = r[j] * h[j]
        if not plain:
            sums[j] = sum_r
    if taped and tape != NULL:
        save(tape, &r[0], count)
        save(tape + 3 * H, &out[0], count)
        if not plain:
            save(tape + 4 * H, &sums[0], count)
    memcpy(q, &out[0], LANES * sizeof(floating))


cdef inline void gru_before_block(
    bint plain, bint taped, const Activations* act, const floating* k,
    const floating* a, const floating* b, Py_ssize_t stride,         # IN sums: of a z and n, of b z; stride apart
    const floating* b_n,                                             # IN U_n q + c_n
    const floating* h,                                               # IN the old state
    floating* h_new,                                                 # OUT
    floating* tape, Py_ssize_t H, Py_ssize_t count,                  # OUT z, n and maybe their sums, or NULL
) noexcept nogil:
    """reset_after=False, after the product with U_n: lines 2, 3' and 4."""
    cdef floating z[LANES]
    cdef floating n[LANES]
    cdef floating out[LANES]
    cdef floating sums[2][LANES]
    cdef floating sum_z, sum_n
    cdef const floating* a_z = a + stride
    cdef const floating* b_z = b + stride
    cdef const floating* a_n = a + 2 * stride
    cdef Py_ssize_t j
    for j in range(LANES):
        sum_z, sum_n = a_z[j] + b_z[j], a_n[j] + b_n[j]
        z[j], n[j] = apply_f(plain, act, sum_z, k), apply_g(plain, act, sum_n, k)
        out[j] = fma(z[j], h[j] - n[j], n[j])
        if not plain:
            sums[0][j], sums[1][j] = sum_z, sum_n
    if taped and tape != NULL:
        save(tape + H, &z[0], count)
        save(tape + 2 * H, &n[0], count)
        if not plain:
            save(tape + 5 * H, &sums[0][0], count)
            save(tape + 6 * H, &sums[1][0], count)
    memcpy(h_new, &out[0], LANES * sizeof(floating))


# ---- backward: `count` units


cdef inline void gru_after_adjoint(
    bint plain,
    const floating* tape, Py_ssize_t H,                              # IN r, z, n, q, H apart
    const floating* slopes,                                          # IN of r, z, n
    const floating* h, const floating* dy,                           # IN the old state; dL/dy or NULL
    floating* dh,                                                    # IN/OUT -> the direct part, line 4c
    floating* da,                                                    # OUT da_n, da_r, da_z, da_q, H apart
    Py_ssize_t count,
) noexcept nogil:
    cdef floating out[5][LANES]
    cdef floating dh_new, r, z, n, one = 1.0
    cdef Py_ssize_t j
    for j in range(count):
        r, z, n = tape[j], tape[H + j], tape[2 * H + j]
        dh_new = arriving(dh, dy, j)
        out[0][j] = dh_new * (one - z) * slope_of_tanh(plain, n, slopes, 2 * LANES + j)             # 4a, 3a
        out[1][j] = out[0][j] * tape[3 * H + j] * slope_of_sigmoid(plain, r, slopes, j)             # 3b, 1
        out[2][j] = dh_new * (h[j] - n) * slope_of_sigmoid(plain, z, slopes, LANES + j)             # 4b, 2
        out[3][j] = out[0][j] * r                                                                   # 3c
        out[4][j] = dh_new * z                                                                      # 4c
    for j in range(4):
        memcpy(da + j * H, &out[j][0], count * sizeof(floating))
    memcpy(dh, &out[4][0], count * sizeof(floating))


cdef inline void gru_before_adjoint(
    bint plain,
    const floating* tape, Py_ssize_t H,                              # IN
    const floating* slopes,                                          # IN -, of z, n
    const floating* h, const floating* dy,                           # IN
    floating* dh,                                                    # IN/OUT -> line 4c
    floating* da,                                                    # OUT da_n, -, da_z, H apart
    Py_ssize_t count,
) noexcept nogil:
    """reset_after=False, first half: what needs no dq."""
    cdef floating out[3][LANES]
    cdef floating dh_new, z, n, one = 1.0
    cdef Py_ssize_t j
    for j in range(count):
        z, n = tape[H + j], tape[2 * H + j]
        dh_new = arriving(dh, dy, j)
        out[0][j] = dh_new * (one - z) * slope_of_tanh(plain, n, slopes, 2 * LANES + j)             # 4a, 3'a
        out[1][j] = dh_new * (h[j] - n) * slope_of_sigmoid(plain, z, slopes, LANES + j)             # 4b, 2
        out[2][j] = dh_new * z                                                                      # 4c
    memcpy(da, &out[0][0], count * sizeof(floating))
    memcpy(da + 2 * H, &out[1][0], count * sizeof(floating))
    memcpy(dh, &out[2][0], count * sizeof(floating))


cdef inline void gru_reset_adjoint(
    bint plain,
    const floating* r, const floating* h, const floating* dq,        # IN
    const floating* slopes,                                          # IN of r
    floating* dh,                                                    # IN/OUT
    floating* da_r,                                                  # OUT
    Py_ssize_t count,
) noexcept nogil:
    """reset_after=False, second half, once dq = da_n U_n is known."""
    cdef floating out[2][LANES]
    cdef Py_ssize_t j
    for j in range(count):
        out[0][j] = dq[j] * h[j] * slope_of_sigmoid(plain, r[j], slopes, j)                         # 3'b, 1
        out[1][j] = dh[j] + dq[j] * r[j]                                                            # 3'c
    memcpy(da_r, &out[0][0], count * sizeof(floating))
    memcpy(dh, &out[1][0], count * sizeof(floating))
