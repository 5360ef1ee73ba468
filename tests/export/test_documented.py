"""What the README and docs/c.md say about C: the programs are compiled as they stand there, and run."""

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

import cgru
from support.c_programs import C99, compiled, same_bits
from support.tools import tool
from support.variants import variants

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.skipif(not variants(engine="packed", fused=True), reason="this machine has no fused multiply-add")
def test_the_example_of_the_readme(folder):
    """Ten lines; samples on stdin, and the bits of a stream on stdout."""
    (python,) = (text for language, text in BLOCKS if language == "python" and "to_c(" in text)
    (program,) = (text for language, text in BLOCKS if language == "c")
    command = re.search(r"`(gcc [^`]* main\.c amp\.c -o amp)`", README)[1].split()
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
    path = ROOT / "docs" / "c.md"
    if not path.is_file():
        pytest.skip("docs/ is in the repository only")
    text = path.read_text(encoding="utf-8")
    (calls,) = (block for block in re.findall(r"```c\n(.*?)```", text, flags=re.DOTALL) if "#include" in block)
    include, _, statements = calls.partition("\n\n")
    cgru.GRU(3, 3, rng=0).to_c("amp.c")
    body = "size_t steps = 2; float x[6] = {1, 2, 3, 4, 5, 6}, y[6];\n" + statements
    (folder / "main.c").write_text(f"{include}\nint main(void) {{\n{body}return y[5] != y[5];\n}}\n")
    compiled([tool("gcc"), *C99, "main.c", "amp.c"], folder / "main")
    assert subprocess.run(["./main"]).returncode == 0
    header = (folder / "amp.h").read_text()
    for function in re.findall(r"\b(amp_\w+)\(", header):
        assert f"{function}(" in statements
    for macro in re.findall(r"`(AMP_(?:ALLOW|EMULATE)\w+)`", text):
        assert macro in (folder / "amp.c").read_text()
