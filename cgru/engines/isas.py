"""The instruction sets that engines are built for: the one table, best first.

setup.py runs this file before anything is built, and compiles every engine once for each row of the processor that is
built for. The loader (`cgru.engines`) takes the first row whose modules are there and whose needs the processor meets.
Nothing but the standard library is imported.
"""

from typing import NamedTuple

#: A compiled module -> the files that it is made of. What calls BLAS is one: each has some 30 KB of Cython's own in it.
MODULES = {"blas": ("blas", "backward"), "packed": ("packed",)}

#: For every instruction set. Never -ffast-math and its parts: they break NaN, the order of sums, and set flush-to-zero
#: for the whole process. -ffp-contract=off: a fused multiply-add happens where the source says so, hence the same bits
#: everywhere. -fno-trapping-math and an index type without wrap-around let the gate loops vectorise; no result changes.
#: -fno-tree-loop-distribute-patterns: else gcc takes the loops that store a tile's sums for copies of memory, and so
#: the sums go through memory once more. -fno-ipa-cp-clone, -fno-unswitch-loops: else it writes functions and loops out
#: for every value of an argument, which are written out here where that is worth it. -Wno-unused-function: clang names
#: every function of Cython's own.
_COMMON = ("-O3", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off", "-fno-wrapv")
_CLANG = (*_COMMON, "-Wno-unused-function")


def _to_clang(*flags: str) -> tuple[str, ...]:
    """As clang-cl takes flags of clang: of those without /clang: it ignores most, with a warning, /O2 or not."""
    return tuple(f"/clang:{flag}" for flag in flags)


FLAGS = {
    "gcc": (*_COMMON, "-fno-tree-loop-distribute-patterns", "-fno-ipa-cp-clone", "-fno-unswitch-loops"),
    "clang": _CLANG,
    "zig": _CLANG,
    "clang-cl": ("/O2", *_to_clang(*_CLANG)),
    "msvc": ("/O2", "/fp:precise"),     # and a pragma against contraction (_target.pxd)
}


class Isa(NamedTuple):
    """One instruction set.

    One with a `base` adds to it what only int8 weights want: it has a "packed" for these alone, and the modules for
    everything else are its base's.
    """

    name: str
    """As `CGRU_ISA` and `show_config` have it."""
    architecture: str | None
    """Of the processor, as in `architecture_of`; None: any that has no other row."""
    proof: str
    """What the compiler's preprocessor must find true under the flags."""
    needs: frozenset[str]
    """What the processor must have, of `cgru.engines._cpu.features()`."""
    flags: dict[str, tuple[str, ...]]
    """compiler -> its flags, beside those in `FLAGS`."""
    base: str | None = None
    """The name of the row that it adds to."""

    @property
    def modules(self) -> tuple[str, ...]:
        """What is built for it, of `MODULES`."""
        return tuple(MODULES) if self.base is None else ("packed",)

    def module(self, name: str) -> str:
        """The compiled module for this instruction set that an engine, or "backward", is in."""
        (home,) = (module for module, files in MODULES.items() if name in files)
        return f"cgru.engines._{home}_{self.name.replace('-', '_')}"


#: gcc's max-completely-peel-times: a tile's loops over rows (8, or 4) become straight code, the loops over a vector's
#: 16 or 8 numbers do not. Else gcc writes the latter out, number by number, before it looks for vectors.
ISAS = (
    Isa(
        "x86-64-v4-vnni", "x86_64", "defined(__AVX512VNNI__) || defined(CGRU_VNNI)",
        frozenset({"x86-64-v4", "avx512vnni"}),
        {
            "gcc": (
                "-march=x86-64-v4", "-mavx512vnni", "-mprefer-vector-width=512",
                "--param=max-completely-peel-times=8",
            ),
            "clang": ("-march=x86-64-v4", "-mavx512vnni", "-mprefer-vector-width=512"),
            "zig": ("-mcpu=x86_64_v4+avx512vnni", "-mprefer-vector-width=512"),
            "clang-cl": _to_clang("-march=x86-64-v4", "-mavx512vnni", "-mprefer-vector-width=512"),
            "msvc": ("/arch:AVX512", "/DCGRU_VNNI"),
        },
        "x86-64-v4",
    ),
    Isa(
        "x86-64-v4", "x86_64", "defined(__AVX512VL__)", frozenset({"x86-64-v4"}),
        {
            "gcc": ("-march=x86-64-v4", "-mprefer-vector-width=512", "--param=max-completely-peel-times=8"),
            "clang": ("-march=x86-64-v4", "-mprefer-vector-width=512"),
            "zig": ("-mcpu=x86_64_v4", "-mprefer-vector-width=512"),
            "clang-cl": _to_clang("-march=x86-64-v4", "-mprefer-vector-width=512"),
            "msvc": ("/arch:AVX512",),
        },
    ),
    Isa(
        "x86-64-v3-vnni", "x86_64", "defined(__AVXVNNI__) || defined(CGRU_VNNI)", frozenset({"x86-64-v3", "avxvnni"}),
        {
            "gcc": ("-march=x86-64-v3", "-mavxvnni", "--param=max-completely-peel-times=6"),
            "clang": ("-march=x86-64-v3", "-mavxvnni"),
            "zig": ("-mcpu=x86_64_v3+avxvnni",),
            "clang-cl": _to_clang("-march=x86-64-v3", "-mavxvnni"),
            "msvc": ("/arch:AVX2", "/DCGRU_VNNI"),
        },
        "x86-64-v3",
    ),
    Isa(
        "x86-64-v3", "x86_64", "defined(__AVX2__)", frozenset({"x86-64-v3"}),
        {
            "gcc": ("-march=x86-64-v3", "--param=max-completely-peel-times=6"),
            "clang": ("-march=x86-64-v3",),
            "zig": ("-mcpu=x86_64_v3",),
            "clang-cl": _to_clang("-march=x86-64-v3"),
            "msvc": ("/arch:AVX2",),
        },
    ),
    Isa(    # MSVC's x86-64 has no more than SSE2, and no name for that
        "x86-64-v2", "x86_64", "defined(__SSE4_2__) || defined(_M_X64)", frozenset({"x86-64-v2"}),
        {
            # for machines of before 2013: small code. Here -O3 would write out short loops, not vectorise more of them
            "gcc": ("-march=x86-64-v2", "-O2", "-ftree-vectorize", "-fvect-cost-model=dynamic"),
            "clang": ("-march=x86-64-v2",),
            "zig": ("-mcpu=x86_64_v2",),
            "clang-cl": _to_clang("-march=x86-64-v2"),
            "msvc": (),
        },
    ),
    # NEON and fused multiply-adds are in every one; dot products of 8 bits are not. gcc's other way to schedule would
    # put sums of the largest tiles on the stack. clang leaves the gates of a last, shorter block scalar unless it may
    # unroll their loop of 4.
    Isa(
        "aarch64-dotprod", "aarch64", "defined(__ARM_FEATURE_DOTPROD) || defined(CGRU_DOTPROD)", frozenset({"dotprod"}),
        {
            "gcc": ("-march=armv8.2-a+dotprod", "--param=sched-pressure-algorithm=1"),
            "clang": ("-march=armv8.2-a+dotprod", "-mllvm", "-unroll-threshold=1000"),
            "zig": ("-mcpu=generic+dotprod", "-mllvm", "-unroll-threshold=1000"),
            "clang-cl": _to_clang("-march=armv8.2-a+dotprod", "-mllvm", "-unroll-threshold=1000"),
            "msvc": ("/DCGRU_DOTPROD",),
        },
        "aarch64",
    ),
    Isa(
        "aarch64", "aarch64", "defined(__ARM_NEON) || defined(_M_ARM64)", frozenset(),
        {
            "gcc": ("--param=sched-pressure-algorithm=1",),
            "clang": ("-mllvm", "-unroll-threshold=1000"),
            "zig": ("-mllvm", "-unroll-threshold=1000"),
            "clang-cl": _to_clang("-mllvm", "-unroll-threshold=1000"),
            "msvc": (),
        },
    ),
    Isa("baseline", None, "1", frozenset(), {"gcc": (), "clang": (), "zig": (), "clang-cl": (), "msvc": ()}),
)  # fmt: skip

#: architecture -> the names that platforms give it, and how a compiler's preprocessor knows it
_ARCHITECTURES = {
    "x86_64": (("x86_64", "amd64"), "defined(__x86_64__) || defined(_M_X64)"),
    "aarch64": (("aarch64", "arm64"), "defined(__aarch64__) || defined(_M_ARM64)"),
}


def named(name: str) -> Isa:
    """The row of a name."""
    (row,) = (isa for isa in ISAS if isa.name == name)
    return row


def module_row(name: str, engine: str, weight_dtype: str) -> Isa:
    """The row whose module computes with these weights where the row `name` is in force: it, or its base."""
    isa = named(name)
    return isa if isa.base is None or (engine, weight_dtype) == ("packed", "int8") else named(isa.base)


def architecture_of(platform: str) -> str | None:
    """The architecture of a platform such as "linux-x86_64", "win-arm64" or "macosx-11.0-arm64"; None: another one."""
    name = platform.lower().replace("-", "_")
    for architecture, (names, _) in _ARCHITECTURES.items():
        if name.endswith(names):
            return architecture
    return None


def proof_of(architecture: str | None) -> str:
    """What the preprocessor of a compiler for an architecture finds true."""
    if architecture is not None:
        return _ARCHITECTURES[architecture][1]
    return " && ".join(f"!({proof})" for _, proof in _ARCHITECTURES.values())


def isas_of(architecture: str | None) -> tuple[Isa, ...]:
    """The rows of an architecture."""
    return tuple(isa for isa in ISAS if isa.architecture == architecture)
