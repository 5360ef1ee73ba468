"""The examples in docstrings come out as they stand there."""

import doctest
import importlib
import inspect
from pathlib import Path

import numpy as np
import pytest

import cgru
from support.peers import peer

# Those with examples; `test_no_other_module_has_examples` holds the list to the sources.
MODULES = (
    "cgru", "cgru.batch", "cgru.convert.keras", "cgru.convert.torch", "cgru.gru", "cgru.installation", "cgru.linear",
    "cgru.lstm", "cgru.model", "cgru.recurrent", "cgru.rnn", "cgru.sequential", "cgru.stream", "cgru.streamed",
    "cgru.study.check", "cgru.study.views", "cgru.torch", "cgru.torch.replacing",
)  # fmt: skip
NEEDS = {
    "cgru.batch": "pyarrow", "cgru.convert.torch": "torch", "cgru.torch": "torch", "cgru.torch.replacing": "torch",
}  # fmt: skip
CALLED = {"cgru.torch.modules": "cgru.torch"}       # what a module's classes say that they are of
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_run(name, folder, capsys):
    if name in NEEDS:
        peer(NEEDS[name])
    found = doctest.DocTestFinder().find(importlib.import_module(name), extraglobs={"np": np, "cgru": cgru})
    examples = [test for test in found if test.examples]
    assert examples
    for test in examples:
        runner = doctest.DocTestRunner(optionflags=OPTIONS)
        runner.run(test)
        assert not runner.summarize(verbose=False).failed, capsys.readouterr().out


def test_no_other_module_has_examples():
    package = Path(inspect.getfile(cgru)).parent
    having = {
        ".".join(["cgru", *path.relative_to(package).with_suffix("").parts])
        for suffix in ("*.py", "*.pyx") for path in package.rglob(suffix)
        if "\n    >>> " in (text := path.read_text(encoding="utf-8")) or "\n>>> " in text
    }  # fmt: skip
    having = {name.removesuffix(".__init__") for name in having}
    assert {CALLED.get(name, name) for name in having} <= set(MODULES)
