"""The probe of 8-bit dot products: that its instructions multiply and add, whatever it was compiled for."""

import ctypes

import pytest

from bench.common import cbuild
from cgru.engines import isas_usable
from cgru.judge import probe

FORMS = {
    "-march=native": None,
    "-march=x86-64-v4": "vpmaddubsw and vpmaddwd, 512 bits",
    "-march=x86-64-v3": "vpmaddubsw and vpmaddwd, 256 bits",
    "-march=x86-64-v2": "pmaddubsw and pmaddwd, 128 bits",
    "-march=x86-64": "plain C",
}


@pytest.mark.parametrize("machine, form", FORMS.items(), ids=FORMS)
def test_four_products_are_added_to_a_sum(machine, form):
    isa = machine.removeprefix("-march=")
    usable = isas_usable()
    if isa not in ("native", *usable) and (isa != "x86-64" or "x86-64-v2" not in usable):
        pytest.skip(f"this machine does not run {isa}")
    try:
        library = cbuild.build(probe.SOURCE, ["-O3", machine])
    except cbuild.NoCompiler as error:
        pytest.skip(str(error))
    library.probe_dot_form.restype = ctypes.c_char_p
    library.probe_dot_once.restype = ctypes.c_int32
    library.probe_dot_once.argtypes = [ctypes.c_int8, ctypes.c_int8]
    assert form in (None, library.probe_dot_form().decode())
    for u, w in ((3, -5), (127, 127), (127, -127), (0, 9), (1, 0)):     # within 127: nothing saturates
        assert library.probe_dot_once(u, w) == 4 * u * w
