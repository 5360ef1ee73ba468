"""Row-major products over SciPy's Fortran BLAS, spelled once for both dtypes, none of which wakes BLAS's threads.

OpenBLAS shares a GEMM out to a pool of threads, one per core, where M * N * K is 524288 or more (0.3.30 measured,
0.3.27 read in its source). They spin for a while afterwards, and the caller waits for one that has no core. What turns
that off is a setting of the whole process, hence not this package's to change. So a product goes in pieces below that
size; a piece's operands then stay in cache, which gives back what the calls cost.

A row-major matrix is the transpose of a column-major one, hence the swapped operands. Sizes were checked against
BLAS's 32-bit integers when the model was built.
"""

from cgru.engines._target cimport LANES, fma
from cython cimport floating
from libc.string cimport memset
from scipy.linalg.cython_blas cimport dgemm, dgemv, sgemm, sgemv

cdef enum:
    QUIET = 524288                      # M * N * K of a GEMM from which OpenBLAS wakes its threads
    QUIET_GEMV = 460800                 # M * N of a GEMV, in SciPy 1.17 (OpenBLAS 0.3.30)
    QUIET_GEMV_OLD = 9216               # and in releases before (OpenBLAS 0.3.27)


cdef inline void gemm(
    bint transpose_A, bint transpose_B,                              # compile-time constants at every call
    Py_ssize_t M, Py_ssize_t N, Py_ssize_t K,
    const floating* A, Py_ssize_t lda,
    const floating* B, Py_ssize_t ldb,
    floating beta,
    floating* C, Py_ssize_t ldc,
) noexcept nogil:
    """C = op(A) op(B) + beta C in one call; M * N * K is below QUIET."""
    cdef floating alpha = 1.0
    cdef int m = <int>M, n = <int>N, k = <int>K, a = <int>lda, b = <int>ldb, c = <int>ldc
    cdef char op_A = c"T" if transpose_A else c"N"
    cdef char op_B = c"T" if transpose_B else c"N"
    if floating is float:
        sgemm(&op_B, &op_A, &n, &m, &k, &alpha, <float*>B, &b, <float*>A, &a, &beta, C, &c)
    else:
        dgemm(&op_B, &op_A, &n, &m, &k, &alpha, <double*>B, &b, <double*>A, &a, &beta, C, &c)


cdef inline Py_ssize_t even(Py_ssize_t size, Py_ssize_t most, Py_ssize_t multiple) noexcept nogil:
    """The size of equal pieces of at most `most`, a multiple of `multiple`: for 400 and 384 it is 208."""
    cdef Py_ssize_t pieces
    if size <= most:
        return size
    pieces = (size + most - 1) // most
    return ((size + pieces - 1) // pieces + multiple - 1) // multiple * multiple


cdef inline void gemm_in_pieces(
    bint transpose_A, bint transpose_B,
    Py_ssize_t M, Py_ssize_t N, Py_ssize_t K,
    const floating* A, Py_ssize_t lda,
    const floating* B, Py_ssize_t ldb,
    floating beta,
    floating* C, Py_ssize_t ldc,
) noexcept nogil:
    """C = op(A) op(B) + beta C. The shapes of pieces are measured, and all are below QUIET.

    OpenBLAS's AVX-512 kernels for small matrices want at most 1200 outputs of a piece, and do not copy operands; all
    others copy them, for which long and thin is cheapest.
    """
    cdef Py_ssize_t m = 192, n = 32, k = 80, i, j, done = 0
    if M * N < QUIET // K:
        gemm(transpose_A, transpose_B, M, N, K, A, lda, B, ldb, beta, C, ldc)
        return
    if LANES == 16 and K > k:
        if transpose_A:
            m, n, k = 48, 32, 256
        else:
            m, n, k = 16, 64, 384
    # where one side is short, the other may be longer
    if M < m:
        m, n = M, m * n // M // 16 * 16
    elif N < n:
        m, n = m * n // N // 16 * 16, N
    m, n, k = even(M, m, 8), even(N, n, 16), even(K, k, 8)
    while done < K:
        i = 0
        while i < M:
            j = 0
            while j < N:
                gemm(
                    transpose_A, transpose_B, min(m, M - i), min(n, N - j), min(k, K - done),
                    A + (done * lda + i if transpose_A else i * lda + done), lda,
                    B + (j * ldb + done if transpose_B else done * ldb + j), ldb,
                    beta, C + i * ldc + j, ldc,
                )
                j += n
            i += m
        done += k
        beta = 1.0


cdef inline void gemv_in_pieces(
    Py_ssize_t M, Py_ssize_t N,
    const floating* A, Py_ssize_t lda,     # IN (M, N)
    const floating* x,                     # IN (N,)
    floating beta,
    floating* y,                           # IN/OUT (M,)
    Py_ssize_t quiet,
) noexcept nogil:
    """y = A x + beta y."""
    cdef floating alpha = 1.0
    cdef Py_ssize_t rows = max(1, (quiet - 1) // N), i = 0
    cdef int one = 1, n = <int>N, ld = <int>lda, m
    while i < M:
        m = <int>min(rows, M - i)
        if floating is float:
            sgemv("T", &n, &m, &alpha, <float*>A + i * lda, &ld, <float*>x, &one, &beta, y + i, &one)
        else:
            dgemv("T", &n, &m, &alpha, <double*>A + i * lda, &ld, <double*>x, &one, &beta, y + i, &one)
        i += rows


cdef inline void gemv_t(
    Py_ssize_t M, Py_ssize_t N,
    const floating* A, Py_ssize_t lda,     # IN (M, N)
    const floating* x,                     # IN (M,)
    floating beta,                         # 0 or 1
    floating* y,                           # IN/OUT (N,)
) noexcept nogil:
    """y = A^T x + beta y, without BLAS: four rows of A at a time."""
    cdef Py_ssize_t i = 0, j
    cdef const floating* a
    if beta == 0:
        memset(y, 0, N * sizeof(floating))
    while i + 4 <= M:
        a = A + i * lda
        for j in range(N):
            y[j] = fma(x[i + 3], a[3 * lda + j], fma(
                x[i + 2], a[2 * lda + j], fma(x[i + 1], a[lda + j], fma(x[i], a[j], y[j]))
            ))
        i += 4
    while i < M:
        for j in range(N):
            y[j] = fma(x[i], A[i * lda + j], y[j])
        i += 1


cdef inline void product_nt(
    Py_ssize_t M, Py_ssize_t N, Py_ssize_t K,
    const floating* A, Py_ssize_t lda,     # IN (M, K)
    const floating* B, Py_ssize_t ldb,     # IN (N, K)
    floating beta,                         # 0 or 1
    floating* C, Py_ssize_t ldc,           # IN/OUT (M, N)
    Py_ssize_t quiet,
) noexcept nogil:
    """C = A B^T + beta C. `quiet` is QUIET_GEMV or QUIET_GEMV_OLD."""
    if M == 1:          # GEMM would copy B at every call, at 5 to 10 times the cost
        gemv_in_pieces(N, K, B, ldb, A, beta, C, quiet)
    else:
        gemm_in_pieces(False, True, M, N, K, A, lda, B, ldb, beta, C, ldc)


cdef inline void product_nn(
    Py_ssize_t M, Py_ssize_t N, Py_ssize_t K,
    const floating* A, Py_ssize_t lda,     # IN (M, K)
    const floating* B, Py_ssize_t ldb,     # IN (K, N)
    floating beta,                         # 0 or 1
    floating* C, Py_ssize_t ldc,           # IN/OUT (M, N)
) noexcept nogil:
    """C = A B + beta C."""
    if M == 1:
        gemv_t(K, N, B, ldb, A, beta, C)
    else:
        gemm_in_pieces(False, False, M, N, K, A, lda, B, ldb, beta, C, ldc)


cdef inline void product_tn(
    Py_ssize_t M, Py_ssize_t N, Py_ssize_t K,
    const floating* A, Py_ssize_t lda,     # IN (K, M)
    const floating* B, Py_ssize_t ldb,     # IN (K, N)
    floating beta,                         # 0 or 1
    floating* C, Py_ssize_t ldc,           # IN/OUT (M, N)
) noexcept nogil:
    """C = A^T B + beta C."""
    gemm_in_pieces(True, False, M, N, K, A, lda, B, ldb, beta, C, ldc)
