"""Row-major GEMM and GEMV over SciPy's Fortran BLAS, spelled once for both dtypes.

A row-major matrix is the transpose of a column-major one, hence the swapped operands. Sizes were checked
against BLAS's 32-bit integers when the model was built.
"""

from cython cimport floating
from scipy.linalg.cython_blas cimport dgemm, dgemv, sgemm, sgemv


cdef inline void gemm_nt(
    int M, int N, int K,
    const floating* A, int lda,     # IN (M, K)
    const floating* B, int ldb,     # IN (N, K)
    floating beta,
    floating* C, int ldc,           # IN/OUT (M, N)
) noexcept nogil:
    """C = A B^T + beta C."""
    cdef floating alpha = 1.0
    if floating is float:
        sgemm("T", "N", &N, &M, &K, &alpha, <float*>B, &ldb, <float*>A, &lda, &beta, C, &ldc)
    else:
        dgemm("T", "N", &N, &M, &K, &alpha, <double*>B, &ldb, <double*>A, &lda, &beta, C, &ldc)


cdef inline void gemv(
    int M, int N,
    const floating* A, int lda,     # IN (M, N)
    const floating* x,              # IN (N,)
    floating beta,
    floating* y,                    # IN/OUT (M,)
) noexcept nogil:
    """y = A x + beta y."""
    cdef floating alpha = 1.0
    cdef int one = 1
    if floating is float:
        sgemv("T", &N, &M, &alpha, <float*>A, &lda, <float*>x, &one, &beta, y, &one)
    else:
        dgemv("T", &N, &M, &alpha, <double*>A, &lda, <double*>x, &one, &beta, y, &one)


cdef enum:
    THREADING = 524288                  # M * N * K from which OpenBLAS wakes its threads, which then spin
    WORTHWHILE = 16                     # rows of A below which a GEMM costs more than it saves


cdef inline void product_nt(
    int M, int N, int K,
    const floating* A, int lda,
    const floating* B, int ldb,
    floating beta,
    floating* C, int ldc,
) noexcept nogil:
    """C = A B^T + beta C: GEMM, or GEMV for one row (GEMM repacks B at every call, 5 to 10 times the cost).

    Where it can be had in pieces of WORTHWHILE rows or more, no call is large enough to wake OpenBLAS's threads.
    """
    cdef Py_ssize_t rows = (THREADING - 1) // (<Py_ssize_t>N * K)
    cdef Py_ssize_t i = 0
    if M == 1:
        gemv(N, K, B, ldb, A, beta, C)
        return
    if rows < WORTHWHILE:
        rows = M
    while i < M:
        gemm_nt(<int>min(rows, M - i), N, K, A + i * lda, lda, B, ldb, beta, C + i * ldc, ldc)
        i += rows


cdef inline void gemm_nn(
    int M, int N, int K,
    const floating* A, int lda,     # IN (M, K)
    const floating* B, int ldb,     # IN (K, N)
    floating beta,
    floating* C, int ldc,           # IN/OUT (M, N)
) noexcept nogil:
    """C = A B + beta C."""
    cdef floating alpha = 1.0
    cdef int one = 1
    if floating is float:
        if M == 1:
            sgemv("N", &N, &K, &alpha, <float*>B, &ldb, <float*>A, &one, &beta, C, &one)
        else:
            sgemm("N", "N", &N, &M, &K, &alpha, <float*>B, &ldb, <float*>A, &lda, &beta, C, &ldc)
    else:
        if M == 1:
            dgemv("N", &N, &K, &alpha, <double*>B, &ldb, <double*>A, &one, &beta, C, &one)
        else:
            dgemm("N", "N", &N, &M, &K, &alpha, <double*>B, &ldb, <double*>A, &lda, &beta, C, &ldc)


cdef inline void gemm_tn(
    int M, int N, int K,
    const floating* A, int lda,     # IN (K, M)
    const floating* B, int ldb,     # IN (K, N)
    floating beta,
    floating* C, int ldc,           # IN/OUT (M, N)
) noexcept nogil:
    """C = A^T B + beta C."""
    cdef floating alpha = 1.0
    if floating is float:
        sgemm("N", "T", &N, &M, &K, &alpha, <float*>B, &ldb, <float*>A, &lda, &beta, C, &ldc)
    else:
        dgemm("N", "T", &N, &M, &K, &alpha, <double*>B, &ldb, <double*>A, &lda, &beta, C, &ldc)
