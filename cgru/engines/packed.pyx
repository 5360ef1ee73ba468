"""The packed engine: float32, weights packed once, products and gates as typed loops.

    gi = b + W x        panel product over the steps of a time chunk
    gh = c + U h        panel product, every step
    gates               one pass of typed loops, block by block of LANES hidden units

Columns of gi and gh stand block by block:  r(0..L) z(0..L) n(0..L) | r(L..2L) z(L..2L) n(L..2L) | ...
With reset_after=False, U is two matrices: gh = r z | r z | ..., and, once r h is known, hn = n | n | ...

Every output is one chain of fused multiply-adds in one order (_panels.pxd), and the gates are elementwise, so a
row's bits depend on that row alone.
"""

cimport numpy as cnp
from cgru.engines._cells cimport GRU
from cgru.engines._gates cimport (
    HAS_FMA, LANES, SIGMOID, TANH, Gates, gates_of, gru_after_block, gru_before_block, gru_reset_block, pad_block,
)
from cgru.engines._kernel cimport KERNEL_NAME, Kernel
from cgru.engines._panels cimport ROWS, WIDTH, Panels, tile, tile_of, tile_pair
from cgru.engines._sequence cimport (
    Sequence, active_at, clear_padding, row_of, sequence_of, state_row, tape_row, x_row, y_row,
)
from cpython.pycapsule cimport PyCapsule_New
from libc.stdint cimport uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from cgru.engines import packing

cnp.import_array()

cdef Py_ssize_t SCRATCH = 512 << 10     # bytes of input projections per time chunk: in L2 beside the weights
cdef Py_ssize_t LIMIT = 3 << 20         # bytes of scratch for one step: larger batches go in blocks of rows

FUSED = bool(HAS_FMA)                   # whether this build has the contract's fused multiply-add


cdef struct Cell:
    Py_ssize_t K, H, blocks             # features in, hidden units, blocks of LANES units
    Py_ssize_t rows                     # the most that go through the time loop together
    bint reset_after
    Gates gates
    Panels W                            # b + W x: r z n per block
    Panels U                            # c + U h: r z n per block, or r z
    Panels V                            # c_n + U_n (r h), n per block; no panels with reset_after


cdef struct Scratch:
    float* gi                           # (rows of a chunk, W.count * WIDTH)
    float* gh                           # (N, U.count * WIDTH)
    float* hn                           # (N, V.count * WIDTH)
    float* rh                           # (N, blocks * LANES)
    const float** x                     # row pointers of a chunk
    const float** h                     # (N,) each active row's old state
    const float** q                     # (N,) each active row's r h


cdef class Direction:
    """One direction of a layer: packed weights and the time loop over them; see `blas.Direction` for parameters.

    GRUs in float32 only. Immutable: any number of threads may `run` one at a time.
    """

    cdef Cell cell
    cdef Kernel step_kernel
    cdef tuple arrays

    def __init__(
        self, cnp.ndarray w_ih, cnp.ndarray w_hh, cnp.ndarray b_ih, cnp.ndarray b_hh,
        *, int kind=GRU, bint reset_after=True, f=(SIGMOID, 0.0, 0.0), g=(TANH, 0.0, 0.0), double clip=0.0,
    ):
        cdef Py_ssize_t H = w_hh.shape[1]
        if kind != GRU:
            raise ValueError(f"engine 'packed' computes GRUs (kind {<int>GRU}) only; got kind {kind}")
        self.cell.K, self.cell.H, self.cell.blocks = w_ih.shape[1], H, (H + LANES - 1) // LANES
        self.cell.reset_after = reset_after
        self.cell.gates = gates_of(f, g, clip)
        recurrent = 3 * H if reset_after else 2 * H       # rows of U; the rest is V
        panels, biases = zip(
            packing.pack(w_ih, b_ih, H, LANES),
            packing.pack(w_hh[:recurrent], b_hh[:recurrent], H, LANES),
            packing.pack(w_hh[recurrent:], b_hh[recurrent:], H, LANES),
            strict=True,
        )
        panels = packing.place(panels)
        self.arrays = (panels, biases)
        self.cell.W = panels_of(panels[0], biases[0])
        self.cell.U = panels_of(panels[1], biases[1])
        self.cell.V = panels_of(panels[2], biases[2])
        self.cell.rows = max(1, LIMIT // scratch_size(&self.cell, 1, 1) // ROWS) * ROWS
        self.step_kernel.direction = &self.cell
        self.step_kernel.K, self.step_kernel.H = self.cell.K, H
        self.step_kernel.planes, self.step_kernel.itemsize = 1, sizeof(float)
        self.step_kernel.scratch, self.step_kernel.step = step_scratch, step

    def kernel(self):
        """Capsule of this direction's Kernel (_kernel.pxd)."""
        return PyCapsule_New(&self.step_kernel, KERNEL_NAME, NULL)

    def run(
        self, cnp.ndarray x, cnp.ndarray y, tuple states, lengths, order, bint reverse, tape
    ):
        """Fill y (T, N, H) from x (T, N, K), and replace the states; see `blas.Direction.run`."""
        cdef Sequence seq = sequence_of(x, y, states, lengths, order, reverse, tape)
        cdef int failed
        with nogil:
            clear_padding(&seq, self.cell.H)
            failed = run_blocks(&self.cell, seq)
        if failed:
            raise MemoryError("no memory for the scratch space of the time loop")


cdef Panels panels_of(cnp.ndarray data, cnp.ndarray bias):
    cdef Panels panels
    panels.count, panels.K = data.shape[0], data.shape[1]
    panels.data, panels.bias = <const float*>cnp.PyArray_DATA(data), <const float*>cnp.PyArray_DATA(bias)
    return panels


cdef Py_ssize_t scratch_size(const Cell* cell, Py_ssize_t rows, Py_ssize_t N) noexcept nogil:
    """Bytes for a chunk of `rows` rows and a batch of N; row pointers first."""
    cdef Py_ssize_t floats = rows * cell.W.count * WIDTH + N * cell.U.count * WIDTH
    if not cell.reset_after:
        floats += N * (cell.V.count * WIDTH + cell.blocks * LANES)
    return (rows + 2 * N) * <Py_ssize_t>sizeof(float*) + floats * <Py_ssize_t>sizeof(float) + 64


cdef Scratch scratch_at(const Cell* cell, Py_ssize_t rows, Py_ssize_t N, void* memory) noexcept nogil:
    cdef Scratch scratch
    scratch.x = <const float**>memory
    scratch.h = scratch.x + rows
    scratch.q = scratch.h + N
    # blocks on cache lines, so that a vector store touches one
    scratch.gi = <float*>((<uintptr_t>(scratch.q + N) + 63) // 64 * 64)
    scratch.gh = scratch.gi + rows * cell.W.count * WIDTH
    scratch.hn = scratch.gh + N * cell.U.count * WIDTH
    scratch.rh = scratch.hn + N * cell.V.count * WIDTH
    return scratch


cdef inline void row_product(const Panels* panels, const float* const* x, float* out) noexcept nogil:
    """One row has three chains of additions per panel, too few to hide their latency: four panels at a time."""
    cdef Py_ssize_t p = 0, K = panels.K, size = panels.K * WIDTH
    while p + 4 <= panels.count:
        tile(1, 4, x, panels.data + p * size, panels.bias + p * WIDTH, K, out + p * WIDTH, 0)
        p += 4
    if p + 2 <= panels.count:
        tile(1, 2, x, panels.data + p * size, panels.bias + p * WIDTH, K, out + p * WIDTH, 0)
        p += 2
    if p < panels.count:
        tile(1, 1, x, panels.data + p * size, panels.bias + p * WIDTH, K, out + p * WIDTH, 0)


cdef void product(
    const Panels* panels, Py_ssize_t rows, const float* const* x,
    float* out, Py_ssize_t ld,             # OUT (rows, count * WIDTH), rows ld apart
) noexcept nogil:
    """out = bias + x W^T for all panels: a panel stays in cache while the rows pass."""
    cdef Py_ssize_t p = 0, r, tiles, size_of_tile, K = panels.K, size = panels.K * WIDTH
    if rows == 1:
        row_product(panels, x, out)
        return
    if rows == 2:
        while p + 2 <= panels.count:
            tile(2, 2, x, panels.data + p * size, panels.bias + p * WIDTH, K, out + p * WIDTH, ld)
            p += 2
    while p < panels.count:
        # tiles of nearly the same number of rows: 9 rows are 5 and 4, since a tile of one would wait for its sums
        tiles = (rows + ROWS - 1) // ROWS
        r = 0
        while tiles > 0:
            size_of_tile = (rows - r + tiles - 1) // tiles
            tile_of(size_of_tile, x + r, panels.data + p * size, panels.bias + p * WIDTH, K,
                    out + r * ld + p * WIDTH, ld)
            r += size_of_tile
            tiles -= 1
        p += 1


cdef int run_blocks(const Cell* cell, Sequence seq) noexcept nogil:
    """The time loop over cell.rows rows at a time: 0, or -1 where scratch memory cannot be had."""
    cdef Py_ssize_t left = seq.N, p
    while left > 0:
        seq.N = min(left, cell.rows)
        if run_sequence(cell, &seq):
            return -1
        left -= seq.N
        if seq.order != NULL:
            seq.order += seq.N
        else:
            seq.x += seq.N * seq.x_n
            seq.y += seq.N * seq.y_n
            for p in range(seq.planes):
                seq.states[p] += seq.N * cell.H * sizeof(float)
            if seq.tape != NULL:
                seq.tape += seq.N * seq.tape_n
    return 0


cdef int run_sequence(const Cell* cell, const Sequence* seq) noexcept nogil:
    """The time loop: 0, or -1 without memory. After its first step, a row's state is where its y is."""
    cdef Py_ssize_t N = seq.N, H = cell.H, ld = cell.W.count * WIDTH
    cdef Py_ssize_t steps = max(1, SCRATCH // (N * (ld + cell.K) * <Py_ssize_t>sizeof(float)))
    cdef Py_ssize_t s, s_0 = 0, s_1, i, rows, active = N
    cdef Scratch scratch
    cdef float* gi
    cdef void* memory
    steps = min(steps, seq.T)
    memory = malloc(scratch_size(cell, steps * N, N))
    if memory == NULL:
        return -1
    scratch = scratch_at(cell, steps * N, N, memory)
    for i in range(N):
        scratch.h[i] = <const float*>state_row(seq, 0, i, H * sizeof(float))
    while s_0 < seq.T and active > 0:
        s_1 = min(s_0 + steps, seq.T)
        # gi[rows, :] = b + x[rows, K] W^T for the rows active in steps s_0..s_1
        rows = 0
        i = active
        for s in range(s_0, s_1):
            i = active_at(seq, s, i)
            rows = chunk_rows(seq, s, i, scratch.x, rows)
        product(&cell.W, rows, scratch.x, scratch.gi, ld)
        gi = scratch.gi
        for s in range(s_0, s_1):
            rows = active_at(seq, s, active)
            finish(seq, H, rows, active, scratch.h)
            active = rows
            if active == 0:
                break
            advance(cell, seq, s, active, gi, &scratch)
            gi += active * ld
        s_0 = s_1
    finish(seq, H, 0, active, scratch.h)
    free(memory)
    return 0


cdef inline Py_ssize_t chunk_rows(
    const Sequence* seq, Py_ssize_t s, Py_ssize_t active, const float** x, Py_ssize_t rows
) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(active):
        x[rows + i] = <const float*>x_row(seq, row_of(seq, i), s)
    return rows + active


cdef inline void finish(
    const Sequence* seq, Py_ssize_t H, Py_ssize_t first, Py_ssize_t last, const float* const* h
) noexcept nogil:
    """The rows visited as first..last are through: h[i] is their final state."""
    cdef Py_ssize_t i, size = H * sizeof(float)
    cdef char* final
    for i in range(first, last):
        final = state_row(seq, 0, i, size)
        if final != <const char*>h[i]:
            memcpy(final, h[i], size)


cdef void advance(
    const Cell* cell, const Sequence* seq, Py_ssize_t s, Py_ssize_t active, const float* gi, Scratch* scratch
) noexcept nogil:
    """Step s of the active rows; each row's new state goes to its y, and that is its old state from then on."""
    cdef Py_ssize_t i
    cdef float* y
    recur(cell, seq, s, active, gi, scratch)
    for i in range(active):
        y = <float*>y_row(seq, row_of(seq, i), s)
        update(cell, scratch, i, gi, scratch.h[i], y, <float*>tape_row(seq, i, s))
        scratch.h[i] = y


cdef Py_ssize_t step_scratch(const void* cell, Py_ssize_t N) noexcept nogil:
    N = min(N, (<const Cell*>cell).rows)
    return scratch_size(<const Cell*>cell, N, N)


cdef void step(
    const void* cell_, Py_ssize_t N, const void* x, Py_ssize_t ldx,
    const void* const* states, void* const* new_states, void* memory
) noexcept nogil:
    """One step of a stream: the same products and gates as in a sequence, hence the same bits."""
    cdef const Cell* cell = <const Cell*>cell_
    cdef Py_ssize_t first = 0, rows
    while first < N:
        rows = min(N - first, cell.rows)
        step_rows(cell, rows, <const float*>x + first * ldx, ldx, <const float*>states[0] + first * cell.H,
                  <float*>new_states[0] + first * cell.H, memory)
        first += rows


cdef void step_rows(
    const Cell* cell, Py_ssize_t N, const float* x, Py_ssize_t ldx, const float* h, float* h_new, void* memory
) noexcept nogil:
    cdef Scratch scratch = scratch_at(cell, N, N, memory)
    cdef Py_ssize_t i
    for i in range(N):
        scratch.x[i] = x + i * ldx
        scratch.h[i] = h + i * cell.H
    if N == 1 and cell.reset_after and cell.W.count == 1:
        tile_pair(1, scratch.x[0], &cell.W, scratch.gi, scratch.h[0], &cell.U, scratch.gh)
    elif N == 1 and cell.reset_after and cell.W.count == 2:
        tile_pair(2, scratch.x[0], &cell.W, scratch.gi, scratch.h[0], &cell.U, scratch.gh)
    else:
        product(&cell.W, N, scratch.x, scratch.gi, cell.W.count * WIDTH)
        recur(cell, NULL, 0, N, scratch.gi, &scratch)
    for i in range(N):
        update(cell, &scratch, i, scratch.gi, scratch.h[i], h_new + i * cell.H, NULL)


cdef void recur(
    const Cell* cell, const Sequence* seq, Py_ssize_t s, Py_ssize_t N, const float* gi, Scratch* scratch
) noexcept nogil:
    """The recurrent products of N rows whose old states are scratch.h."""
    cdef Py_ssize_t i
    cdef float* tape
    # gh[N, :] = c + h[N, H] U^T
    product(&cell.U, N, scratch.h, scratch.gh, cell.U.count * WIDTH)
    if not cell.reset_after:
        for i in range(N):
            scratch.q[i] = scratch.rh + i * cell.blocks * LANES
            tape = <float*>tape_row(seq, i, s)
            if cell.gates.plain:
                reset_row(True, cell, scratch, i, gi, scratch.h[i], tape)
            else:
                reset_row(False, cell, scratch, i, gi, scratch.h[i], tape)
        # hn[N, :] = c_n + (r h)[N, H] U_n^T
        product(&cell.V, N, scratch.q, scratch.hn, cell.V.count * WIDTH)


cdef void update(
    const Cell* cell, const Scratch* scratch, Py_ssize_t i, const float* gi, const float* h, float* h_new, float* tape
) noexcept nogil:
    if cell.gates.plain:
        update_row(True, cell, scratch, i, gi, h, h_new, tape)
    else:
        update_row(False, cell, scratch, i, gi, h, h_new, tape)


cdef inline void update_row(
    bint plain, const Cell* cell, const Scratch* scratch, Py_ssize_t i, const float* gi,
    const float* h, float* h_new, float* tape,
) noexcept nogil:
    """The gates of row i, block by block; the last block may be short, and the row's memory ends there."""
    cdef Py_ssize_t block, left, H = cell.H
    cdef const float* a = gi + i * cell.W.count * WIDTH
    cdef const float* b = scratch.gh + i * cell.U.count * WIDTH
    cdef const float* c = scratch.hn + i * cell.V.count * WIDTH
    cdef float pad[LANES]
    for block in range(cell.blocks):
        left = H - block * LANES
        if left >= LANES:
            update_block(plain, cell, a, b, c, h, h_new, tape, LANES)
        else:
            pad_block(&pad[0], h, left)
            update_block(plain, cell, a, b, c, &pad[0], &pad[0], tape, left)
            memcpy(h_new, &pad[0], left * sizeof(float))
        a += 3 * LANES
        b += 3 * LANES if cell.reset_after else 2 * LANES
        c += LANES
        h += LANES
        h_new += LANES
        tape = NULL if tape == NULL else tape + LANES


cdef inline void update_block(
    bint plain, const Cell* cell, const float* a, const float* b, const float* c,
    const float* h, float* h_new, float* tape, Py_ssize_t count,
) noexcept nogil:
    if cell.reset_after:
        gru_after_block(plain, &cell.gates, a, a + LANES, a + 2 * LANES, b, b + LANES, b + 2 * LANES,
                        h, h_new, tape, cell.H, count)
    else:
        gru_before_block(plain, &cell.gates, a + LANES, a + 2 * LANES, b + LANES, c, h, h_new, tape, cell.H, count)


cdef inline void reset_row(
    bint plain, const Cell* cell, const Scratch* scratch, Py_ssize_t i, const float* gi, const float* h, float* tape
) noexcept nogil:
    """r h of row i."""
    cdef Py_ssize_t block, left, H = cell.H
    cdef const float* a = gi + i * cell.W.count * WIDTH
    cdef const float* b = scratch.gh + i * cell.U.count * WIDTH
    cdef float* rh = scratch.rh + i * cell.blocks * LANES
    cdef float pad[LANES]
    for block in range(cell.blocks):
        left = H - block * LANES
        if left >= LANES:
            gru_reset_block(plain, &cell.gates, a, b, h, rh, tape, H, LANES)
        else:
            pad_block(&pad[0], h, left)
            gru_reset_block(plain, &cell.gates, a, b, &pad[0], rh, tape, H, left)
        a += 3 * LANES
        b += 2 * LANES
        rh += LANES
        h += LANES
        tape = NULL if tape == NULL else tape + LANES
