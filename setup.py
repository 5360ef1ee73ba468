"""Build of the compiled modules; everything else is in pyproject.toml.

Environment switches::

    CGRU_BUILD=debug      bounds and None checks on, -O1 -g, assertions live
    CGRU_BUILD=sanitize   AddressSanitizer and UndefinedBehaviorSanitizer (run with LD_PRELOAD=libasan)
"""

import os
import platform
import shutil
import tempfile
from pathlib import Path

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build import build
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError

MODE = os.environ.get("CGRU_BUILD", "release")
if MODE not in ("release", "debug", "sanitize"):
    raise SystemExit(f"CGRU_BUILD={MODE!r}: expected release, debug or sanitize")
CHECKS = MODE != "release"
GENERATED = Path("build") / MODE    # apart per mode: neither Cython nor a compiler sees that only the mode has changed
SHELLS = GENERATED / "isa"

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": CHECKS,
    "wraparound": False,
    "initializedcheck": CHECKS,
    "nonecheck": CHECKS,
    "cdivision": not CHECKS,
    "embedsignature": True,
    "freethreading_compatible": True,
}

# Never -ffast-math and its parts: they break NaN, the order of sums, and set flush-to-zero for the whole process.
# -ffp-contract=off: a fused multiply-add happens where the source says so, hence the same bits on every ISA.
# -fno-trapping-math and an index type without wrap-around let the gate loops vectorise; no result changes.
# -fno-tree-loop-distribute-patterns: else gcc takes the loops that store a tile's sums for copies of memory, and so
# the sums go through memory once more.
GCC_FLAGS = [
    "-O3", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off", "-fno-wrapv",
    "-fno-tree-loop-distribute-patterns",
]  # fmt: skip
if MODE == "debug":
    GCC_FLAGS = [*GCC_FLAGS, "-O1", "-g", "-UNDEBUG"]
elif MODE == "sanitize":
    GCC_FLAGS = [*GCC_FLAGS, "-O1", "-g", "-UNDEBUG", "-fsanitize=address,undefined", "-fno-omit-frame-pointer"]

# max-completely-peel-times: a tile's loops over rows (8, or 4) become straight code, the loops over a vector's 16 or 8
# numbers do not. Else gcc writes the latter out, number by number, before it looks for vectors.
X86_ISAS = {
    "x86_64_v2": ["-march=x86-64-v2"],
    "x86_64_v3": ["-march=x86-64-v3", "--param=max-completely-peel-times=6"],
    "x86_64_v4": ["-march=x86-64-v4", "-mprefer-vector-width=512", "--param=max-completely-peel-times=8"],
}
ISA_ENGINES = ("blas", "packed", "backward")


def extensions():
    """One module per source, and for the engines one per ISA: each from a shell, a .pyx that includes the engine's."""
    x86 = platform.machine().lower() in ("x86_64", "amd64") and os.name == "posix"
    isas = X86_ISAS if x86 else {"baseline": []}
    SHELLS.mkdir(parents=True, exist_ok=True)
    modules = [
        Extension("cgru.engines._cpu", ["cgru/engines/_cpu.pyx"]),
        Extension("cgru.stream", ["cgru/stream.pyx"]),
    ]
    for engine in ISA_ENGINES:
        for isa, flags in isas.items():
            shell = SHELLS / f"_{engine}_{isa}.pyx"
            shell.write_text(f'include "cgru/engines/{engine}.pyx"\n')
            module = Extension(f"cgru.engines._{engine}_{isa}", [str(shell)], extra_compile_args=list(flags))
            if os.name == "posix":      # gcc and clang; gcc gives up inlining the gates after a few uses
                module.define_macros += [("CYTHON_INLINE", "inline __attribute__((always_inline))")]
            modules.append(module)
    for module in modules:
        module.include_dirs.append(numpy.get_include())
        module.define_macros += [("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION")]
    return modules


class BuildFresh(build):
    """An uncleaned build/ would put modules of an earlier layout into a wheel."""

    def run(self):
        shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()


class BuildExt(build_ext):
    """Adds the compiler's flags, and leaves out the ISAs that this compiler does not know."""

    def build_extensions(self):
        if self.compiler.compiler_type == "unix":
            for module in self.extensions:
                module.extra_compile_args = [*GCC_FLAGS, *module.extra_compile_args]
                if MODE == "sanitize":
                    module.extra_link_args = ["-fsanitize=address,undefined"]
                elif MODE == "release" and platform.system() == "Linux":
                    module.extra_link_args = ["-Wl,--strip-all"]
            self.extensions = [module for module in self.extensions if self._compiler_accepts(module)]
        self.parallel = self.parallel or os.cpu_count()
        super().build_extensions()

    def _compiler_accepts(self, module):
        flags = [flag for flag in module.extra_compile_args if flag.startswith("-m")]
        if not flags:
            return True
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "probe.c"
            source.write_text("int probe(void) { return 0; }\n")
            try:
                self.compiler.compile([str(source)], output_dir=folder, extra_postargs=flags)
            except CompileError:
                self.announce(f"{module.name} is left out: the compiler refuses {' '.join(flags)}", level=3)
                return False
        return True


setup(
    ext_modules=cythonize(
        extensions(),
        include_path=["."],
        compiler_directives=DIRECTIVES,
        build_dir=str(GENERATED / "cython"),
        annotate=bool(os.environ.get("CGRU_ANNOTATE")),
    ),
    cmdclass={"build": BuildFresh, "build_ext": BuildExt},
)
