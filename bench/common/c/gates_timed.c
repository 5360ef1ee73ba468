/* The plain loops of gates.c, timed in C: no figure contains a call from Python. */
#include <time.h>

#include "gates.c"

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ns[count], each the time of `calls` passes over n units of a cell with 3 (GRU), 4 (LSTM) or 1 gates (RNN). `memory` holds,
 * gate by gate, a and b, then h, c, new h, new c: n floats each.
 */
__attribute__((visibility("default"))) void gates_sample(int gates, long n, float *memory, int64_t calls,
                                                         int64_t count, int64_t *ns)
{
    float *a = memory, *b = a + gates * n, *h = b + gates * n, *c = h + n, *h_new = c + n, *c_new = h_new + n;

    for (int64_t i = 0; i < count; i++) {
        int64_t start = now_ns();
        for (int64_t call = 0; call < calls; call++) {
            if (gates == 3)
                probe_gru(n, a, b, h, h_new);
            else if (gates == 4)
                probe_lstm(n, a, b, c, h_new, c_new);
            else
                probe_rnn(n, a, b, h_new);
            __asm__ volatile("" : : "r"(memory) : "memory"); /* every pass computes again */
        }
        ns[i] = now_ns() - start;
    }
}
