/* Where counting begins and ends, for callgrind: Python calls these between its cases. */
#include <valgrind/callgrind.h>

void count_begin(void)
{
    CALLGRIND_START_INSTRUMENTATION;
    CALLGRIND_ZERO_STATS;
}

void count_end(const char *name)
{
    CALLGRIND_DUMP_STATS_AT(name);
    CALLGRIND_STOP_INSTRUMENTATION;
}

int under_valgrind(void)
{
    return RUNNING_ON_VALGRIND;
}
