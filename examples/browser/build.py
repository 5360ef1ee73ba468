"""Make the page: the demo's network as C, as WebAssembly, and in one HTML file with the utterances.

    python examples/browser/build.py

writes index.html beside this file. Open it, or serve the folder: ``python -m http.server``. Needs cgru and zig's
compiler (``pip install ziglang``), which has all that WebAssembly wants.
"""

import argparse
import base64
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import cgru
from cgru.demo.data import load_utterances

HERE = Path(__file__).resolve().parent
ZIG = (sys.executable, "-m", "ziglang", "cc")
FLAGS = (
    "-target", "wasm32-freestanding", "-std=c99", "-O3", "-nostdlib", "-Wl,--no-entry", "-Wl,--strip-all",
)  # fmt: skip


def demo_network():
    """The demo's recogniser: a GRU of 32 units and a Linear with softmax; a step gives nine probabilities."""
    return cgru.load(Path(cgru.__file__).parent / "demo" / "model.safetensors")


def compile_wasm(folder, sources, flags=()):
    """The bytes of a WebAssembly module of C files in a folder, which has the exported network's header too."""
    target = Path(folder, "module.wasm")
    command = [*ZIG, *FLAGS, *flags, "-I", str(folder), *map(str, sources), "-o", str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr}\nIs ziglang missing? pip install ziglang")
    return target.read_bytes()


def speaker_wasm(*, emulate_fma=False, simd=True):
    """The demo's network as a WebAssembly module.

    WebAssembly has no fused multiply-add: numbers are within 2e-6 of cgru's. With `emulate_fma` they are cgru's own
    bits, more slowly. `simd` takes vectors of four numbers, which every browser has had since 2023.
    """
    with tempfile.TemporaryDirectory() as folder:
        demo_network().to_c(Path(folder, "speaker.c"))
        flags = ["-msimd128"] * simd + ["-DSPEAKER_EMULATE_FMA"] * emulate_fma
        return compile_wasm(folder, [Path(folder, "speaker.c"), HERE / "speaker_wasm.c"], flags)


def text(data):
    """Bytes as text."""
    return base64.b64encode(data).decode("ascii")


def page(wasm):
    """The HTML file of a module: it holds the module and the 370 utterances of the test split."""
    utterances = load_utterances("test")
    rows = [utterances.frames[:length, row] for row, length in enumerate(utterances.lengths)]
    data = {
        "wasm": text(wasm),
        "frames": text(np.concatenate(rows).astype("<f4").tobytes()),
        "lengths": utterances.lengths.tolist(),
        "speakers": utterances.speaker.tolist(),
    }
    return (HERE / "page.html").read_text(encoding="utf-8").replace("@DATA@", json.dumps(data))


def main(argv=None):
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", default=HERE / "index.html", type=Path, help="default: %(default)s")
    parser.add_argument("--emulate-fma", action="store_true", help="cgru's own bits, more slowly")
    args = parser.parse_args(argv)
    wasm = speaker_wasm(emulate_fma=args.emulate_fma)
    made = page(wasm)
    args.out.write_text(made, encoding="utf-8")
    print(f"wrote {args.out}: {len(made):,} bytes, of them {len(wasm):,} of WebAssembly in base64")


if __name__ == "__main__":
    main()
