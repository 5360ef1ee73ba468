"""Which instruction sets this processor and this operating system support together.

By hand, since `__builtin_cpu_supports` knows the names of levels in gcc from 12 on and in recent clangs only: with it
there would be two ways to ask, and the one for older compilers would be this one.
"""

cdef extern from *:
    """
    #if defined(__x86_64__) || defined(_M_X64)
    #if defined(_MSC_VER) && !defined(__clang__)     /* clang-cl has no _xgetbv without a flag, but all of clang's */
    #include <intrin.h>
    #include <immintrin.h>

    /* the four registers of CPUID, or 0 where the processor has no such leaf */
    static int cgru_cpuid(unsigned leaf, unsigned *a, unsigned *b, unsigned *c, unsigned *d)
    {
        int r[4];
        __cpuid(r, (int)(leaf & 0x80000000u));
        if ((unsigned)r[0] < leaf)
            return 0;
        __cpuidex(r, (int)leaf, 0);
        *a = r[0], *b = r[1], *c = r[2], *d = r[3];
        return 1;
    }

    static unsigned cgru_xcr0(void) { return (unsigned)_xgetbv(0); }
    #else
    #include <cpuid.h>

    static int cgru_cpuid(unsigned leaf, unsigned *a, unsigned *b, unsigned *c, unsigned *d)
    {
        return __get_cpuid_count(leaf, 0, a, b, c, d);
    }

    static unsigned cgru_xcr0(void)
    {
        unsigned low, high;
        __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
        return low;
    }
    #endif

    /* 2, 3, 4: the x86-64 psABI level; CPUID says what the processor has, XGETBV which registers the
       operating system saves */
    static int cgru_x86_level(void)
    {
        unsigned a, b, c, d, b7 = 0, c7 = 0, d7 = 0, c81 = 0, d81 = 0, xcr0;
        if (!cgru_cpuid(1, &a, &b, &c, &d))
            return 1;
        unsigned v2 = 1u << 0 | 1u << 9 | 1u << 13 | 1u << 19 | 1u << 20 | 1u << 23; /* sse3 .. sse4.2, popcnt */
        if ((c & v2) != v2)
            return 1;
        unsigned v3 = 1u << 12 | 1u << 22 | 1u << 27 | 1u << 28 | 1u << 29; /* fma movbe osxsave avx f16c */
        if ((c & v3) != v3 || !cgru_cpuid(7, &a, &b7, &c7, &d7)
            || !cgru_cpuid(0x80000001u, &a, &b, &c81, &d81))
            return 2;
        xcr0 = cgru_xcr0();
        unsigned v3_7 = 1u << 3 | 1u << 5 | 1u << 8; /* bmi1 avx2 bmi2 */
        if ((b7 & v3_7) != v3_7 || !(c81 & 1u << 5) /* lzcnt */ || (xcr0 & 0x6u) != 0x6u)
            return 2;
        unsigned v4_7 = 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31; /* avx512 f dq cd bw vl */
        if ((b7 & v4_7) != v4_7 || (xcr0 & 0xe6u) != 0xe6u)
            return 3;
        return 4;
    }

    /* whether it has 8-bit dot products, in vectors of 512 bits (1) and in AVX2's encoding (2); what they stand on is
       asked of the level */
    static int cgru_dot_products(void)
    {
        unsigned a, b, c, d, a1;
        if (!cgru_cpuid(7, &a, &b, &c, &d))
            return 0;
        int found = c >> 11 & 1;                          /* avx512_vnni */
        #if defined(_MSC_VER) && !defined(__clang__)
        int r[4];
        __cpuidex(r, 7, 1);
        a1 = (unsigned)r[0];
        #else
        unsigned b1, c1, d1;
        __cpuid_count(7, 1, a1, b1, c1, d1);
        #endif
        return a >= 1 && a1 >> 4 & 1 ? found | 2 : found;   /* avx_vnni */
    }
    #else
    static int cgru_x86_level(void) { return 0; }

    #if defined(__aarch64__) && defined(__linux__)
    #include <sys/auxv.h>
    static int cgru_dot_products(void) { return getauxval(AT_HWCAP) >> 20 & 1; }      /* HWCAP_ASIMDDP */
    #elif defined(__aarch64__) && defined(__APPLE__)
    static int cgru_dot_products(void) { return 1; }                                  /* all of Apple's have them */
    #elif defined(_M_ARM64)
    #include <windows.h>
    static int cgru_dot_products(void)
    {
        return IsProcessorFeaturePresent(43) != 0;       /* PF_ARM_V82_DP_INSTRUCTIONS_AVAILABLE */
    }
    #else
    static int cgru_dot_products(void) { return 0; }
    #endif
    #endif
    """
    int cgru_x86_level()
    int cgru_dot_products()


def features():
    """What processor and operating system support together, in the words of `Isa.needs` (isas.py)."""
    cdef int level = cgru_x86_level(), dots = cgru_dot_products()
    words = {f"x86-64-v{number}" for number in range(2, level + 1)}
    if level == 0:
        words |= {"dotprod"} if dots else set()
    else:
        words |= ({"avx512vnni"} if dots & 1 else set()) | ({"avxvnni"} if dots & 2 else set())
    return frozenset(words)
