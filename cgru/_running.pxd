"""A state that goes on from step to step: its memory, who holds it, one step of all layers. What streams are made of.

What runs is a model, or a network of several. Memory is one block: for each model the planes (layers, N, H) of the
state, the same of the next one, a copy to go back to, and scratch, each on its own cache lines. The two states change
places at every step. A Linear has no state, and in its place what it gives, (N, O).
"""

from cgru.engines._interrupt cimport INTERRUPTED, Watch, interrupted
from cgru.engines._kernel cimport KERNEL_NAME, MAX_PLANES, Kernel
from cpython.pycapsule cimport PyCapsule_GetPointer
from cython cimport floating
from libc.string cimport memcpy

cdef extern from *:
    """
    #if defined(__GNUC__) || defined(__clang__)
    static inline long cgru_swap(long* flag, long old, long value)
    {
        __atomic_compare_exchange_n(flag, &old, value, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
        return old;
    }
    #define cgru_release(flag) __atomic_store_n((flag), 0, __ATOMIC_RELEASE)
    #else
    #include <intrin.h>
    #define cgru_swap(flag, old, value) _InterlockedCompareExchange((volatile long*)(flag), (value), (old))
    #define cgru_release(flag) ((void)_InterlockedExchange((volatile long*)(flag), 0))
    #endif
    """
    # writes `value` where `old` stands; what stood there is returned
    long swap "cgru_swap"(long* flag, long old, long value) noexcept nogil
    void release "cgru_release"(long* flag) noexcept nogil


cdef enum:
    MAX_LAYERS = 64
    TOGETHER = 64                       # steps that a short layer makes before the next one begins
    SHORT_STEP = 1 << 14                # multiply-adds up to which a step is short: the weights stay in L1
    LONG_STEP = 1 << 20                 # and from which on the GIL is released: some 10 us, against 0.1 for the release
    MAX_STRIDE = 1 << 30                # bytes: engines take strides as int


cdef struct Running:
    Kernel* kernels[MAX_LAYERS]         # of all layers of all models
    Py_ssize_t row[MAX_LAYERS]          # bytes of a row of one of its planes
    Py_ssize_t at[MAX_LAYERS][MAX_PLANES]    # where its planes are in a state
    Py_ssize_t counts[MAX_LAYERS]       # layers of each model
    Py_ssize_t models, layers, N, K, O, itemsize    # N rows, K features of x and O of y, bytes of a number
    Py_ssize_t size                     # bytes of a state
    Py_ssize_t together                 # steps of a single row that go through a layer at once: TOGETHER, or 1
    Py_ssize_t block                    # bytes of what a layer gives in so many
    bint skip                           # whether y has the first O features of x added
    long busy                           # 0, or the generation of the process in which a call is running
    char* state
    char* new_state
    char* saved
    char* blocks[2]                     # what a layer gives, and what the next one does
    char* scratch


cdef inline Py_ssize_t plan(Running* r, tuple models) except -1:
    """Take the models' kernels, and say how many bytes of memory `place` wants."""
    take_kernels(r, models)
    return measure(r)


cdef inline int take_kernels(Running* r, tuple models) except -1:
    """From models that stay alive; what follows from that, but for the number of rows."""
    cdef Py_ssize_t layer, count
    cdef const Kernel* kernel = NULL
    r.models = r.layers = 0
    for model in models:
        count = len(model.directions)
        if r.layers + count > MAX_LAYERS:
            total = sum([len(one.directions) for one in models])
            raise ValueError(f"a stream takes at most {<int>MAX_LAYERS} layers; this model has {total}")
        r.counts[r.models] = count
        r.models += 1
        for layer in range(r.layers, r.layers + count):
            capsule = model.directions[layer - r.layers].kernel()
            r.kernels[layer] = <Kernel*>PyCapsule_GetPointer(capsule, KERNEL_NAME)
            kernel = r.kernels[layer]
            check_sizes(kernel, layer > r.layers, model)
            r.row[layer] = kernel.H * kernel.itemsize
        r.layers += count
    r.K, r.O, r.itemsize = r.kernels[0].K, kernel.H, kernel.itemsize
    return 0


cdef inline Py_ssize_t measure(Running* r) noexcept nogil:
    """With N rows: lay out the state, and say how many bytes of memory `place` wants."""
    cdef Py_ssize_t layer, work = 0
    cdef const Kernel* kernel
    r.block = 0
    for layer in range(r.layers):
        kernel = r.kernels[layer]
        work = max(work, kernel.scratch(kernel.direction, r.N if kernel.planes else max(r.N, r.together)))
        r.block = max(r.block, on_lines(r.together * r.row[layer]))
    lay_out(r)
    return 3 * r.size + 2 * r.block + on_lines(r.N * r.O * r.itemsize) + work + 128


cdef inline check_sizes(const Kernel* kernel, bint above, model):
    """Memory is laid out by what the model says; a subclass may say anything."""
    cdef tuple says, has                # Cython 3.3 never ends when it is to find their types itself
    H = model.config.hidden_size
    said = getattr(model, "hidden_size", H)
    says = (said if above else model.input_size, said, model.dtype.itemsize, len(model.config.cell.states))
    has = (kernel.K, kernel.H, kernel.itemsize, kernel.planes)
    if says != has:
        raise ValueError(
            f"this {type(model).__name__} says that a layer has {says[0]} features, {says[1]} hidden units, "
            f"{says[2]} bytes a number and {says[3]} arrays of state, but it was built with {has}; its properties "
            "must not say other sizes than its config"
        )


cdef inline Py_ssize_t on_lines(Py_ssize_t size) noexcept nogil:
    """Bytes rounded up to whole cache lines."""
    return (size + 63) // 64 * 64


cdef inline char* aligned(char* memory) noexcept nogil:
    """The first cache line that begins in `memory`."""
    return memory + (64 - <size_t>memory % 64) % 64


cdef inline void lay_out(Running* r) noexcept nogil:
    """Where the planes of N rows are in a state, and its size."""
    cdef Py_ssize_t m, p, layer, k = 0, at = 0
    for m in range(r.models):
        for p in range(max(r.kernels[k].planes, 1)):
            for layer in range(r.counts[m]):
                r.at[k + layer][p] = at + layer * r.N * r.row[k]
            at += on_lines(r.counts[m] * r.N * r.row[k])
        k += r.counts[m]
    r.size = at


cdef inline void place(Running* r, char* memory) noexcept nogil:
    """Lay everything out in `memory`, which begins with a cache line."""
    r.state, r.new_state, r.saved = memory, memory + r.size, memory + 2 * r.size
    r.blocks[0] = memory + 3 * r.size
    r.blocks[1] = r.blocks[0] + r.block
    r.scratch = r.blocks[1] + r.block + on_lines(r.N * r.O * r.itemsize)


cdef inline int hold(
    Running* r, long generation, bint whole=False, str what="stream", str lost="reset() it, or set its state"
) except -1:
    """Take hold of it; `whole`: for a new state of all rows, whatever the old one is."""
    cdef long holder = swap(&r.busy, 0, generation)
    if holder == 0:
        return 0
    if holder == generation:
        raise RuntimeError(
            f"this {what} is running in another thread; a {what} belongs to one caller at a time: give each "
            "thread its own, they can share the model"
        )
    # a thread of the parent process, which does not exist here
    if not whole or swap(&r.busy, holder, generation) != holder:
        raise RuntimeError(
            f"this {what} was running in another thread when this process was forked, so its state is lost here: "
            f"{lost}"
        )
    return 0


cdef inline const char* step_layer(
    const Running* r, Py_ssize_t layer, const char* x, char* state, char* new_state, bint shared=False
) noexcept nogil:
    """One step of one layer, x (N, K), or `shared` by all rows, from a state to a new one; what it gives, (N, H)."""
    cdef const Kernel* kernel = r.kernels[layer]
    cdef const void* old[MAX_PLANES]
    cdef void* new[MAX_PLANES]
    cdef Py_ssize_t p
    new[0] = new_state + r.at[layer][0]
    for p in range(kernel.planes):
        old[p] = state + r.at[layer][p]
        new[p] = new_state + r.at[layer][p]
    kernel.step(kernel.direction, r.N, x, 0 if shared else kernel.K, old, new, r.scratch)
    return <const char*>new[0]


cdef inline void advance(Running* r, const char* x, char* y) noexcept nogil:
    """One step: x (N, K) to y (N, O), which may overlap."""
    cdef Py_ssize_t layer
    cdef const char* below = x
    cdef char* state = r.state
    for layer in range(r.layers):
        below = step_layer(r, layer, below, r.state, r.new_state)
    if r.skip:
        below = with_skip(r, x, below)
    memcpy(y, below, r.N * r.O * r.itemsize)
    r.state = r.new_state
    r.new_state = state


cdef inline const char* with_skip(Running* r, const char* x, const char* y) noexcept nogil:
    """y + x, of each row's first O features."""
    cdef Py_ssize_t i
    cdef char* sums = r.scratch - on_lines(r.N * r.O * r.itemsize)
    for i in range(r.N):
        if r.itemsize == sizeof(float):
            add[float](<const float*>x + i * r.K, <const float*>y + i * r.O, <float*>sums + i * r.O, r.O)
        else:
            add[double](<const double*>x + i * r.K, <const double*>y + i * r.O, <double*>sums + i * r.O, r.O)
    return sums


cdef inline void add(const floating* a, const floating* b, floating* sums, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(count):
        sums[j] = a[j] + b[j]


cdef inline int advance_steps(
    Running* r, Py_ssize_t steps, const char* x, Py_ssize_t x_t, char* y, Py_ssize_t y_t, bint asks
) noexcept nogil:
    """Several steps, x_t and y_t bytes apart: 0, or INTERRUPTED with the state as it was.

    It `asks` whether to stop, and takes the GIL for that, or never does.
    """
    cdef Py_ssize_t t = 0, count
    cdef Watch watch = Watch(due=0)
    if asks:
        memcpy(r.saved, r.state, r.size)
    while t < steps:
        count = min(r.together, steps - t)
        if count == 1:
            advance(r, x + t * x_t, y + t * y_t)
        else:
            advance_block(r, count, x + t * x_t, x_t, y + t * y_t, y_t)
        t += count
        if asks and interrupted(&watch):
            memcpy(r.state, r.saved, r.size)
            return INTERRUPTED
    return 0


cdef inline void advance_block(
    Running* r, Py_ssize_t count, const char* x, Py_ssize_t x_t, char* y, Py_ssize_t y_t
) noexcept nogil:
    """`count` steps of a single row, layer by layer: to a Linear they are rows of one product."""
    cdef Py_ssize_t layer, t, row, ld = x_t
    cdef const Kernel* kernel
    cdef const void* none[MAX_PLANES]   # a Linear looks at no state
    cdef void* rows[MAX_PLANES]
    cdef const char* below = x
    cdef char* states[2]
    cdef char* above
    states[0], states[1] = r.state, r.new_state
    for layer in range(r.layers):
        kernel, row, above = r.kernels[layer], r.row[layer], r.blocks[layer % 2]
        if kernel.planes == 0 and ld >= kernel.K * r.itemsize and ld < MAX_STRIDE:
            rows[0] = above
            kernel.step(kernel.direction, count, below, ld // r.itemsize, none, rows, r.scratch)
        else:
            for t in range(count):
                memcpy(above + t * row, step_layer(r, layer, below + t * ld, states[t % 2], states[1 - t % 2]), row)
        below, ld = above, row
    for t in range(count):
        above = <char*>(with_skip(r, x + t * x_t, below + t * ld) if r.skip else below + t * ld)
        memcpy(y + t * y_t, above, ld)
    r.state, r.new_state = states[count % 2], states[1 - count % 2]
