/* Of host.c, which includes it in its place: the arrays that a contestant gets, with guards, and what is held against it
   after a call. */
#ifndef CGRU_HOST_GUARDS_H
#define CGRU_HOST_GUARDS_H

enum { LAYER, WEIGHT_IH, WEIGHT_HH, BIAS_IH, BIAS_HH, H_0, C_0, X, Y, GUARDS };
static const char *const names[] = {"the layer", "weight_ih", "weight_hh", "bias_ih", "bias_hh", "h_0", "c_0", "x",
                                    "y"};
static const char *const calls[] = {"", "cgru_judge_make", "cgru_judge_reset", "cgru_judge_step", "cgru_judge_run",
                                    "cgru_judge_free", ""};

/* The call that is going on; the contestant may have written over its number. */
static const char *call_name(void)
{
    int32_t phase = head->phase;
    return phase >= LOADING && phase <= BETWEEN ? calls[phase] : "";
}

typedef struct {
    char *map, *data;                       /* a page, the canary, the array, a page */
    size_t size, bytes;
    const void *original;                   /* what a const one must hold */
    int gone;
} Guard;

static Guard guards[GUARDS];
static size_t page;
static int watch_mode;
enum { CANARY = 0xA5, LEAST = 64 };

static void take_away(int which)
{
    Guard *g = &guards[which];
    if (!g->map) return;
#ifdef HOST_SANITIZED
    if (!g->gone) free(g->map);
#else
    munmap(g->map, g->size);
#endif
    memset(g, 0, sizeof *g);
}

/* An array of these bytes, const; without a source one to be written, of NaNs. */
static float *give(int which, const void *source, size_t bytes)
{
    Guard *g = &guards[which];
    take_away(which);
    g->bytes = bytes;
    g->original = source;
#ifdef HOST_SANITIZED
    g->map = g->data = (char *)malloc(bytes);
    if (!g->map) end(3, "the host has no memory");
#else
    g->size = (bytes + LEAST + page - 1) / page * page + 2 * page;
    g->map = (char *)mmap(NULL, g->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (g->map == MAP_FAILED) end(3, "the host has no memory");
    g->data = g->map + g->size - page - bytes;
    memset(g->map + page, CANARY, g->data - g->map - page);
#endif
    if (source) memcpy(g->data, source, bytes);
    else memset(g->data, 0xFF, bytes);
#ifndef HOST_SANITIZED
    if (mprotect(g->map, page, PROT_NONE) || mprotect(g->map + g->size - page, page, PROT_NONE) ||
        (source && mprotect(g->map + page, g->size - 2 * page, PROT_READ)))
        end(3, "the host cannot protect memory");
#endif
    return (float *)g->data;
}

/* How the processor rounds; on x86 also whether it flushes subnormals, and which exceptions it traps. */
typedef struct {
    int rounding;
    unsigned control;
} Mode;

static Mode usual;

static Mode mode(void)
{
    Mode found = {0, 0};
    found.rounding = fegetround();
#ifdef __SSE__
    found.control = _mm_getcsr() & 0xFFC0u;     /* all but the flags of what has happened */
#endif
    return found;
}

/* What comes after the contestant in this thread would be computed in another mode. */
static void inspect_mode(void)
{
    Mode now = mode();
    const char *what = now.rounding != usual.rounding ? "how it rounds"
                       : (now.control ^ usual.control) & 0x8040u ? "that subnormals become zero" : "its exceptions";
    if (now.rounding == usual.rounding && now.control == usual.control) return;
    say(CHANGED_MODE, "%s left the processor's floating-point mode changed: %s", call_name(), what);
    _exit(0);
}

/* After a call: what it must not have written. */
static void inspect(void)
{
    if (watch_mode) inspect_mode();
    for (int which = 0; which < GUARDS; which++) {
        Guard *g = &guards[which];
        if (!g->map || g->gone) continue;
#ifndef HOST_SANITIZED
        for (char *at = g->data - 1; at >= g->map + page; at--)
            if ((unsigned char)*at != CANARY) {
                say(WROTE_OUTSIDE, "%s wrote byte %ld before the start of %s", call_name(), (long)(g->data - at),
                    names[which]);
                _exit(0);
            }
#endif
        if (g->original && memcmp(g->original, g->data, g->bytes)) {
            say(WROTE_OUTSIDE, "%s wrote into %s, which is const", call_name(), names[which]);
            _exit(0);
        }
    }
}

/* From here on the contestant must not look at it. */
static void gone(int which)
{
    Guard *g = &guards[which];
    if (!g->map) return;
    g->gone = 1;
#ifdef HOST_SANITIZED
    free(g->map);
#else
    if (mprotect(g->map, g->size, PROT_NONE)) end(3, "the host cannot protect memory");
#endif
}

#ifndef HOST_SANITIZED
/* Whether a touch is a write: 1 or 0, or -1 where this is not known. */
static int is_write(void *context)
{
#if defined(__linux__) && defined(__x86_64__)
    return (int)(((ucontext_t *)context)->uc_mcontext.gregs[REG_ERR] >> 1 & 1);
#else
    (void)context;
    return -1;
#endif
}

/* A touch of a guard is a verdict; of anything else, the crash that it is. */
static void caught(int number, siginfo_t *info, void *context)
{
    static const char *const verbs[] = {"touches", "reads", "writes"};
    const char *at = (const char *)info->si_addr, *call = call_name();
    int write = is_write(context);
    for (int which = 0; which < GUARDS && record; which++) {
        const Guard *g = &guards[which];
        const char *name = names[which], *verb = verbs[write + 1];
        int32_t outside = write > 0 || (write < 0 && which == Y) ? WROTE_OUTSIDE : READ_OUTSIDE;
        if (!g->map || at < g->map || at >= g->map + g->size) continue;
        if (g->gone) say(write > 0 ? WROTE_OUTSIDE : READ_OUTSIDE, "%s %s %s after it is gone: copy it", call, verb, name);
        else if (at >= g->data + g->bytes)
            say(outside, "%s %s byte %ld past the end of %s", call, verb, (long)(at - g->data - g->bytes) + 1, name);
        else if (at < g->map + page)
            say(outside, "%s %s byte %ld before the start of %s", call, verb, (long)(g->data - at), name);
        else if (at < g->data)
            say(WROTE_OUTSIDE, "%s writes byte %ld before the start of %s", call, (long)(g->data - at), name);
        else say(WROTE_OUTSIDE, "%s writes into %s, which is const", call, name);
        _exit(0);
    }
    signal(number, SIG_DFL);
}

static void catch_touches(void)
{
    static char room[1 << 16];
    stack_t stack;
    struct sigaction action;
    memset(&stack, 0, sizeof stack);
    memset(&action, 0, sizeof action);
    stack.ss_sp = room;
    stack.ss_size = sizeof room;
    sigaltstack(&stack, NULL);
    action.sa_sigaction = caught;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
}
#endif

#endif
