/* Preloaded into a process (LD_PRELOAD): how often memory was asked for, and the largest request; requests above a limit
   can be made to fail. glibc. */

#include <errno.h>
#include <stddef.h>

extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

static long calls;
static size_t largest, limit;

static void count(size_t size)
{
    __atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED);
    if (size > largest)
        largest = size;
}

long cgru_allocations(void) { return calls; }
size_t cgru_largest(void) { return largest; }
void cgru_forget_largest(void) { largest = 0; }
void cgru_refuse_above(size_t size) { limit = size; } /* 0: refuse none */

void *malloc(size_t size)
{
    count(size);
    return limit && size > limit ? NULL : __libc_malloc(size);
}

void *calloc(size_t number, size_t size)
{
    count(number * size);
    return __libc_calloc(number, size);
}

void *realloc(void *memory, size_t size)
{
    count(size);
    return __libc_realloc(memory, size);
}

void *memalign(size_t alignment, size_t size)
{
    count(size);
    return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return memalign(alignment, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size)
{
    *memory = memalign(alignment, size);
    return *memory ? 0 : ENOMEM;
}
