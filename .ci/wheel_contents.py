"""What must hold for the files in a wheel: python .ci/wheel_contents.py MOST_BYTES WHEEL...

Every engine for every instruction set of its architecture, nothing of libm, no library but libc, no path of the machine
that built it, no file twice, not too large. Needs pyelftools.
"""

import ctypes.util
import hashlib
import io
import re
import runpy
import sys
import tempfile
import zipfile
from pathlib import Path

from elftools.elf.elffile import ELFFile

TABLE = runpy.run_path(str(Path(__file__).resolve().parents[1] / "cgru" / "engines" / "isas.py"))
# what belongs to glibc itself, and to musl, by their names on the two architectures
LIBRARIES = {"libc.so.6", "libpthread.so.0", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}
LIBRARIES |= {"libc.musl-x86_64.so.1", "libc.musl-aarch64.so.1"}
# what other packages are compiled with, and what C is made of
FOR_COMPILERS = (
    "cgru/__init__.pxd", "cgru/include/cgru.h", "cgru/include/cgru_judge.h", "cgru/engines/dot_int8.h",
    *(f"cgru/export/source/{name}.c" for name in ("cells", "functions", "head", "products")),
    *(f"cgru/judge/{name}" for name in ("dots.h", "host.c", "host_guards.h", "host_safe.h", "null.c", "probe.c")),
)  # fmt: skip
# a module's initialisation, Cython's own, the linker's
EXPORTED = ("PyInit_", "__pyx_", "_init", "_fini", "_edata", "_end", "__bss_start")
# of whoever built it: the usual places, and this machine's
HERE = b"|".join(re.escape(place.encode()) for place in (tempfile.gettempdir(), str(Path.home())))
USUAL = rb"/(?:home|root|tmp|work|build|opt|Users|private|var|usr/(?:local|lib|src))"
PATHS = re.compile(rb"(?:%b|%b)/[\w./+-]*" % (USUAL, HERE))


def libm_names():
    """What the C library's mathematics export, read from this machine's."""
    loaded = ctypes.CDLL(ctypes.util.find_library("m"))
    (path,) = {
        line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if re.search(r"/libm[.-]", line)
    }
    assert loaded.expf
    with open(path, "rb") as file:
        symbols = ELFFile(file).get_section_by_name(".dynsym")
        return {one.name for one in symbols.iter_symbols() if one["st_shndx"] != "SHN_UNDEF"}


def faults_of_module(name, content, libm):
    elf = ELFFile(io.BytesIO(content))
    dynamic = elf.get_section_by_name(".dynamic")
    for tag in dynamic.iter_tags():
        if tag.entry.d_tag in ("DT_RPATH", "DT_RUNPATH"):
            yield f"{name} looks for libraries in {getattr(tag, 'rpath', None) or tag.runpath}"
        if tag.entry.d_tag == "DT_NEEDED" and tag.needed not in LIBRARIES:
            yield f"{name} needs {tag.needed}"
    symbols = elf.get_section_by_name(".dynsym")
    used = sorted({one.name for one in symbols.iter_symbols() if one["st_shndx"] == "SHN_UNDEF"} & libm)
    if used:
        yield f"{name} uses libm: {', '.join(used)}"
    if elf.get_section_by_name(".symtab") is not None:
        yield f"{name} is not stripped"
    defined = [one.name for one in symbols.iter_symbols() if one.name and one["st_shndx"] != "SHN_UNDEF"]
    extra = [one for one in defined if not one.startswith(EXPORTED)]
    if extra:
        yield f"{name} exports {', '.join(extra)}"


def faults(path, most, libm):
    """Everything that is wrong with a wheel, a line each."""
    if path.stat().st_size > most:
        yield f"{path.stat().st_size} bytes, more than {most}"
    tag = path.stem.rpartition("-")[2]
    seen, modules = {}, set()
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            content = archive.read(name)
            digest = hashlib.sha256(content).digest()
            if content and digest in seen:
                yield f"{name} is {seen[digest]} once more"
            seen[digest] = name
            for found in sorted(set(PATHS.findall(content))) if name.endswith((".so", "RECORD", "WHEEL")) else ():
                yield f"{name} names {found.decode()}"
            if name.endswith(".so"):
                modules.add(name.split(".")[0].replace("/", "."))
                yield from faults_of_module(name, content, libm)
    architecture = TABLE["architecture_of"](tag.split(".")[0])
    rows = TABLE["isas_of"](architecture)
    wanted = {isa.module(name) for isa in rows for name in isa.modules}
    yield from (f"{name} is missing" for name in sorted(wanted - modules))
    yield from (f"{name} is missing" for name in FOR_COMPILERS if name not in seen.values())
    others = modules - wanted - {"cgru.stream", "cgru.pool", "cgru.window", "cgru.capi", "cgru.engines._cpu"}
    yield from (f"{name} is of no row of the table" for name in sorted(others))


def main(most, *wheels):
    libm, wrong = libm_names(), 0
    for path in map(Path, wheels):
        found = list(faults(path, int(most), libm))
        wrong += len(found)
        print(f"{path.name}: {path.stat().st_size} bytes, {len(found)} faults")
        print(*(f"    {fault}\n" for fault in found), sep="", end="")
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
