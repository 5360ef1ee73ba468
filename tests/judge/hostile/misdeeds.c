/* A right RNN in one row, and one misdeed a model: its number is the first of bias_hh, where that is 1000 or more.
   A step computes first, then does it; so what is left of a run is known. C99 and POSIX. */
#define _DEFAULT_SOURCE
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

#include <cgru_judge.h>

/* in the order of test_hostile.py */
enum {
    NONE = 1000, WRITE_BEHIND_Y, WRITE_BEFORE_Y, READ_BEHIND_Y, WRITE_X, READ_BEHIND_X,
    KEEP_WEIGHTS, KEEP_STATE, KEEP_X, WRITE_WEIGHTS, WRITE_STATE, WRITE_LAYER, NULL_WRITE, RECURSE, TRAP, DIVIDE, ABORT,
    KILL_ITSELF, EXIT_0, EXIT_3, EXIT_IN_MAKE, EXIT_IN_RESET, EXIT_IN_FREE, LOOP_IN_STEP, LOOP_IN_MAKE, LOOP_IN_FREE,
    SLEEP, PRINT, PRINT_MUCH, CLOSE_FILES, LEAVE_CHILD, LEAVE_THREAD, IGNORE_SIGNALS, WRITE_NAN, WRITE_NOTHING,
    BEHIND_HEAP, AFTER_FREE, OVERFLOW, EAT_MEMORY, CHANGE_FOLDER, WRITE_THE_LAST, REFUSE_STATE, EXIT_86, LEAK, KEEP_FOR_NEXT
};

typedef struct {
    int misdeed, I, H, steps;
    float *weight_ih, *weight_hh, *bias, *h;
    const float *kept_weight, *kept_state, *kept_x;
} Model;

static int wide = 2147483647;
static volatile float sink;
static void *kept;

static void loop(void)
{
    volatile int on = 1;
    while (on) continue;
}

static int recurse(volatile int *deep)
{
    volatile int here[256];
    here[0] = *deep + 1;
    return here[0] ? recurse(here) + here[0] : 0;
}

static void *its_thread(void *unused)
{
    loop();
    return unused;
}

static float *copy(const float *from, int count)
{
    float *to = (float *)malloc(count * sizeof *to);
    memcpy(to, from, count * sizeof *to);
    return to;
}

void *cgru_judge_make(const cgru_judge_layer *layer)
{
    Model *model;
    int misdeed = layer->bias_hh[0] >= NONE ? (int)layer->bias_hh[0] : NONE, H = layer->hidden_size, I = layer->input_size;
    if (layer->cell != CGRU_JUDGE_RNN || layer->rows != 1) return NULL;
    if (misdeed == EXIT_IN_MAKE) exit(3);
    if (misdeed == LOOP_IN_MAKE) loop();
    if (misdeed == WRITE_WEIGHTS) ((float *)layer->weight_hh)[1] = 1;
    if (misdeed == WRITE_LAYER) ((cgru_judge_layer *)layer)->rows = 2;
    model = (Model *)calloc(1, sizeof *model);
    model->misdeed = misdeed;
    model->I = I;
    model->H = H;
    model->weight_ih = copy(layer->weight_ih, H * I);
    model->weight_hh = copy(layer->weight_hh, H * H);
    model->bias = copy(layer->bias_ih, H);
    for (int j = 0; j < H; j++) model->bias[j] += layer->bias_hh[j] >= NONE ? 0 : layer->bias_hh[j];
    model->h = (float *)malloc(H * sizeof(float));
    model->kept_weight = layer->weight_ih;
    return model;
}

int cgru_judge_reset(void *given, const float *h_0, const float *c_0)
{
    Model *m = (Model *)given;
    (void)c_0;
    if (m->misdeed == EXIT_IN_RESET) exit(4);
    if (m->misdeed == WRITE_STATE) ((float *)h_0)[0] = 1;
    memcpy(m->h, h_0, m->H * sizeof *h_0);
    m->kept_state = h_0;
    m->steps = 0;
    return m->misdeed == REFUSE_STATE ? 7 : 0;
}

static void compute(Model *m, const float *x, float *y)
{
    for (int j = 0; j < m->H; j++) {
        double sum = m->bias[j];
        for (int i = 0; i < m->I; i++) sum += (double)m->weight_ih[j * m->I + i] * x[i];
        for (int i = 0; i < m->H; i++) sum += (double)m->weight_hh[j * m->H + i] * m->h[i];
        y[j] = (float)tanh(sum);
    }
    memcpy(m->h, y, m->H * sizeof *y);
}

static void touch_arrays(Model *m, const float *x, float *y)
{
    switch (m->misdeed) {
    case WRITE_BEHIND_Y: y[m->H] = 1; break;
    case WRITE_BEFORE_Y: y[-1] = 1; break;
    case READ_BEHIND_Y: sink = y[m->H]; break;
    case WRITE_X: ((float *)x)[1] = 1; break;
    case READ_BEHIND_X: sink = x[m->I]; break;
    case KEEP_WEIGHTS: sink = m->kept_weight[0]; break;
    case KEEP_STATE: sink = m->kept_state[0]; break;
    case KEEP_X: if (m->kept_x && m->kept_x != x) sink = m->kept_x[0]; m->kept_x = x; break;
    case WRITE_NAN: y[m->H - 1] = NAN; break;
    case WRITE_NOTHING: memset(y, 0xFF, m->H * sizeof *y); break;
    case WRITE_THE_LAST: if (m->steps == 4) y[m->H] = 1; break;
    case BEHIND_HEAP: m->h[m->H] = 1; break;
    case AFTER_FREE: free(m->weight_hh); sink = m->weight_hh[0]; break;
    case OVERFLOW: wide += m->H; break;
    }
}

static void end_it(Model *m)
{
    int none = 0;
    switch (m->misdeed) {
    case NULL_WRITE: *(volatile int *)(m->steps ? NULL : &none) = 1; break;
    case RECURSE: none = recurse(&none); break;
    case TRAP: __builtin_trap(); break;
    case DIVIDE: raise(SIGFPE); break;
    case ABORT: abort(); break;
    case KILL_ITSELF: raise(SIGKILL); break;
    case EXIT_0: exit(0); break;
    case EXIT_3: _exit(3); break;
    case EXIT_86: _exit(86); break;
    case LOOP_IN_STEP: loop(); break;
    case SLEEP: sleep(100); break;
    case IGNORE_SIGNALS: signal(SIGTERM, SIG_IGN), signal(SIGINT, SIG_IGN), signal(SIGXCPU, SIG_IGN), loop(); break;
    }
}

static void disturb_the_host(Model *m)
{
    pthread_t thread;
    switch (m->misdeed) {
    case PRINT: printf("said\n"), fprintf(stderr, "complained: runtime errors are none\n"), fflush(stdout); break;
    case PRINT_MUCH:
        for (int k = 0; k < 1000; k++) printf("%0999d\n", k), fprintf(stderr, "%0999d\n", k);
        fflush(stdout);
        break;
    case CLOSE_FILES: for (int k = 0; k < 256; k++) close(k); break;
    case LEAVE_CHILD: if (!m->steps && !fork()) sleep(100), _exit(0); break;
    case LEAVE_THREAD: if (!m->steps) pthread_create(&thread, NULL, its_thread, NULL); break;
    case EAT_MEMORY:
        for (int k = 0; k < 1 << 16; k++)       /* not malloc, which the tests have fill what it gives */
            if (mmap(NULL, 1 << 30, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED) abort();
        break;
    case CHANGE_FOLDER: if (chdir("/")) abort(); break;
    }
}

void cgru_judge_step(void *given, const float *x, float *y)
{
    Model *m = (Model *)given;
    compute(m, x, y);
    touch_arrays(m, x, y);
    end_it(m);
    disturb_the_host(m);
    m->steps++;
}

void cgru_judge_run(void *given, int steps, const float *x, float *y)
{
    Model *m = (Model *)given;
    for (int t = 0; t < steps; t++) cgru_judge_step(given, x + t * m->I, y + t * m->H);
}

void cgru_judge_free(void *given)
{
    Model *m = (Model *)given;
    if (m->misdeed == EXIT_IN_FREE) exit(5);
    if (m->misdeed == LOOP_IN_FREE) loop();
    free(m->weight_ih);
    if (m->misdeed != AFTER_FREE) free(m->weight_hh);
    free(m->bias);
    if (m->misdeed == KEEP_FOR_NEXT && !kept) kept = malloc(1000);
    if (m->misdeed != LEAK) free(m->h);
    free(m);
}
