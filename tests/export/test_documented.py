"""What docs/c.md says about C and WebAssembly: the programs are compiled as they stand there, and run."""

import json
import re
import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest

import cgru
from support.c_programs import C99, compiled, same_bits
from support.tools import tool, zig_cc
from support.variants import variants

PAGE = Path(__file__).parents[2] / "docs" / "c.md"
if not PAGE.is_file():
    pytest.skip("docs/ is in the repository only", allow_module_level=True)

TEXT = PAGE.read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```c\n(.*?)^```$", TEXT, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.skipif(not variants(engine="packed", fused=True), reason="this machine has no fused multiply-add")
def test_the_first_example(folder):
    """Ten lines; samples on stdin, and the bits of a stream on stdout."""
    python = "\n".join(re.findall(r"^>>> (.*)$", TEXT.partition("\n:::\n")[0], flags=re.MULTILINE))
    (program,) = (block for block in BLOCKS if "int main" in block)
    command = re.search(r"`(gcc [^`]* main\.c amp\.c -o amp)`", TEXT)[1].split()
    assert len(program.splitlines()) == 10
    names = {}
    exec(python, names)
    (folder / "main.c").write_text(program)
    subprocess.run([tool(command[0]), *command[1:], *C99], check=True)
    x = np.random.default_rng(0).normal(size=(50, 1)).astype(np.float32)
    samples = "\n".join(f"{value:.9g}" for value in x[:, 0].tolist())
    done = subprocess.run(["./amp"], input=samples, capture_output=True, text=True, check=True, timeout=60)
    y = np.array(done.stdout.split(), np.float32)[:, None]
    assert same_bits(y, names["amp"].stream().run(x))


def test_the_calls_of_the_documentation(folder):
    """The block of docs/c.md that names every function, inside a main."""
    (calls,) = (block for block in BLOCKS if "amp_exact" in block)
    include, _, statements = calls.partition("\n\n")
    cgru.GRU(3, 3, rng=0).to_c("amp.c")
    body = "size_t steps = 2; float x[6] = {1, 2, 3, 4, 5, 6}, y[6];\n" + statements
    (folder / "main.c").write_text(f"{include}\nint main(void) {{\n{body}return y[5] != y[5];\n}}\n")
    compiled([tool("gcc"), *C99, "main.c", "amp.c"], folder / "main")
    assert subprocess.run(["./main"]).returncode == 0
    header = (folder / "amp.h").read_text()
    for function in re.findall(r"\b(amp_\w+)\(", header):
        assert f"{function}(" in statements
    for macro in re.findall(r"`(AMP_(?:ALLOW|EMULATE)\w+)`", TEXT):
        assert macro in (folder / "amp.c").read_text()


def test_in_the_browser(folder):
    """The module that the page builds, and the page's own lines of JavaScript around it, in node."""
    section = TEXT.partition("\n## In the browser\n")[2].partition("\n## ")[0]
    (program,), (script,) = (
        re.findall(rf"^```{name}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL) for name in ("c", "js")
    )
    (command,) = re.findall(r"^    python -m ziglang cc (.*)$", section, re.MULTILINE)
    amp = cgru.Sequential([cgru.GRU(1, 12, rng=0), cgru.Linear(12, 1, rng=1)], skip=True)
    amp.to_c("amp.c")
    (folder / "page.c").write_text(program)
    subprocess.run([*zig_cc(), *shlex.split(command)], check=True, capture_output=True)
    x = np.random.default_rng(0).normal(size=(2, 100)).astype(np.float32)
    (folder / "page.mjs").write_text(f"""\
import {{ readFileSync }} from "node:fs";
const bytes = readFileSync("amp.wasm");
{script}
const y = new Float32Array(100), found = [];
for (const x of {json.dumps(x.tolist())}) {{
    process(x, y);
    found.push(...y);
}}
console.log(JSON.stringify(found));
""")
    done = subprocess.run([tool("node"), "page.mjs"], capture_output=True, text=True, check=True, timeout=60)
    expected = amp.stream().run(x.reshape(-1, 1))[:, 0]
    np.testing.assert_allclose(json.loads(done.stdout), expected, rtol=0, atol=1e-5)
