/* What a Cortex-M does after a reset, without an operating system: it takes the stack and the first address from the
   vectors, is given its floating-point unit where it has one, and goes to newlib's start, which calls main. */
extern char stack_top;
void _start(void);
void start_up(void);

void start_up(void)
{
#if defined(__ARM_FP)
    volatile unsigned *const coprocessors = (volatile unsigned *)0xE000ED88u; /* CPACR */
    *coprocessors |= 0xFu << 20;                                             /* full access to CP10 and CP11 */
    __asm volatile("dsb\n isb" ::: "memory");
#endif
    _start();
}

/* A fault ends as a hang, which the test's time limit turns into a failure. */
static void fault(void)
{
    for (;;) { }
}

/* The first of the vectors is the stack, the others are functions; those of interrupts are never called. */
__attribute__((section(".vectors"), used)) static const struct {
    char *stack;
    void (*functions[15])(void);
} vectors = {&stack_top, {start_up, fault, fault, fault, fault, fault}};
