"""Build of the compiled modules; everything else is in pyproject.toml.

Environment switches::

    CGRU_BUILD=debug         bounds and None checks on, -O1 -g, assertions live
    CGRU_BUILD=sanitize      the same with AddressSanitizer and UndefinedBehaviorSanitizer (.ci/sanitizers runs it)
    CGRU_BUILD=threads       ThreadSanitizer (.ci/sanitizers runs that too)
    CGRU_BUILD_ISAS=A,B      only these of the instruction sets in cgru/engines/isas.py: for developers and tests
    CGRU_BUILD_REFUSED=skip  go on, aloud, without the instruction sets that the compiler refuses
    CGRU_ANNOTATE=1          Cython's annotated HTML beside the generated C
    CC=clang-cl              on Windows: LLVM's compiler, which makes far better code of the engines than Microsoft's

Every engine is compiled once for each instruction set of the platform that is built *for*: `sysconfig.get_platform()`,
which follows _PYTHON_HOST_PLATFORM in a cross build, and must be what the compiler makes code for.
"""

import os
import platform
import runpy
import shutil
import sys
import tempfile
from pathlib import Path

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build import build
from setuptools.command.build_ext import build_ext
from setuptools.errors import BaseError, CompileError

# setuptools' own: on Windows it knows what is built for, where sysconfig's knows what Python runs on
from distutils.util import get_platform  # isort: skip

#: Flags, and what is also told to the linker.
SANITIZERS = {"sanitize": "-fsanitize=address,undefined", "threads": "-fsanitize=thread"}
MODES = {"release": (), "debug": ("-O1", "-g", "-UNDEBUG")}
MODES["sanitize"] = (*MODES["debug"], SANITIZERS["sanitize"], "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")
# a copy that gcc spells out is not looked at, one by the C library is
MODES["threads"] = ("-O1", "-g", SANITIZERS["threads"], "-fno-builtin-memcpy", "-fno-builtin-memset")
MODE = os.environ.get("CGRU_BUILD") or "release"
if MODE not in MODES:
    raise SystemExit(f"CGRU_BUILD={MODE!r}: expected {', '.join(MODES)}")
REFUSED = os.environ.get("CGRU_BUILD_REFUSED") or "error"
if REFUSED not in ("error", "skip"):
    raise SystemExit(f"CGRU_BUILD_REFUSED={REFUSED!r}: expected error or skip")
CHECKS = MODE in ("debug", "sanitize")
GENERATED = Path("build") / MODE    # apart per mode: neither Cython nor a compiler sees that only the mode has changed
SHELLS = GENERATED / "isa"
TABLE = runpy.run_path("cgru/engines/isas.py")

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


def target():
    """The platform that is built for, such as "linux-x86_64".

    On macOS a Python for both architectures builds for one, the machine's own or that of ARCHFLAGS, and the wheel says
    so: the instruction sets of one are no flags of the other. A 32-bit Python on a 64-bit Linux names the kernel's.
    """
    name = get_platform()
    if name.endswith("universal2"):
        asked = os.environ.get("ARCHFLAGS", "").split("-arch ")[1:] or [platform.machine()]
        if len(asked) > 1:
            raise SystemExit(f"ARCHFLAGS={os.environ['ARCHFLAGS']!r}: a wheel is for one architecture: name one")
        machine = asked[0].strip()
        os.environ["ARCHFLAGS"] = f"-arch {machine}"
        os.environ["_PYTHON_HOST_PLATFORM"] = name = name.replace("universal2", machine)
    if sys.maxsize < 2**32 and "_PYTHON_HOST_PLATFORM" not in os.environ:
        return {"linux-x86_64": "linux-i686", "linux-aarch64": "linux-armv7l"}.get(name, name)
    return name


PLATFORM = target()
ARCHITECTURE = TABLE["architecture_of"](PLATFORM)


def chosen_isas():
    """The rows of the table that are asked for, of the platform's architecture."""
    rows = TABLE["isas_of"](ARCHITECTURE)
    asked = os.environ.get("CGRU_BUILD_ISAS")
    if not asked:
        return rows
    names = [name.strip() for name in asked.split(",")]
    unknown = sorted(set(names) - {isa.name for isa in rows})
    if unknown:
        raise SystemExit(
            f"CGRU_BUILD_ISAS={asked!r}: {', '.join(unknown)} is no instruction set of {PLATFORM}; "
            f"there are {', '.join(isa.name for isa in rows)}"
        )
    names += [isa.base for isa in rows if isa.name in names]
    return tuple(isa for isa in rows if isa.name in names)


def extension(name, source, isa=None):
    module = Extension(
        name, [source],
        include_dirs=[numpy.get_include(), "cgru/engines", "cgru/include"],
        depends=["cgru/engines/dot_int8.h", "cgru/engines/widen_int8.h", "cgru/include/cgru.h"],
        define_macros=[("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION")],
    )  # fmt: skip
    module.isa = isa
    return module


def extensions():
    """One module per source; of engines one per instruction set, each from a shell: a .pyx that includes their files.

    Of an instruction set that adds to another one there is "packed" alone, and in it only what int8 weights want.
    """
    SHELLS.mkdir(parents=True, exist_ok=True)
    modules = [
        extension("cgru.engines._cpu", "cgru/engines/_cpu.pyx"),
        extension("cgru.stream", "cgru/stream.pyx"),
        extension("cgru.capi", "cgru/capi.pyx"),
        extension("cgru.pool", "cgru/pool.pyx"),
        extension("cgru.window", "cgru/window.pyx"),
    ]
    for isa in chosen_isas():
        for short in isa.modules:
            name = isa.module(short)
            shell = SHELLS / f"{name.rpartition('.')[2]}.pyx"
            shell.write_text("".join(f'include "cgru/engines/{file}.pyx"\n' for file in TABLE["MODULES"][short]))
            module = extension(name, str(shell), isa)
            if isa.base is not None:
                module.define_macros.append(("CGRU_ONLY_INT8", "1"))
            modules.append(module)
    return modules


class BuildFresh(build):
    """An uncleaned build/ would put modules of an earlier layout into a wheel."""

    def run(self):
        shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()


class BuildExt(build_ext):
    """Asks the compiler what it is and what it takes, before anything is compiled."""

    def build_extensions(self):
        self.parallel = self.parallel or os.cpu_count()
        if self.compiler.compiler_type == "msvc":
            self._prepare_msvc()
        compiler = self._compiler()
        common, inline = self._common_flags(compiler)
        # Wheels are to be small. No exception passes through any module, so tables to unwind it are for debuggers only.
        # In the modules without loops over numbers the smaller code is as fast.
        lean = MODE == "release" and self.compiler.compiler_type == "unix"
        if lean:
            common = (*common, "-fno-asynchronous-unwind-tables")
        small = ("-O2",) if lean else ()
        kept = self._isas(compiler)
        self.extensions = [module for module in self.extensions if module.isa is None or module.isa in kept]
        for module in self.extensions:
            more = module.isa.flags[compiler] if module.isa else small
            module.extra_compile_args = [*common, *more]
            if module.isa:                  # gcc gives up inlining the gates after a few uses
                module.define_macros.append(("CYTHON_INLINE", inline))
            if MODE in SANITIZERS:
                module.extra_link_args = [SANITIZERS[MODE]]
            elif MODE == "release" and PLATFORM.startswith("linux"):
                module.extra_link_args = ["-Wl,--strip-all"]
        if self.compiler.compiler_type == "unix":       # the folder of this machine's Python is no business of others
            linker = self.compiler.linker_so
            self.compiler.set_executables(linker_so=[word for word in linker if not word.startswith("-Wl,-rpath")])
        self._cythonize()
        super().build_extensions()

    def _cythonize(self):
        """In place: setuptools has noted things in the objects."""
        made = cythonize(
            self.extensions,
            include_path=["."],
            compiler_directives=DIRECTIVES,
            build_dir=str(GENERATED / "cython"),
            annotate=bool(os.environ.get("CGRU_ANNOTATE")),
        )
        for module, new in zip(self.extensions, made, strict=True):
            module.sources, module.depends = new.sources, new.depends

    def _common_flags(self, compiler):
        """For all modules: flags, and how this compiler says that a function must be inlined."""
        if self.compiler.compiler_type == "msvc":
            if MODE != "release":
                raise BaseError(f"CGRU_BUILD={MODE}: needs gcc or clang")
            return TABLE["FLAGS"][compiler], "__forceinline"
        return (*TABLE["FLAGS"][compiler], *MODES[MODE]), "inline __attribute__((always_inline))"

    def _prepare_msvc(self):
        """CC=clang-cl puts it in the place of cl: setuptools itself knows cl alone."""
        if not self.compiler.initialized:
            self.compiler.initialize(self.plat_name)
        asked = os.environ.get("CC", "")
        if Path(asked).stem.lower() != "clang-cl":
            return
        found = shutil.which(asked)
        if found is None:
            raise BaseError(f"CC={asked}: there is no such program; put the folder of LLVM's programs into PATH")
        self.compiler.cc = found
        self.compiler.compile_options.remove("/GL")     # code is made when linking: cl's alone

    # ---- what the compiler is, and what it takes

    def _compiler(self):
        """Whose spelling of flags it takes: a key of the table's FLAGS."""
        if not self._finds("1"):
            raise BaseError(f"{self._command()} cannot compile C ({self.complaint}): install a C compiler or set CC")
        if not self._finds(TABLE["proof_of"](ARCHITECTURE)):
            raise BaseError(
                f"the wheel is to be for {PLATFORM}, but {self._command()} makes code for another processor: set "
                "CC to a compiler for it, or _PYTHON_HOST_PLATFORM to the platform that the compiler makes code for"
            )
        if self.compiler.compiler_type == "msvc":
            return "clang-cl" if self._finds("defined(__clang__)") else "msvc"
        if not self._finds("defined(__clang__)"):
            return "gcc"
        for isa in TABLE["isas_of"](ARCHITECTURE):      # zig's clang has a spelling of its own
            for name in ("clang", "zig"):
                if self._finds(isa.proof, isa.flags[name]):
                    return name
        return "clang"

    def _isas(self, compiler):
        """The rows to build: those asked for, less the refused ones where that is allowed."""
        kept = []
        for isa in chosen_isas():
            flags = isa.flags[compiler]
            if self._finds(isa.proof, flags):
                kept.append(isa)
                continue
            message = f"{self._command()} refuses {' '.join(flags) or 'code'} for {isa.name}"
            if REFUSED == "error":
                raise BaseError(
                    f"{message}: take another compiler (CC=), or set CGRU_BUILD_REFUSED=skip to leave it out"
                )
            self.warn(f"{message}: left out")
        if not kept:
            raise BaseError(f"no engine can be built for {PLATFORM}: every instruction set was refused")
        return kept

    def _finds(self, condition, flags=()):
        """Whether a file compiles under `flags` and its preprocessor finds `condition` true."""
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "probe.c"
            source.write_text(f"#if !({condition})\n#error no\n#endif\nint probe(void) {{ return 0; }}\n")
            # its complaints would only frighten: an error of the build says what it was about
            quiet, complaints = os.dup(2), Path(folder) / "complaints"
            try:
                with open(complaints, "w") as file:
                    sys.stderr.flush()
                    os.dup2(file.fileno(), 2)
                self.compiler.compile([str(source)], output_dir=folder, extra_postargs=list(flags))
            except CompileError as error:
                said = complaints.read_text(errors="replace").split("\n")
                self.complaint = next((line for line in said if line.strip()), str(error))
                return False
            finally:
                os.dup2(quiet, 2)
                os.close(quiet)
        return True

    def _command(self):
        return " ".join(getattr(self.compiler, "compiler_so", None) or [self.compiler.cc]).split(" -")[0]


setup(ext_modules=extensions(), cmdclass={"build": BuildFresh, "build_ext": BuildExt})
