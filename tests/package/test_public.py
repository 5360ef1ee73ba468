"""What `cgru` shows: its public names and nothing else, each of which is there; what an installation says of itself."""

import importlib
import inspect

import numpy as np
import pytest

import cgru
from cgru import engines
from support.processes import run_python

MODELS = ("GRU", "RNN", "LSTM", "Linear", "Sequential")
SYSTEMS = ("flax", "haiku", "keras", "mlx", "onnx", "paddle", "rtneural", "tensorflow1", "torch")
PUBLIC = {
    *MODELS, "Pool", "Stream", "Window", "__version__", "check", "get_include", "load", "self_test", "show_config",
    *(f"from_{name}" for name in SYSTEMS),
}  # fmt: skip


def test_dir_shows_what_is_public_and_nothing_else():
    """Also after everything has been used, which puts modules into the package."""
    assert set(cgru.__all__) == PUBLIC
    program = """
import sys, cgru
before = dir(cgru)
for name in before:
    getattr(cgru, name)
import cgru.activations, cgru.commands, cgru.convert, cgru.demo, cgru.gradients, cgru.quantize
assert dir(cgru) == before, set(dir(cgru)) ^ set(before)
print(*before)
"""
    assert set(run_python(program).stdout.split()) == PUBLIC


def test_the_help_of_the_package_says_what_is_there():
    """Every kind of model, and what to start with."""
    text = inspect.getdoc(cgru)
    assert text is not None
    for name in (*MODELS, "load", "Stream", "Pool", "Window", "check", "show_config", "self_test"):
        assert f"`{name}`" in text


def test_every_name_resolves():
    for name in cgru.__all__:
        value = getattr(cgru, name)
        assert value is not None and getattr(cgru, name) is value
    for name in ("from_pytorch", "frontdoors", "_LATER_", "Gru"):
        with pytest.raises(AttributeError, match=f"module 'cgru' has no attribute '{name}'"):
            getattr(cgru, name)


@pytest.mark.parametrize("name", sorted(PUBLIC - {"__version__"}))
def test_everything_public_is_documented(name):
    """A docstring of its own, with its parameters where there are any."""
    value = getattr(cgru, name)
    takes = inspect.isclass(value) or inspect.signature(value).parameters
    text = inspect.getdoc(value)
    assert text and len(text.splitlines()) > 3
    assert bool(takes) == ("Parameters\n" in text)


@pytest.mark.parametrize("name", [*MODELS, "Pool", "Stream", "Window"])
def test_every_public_method_is_documented(name):
    cls = getattr(cgru, name)
    for attribute in (one for one in dir(cls) if not one.startswith("_")):
        assert inspect.getdoc(getattr(cls, attribute)), attribute


@pytest.mark.parametrize("module", ["activations", "gradients", "quantize"])
def test_public_modules(module):
    assert importlib.import_module(f"cgru.{module}").__doc__


@pytest.mark.parametrize("name", ("GRU", "RNN", "LSTM"))
def test_the_three_kinds_have_one_interface(name):
    """Calls, training, streams, properties and copies: the base class has them, with the same arguments for all."""
    common = (
        "__call__ record backward stream pool window trace jacobian to_torch to_onnx "
        "state_dict from_state_dict from_weights save astype replace quantize dequantize summary config "
        "weight_dtype weight_dtypes "
        "weights dtype engine input_size hidden_size num_layers bias batch_first bidirectional num_parameters nbytes "
        "activations clip reverse go_backwards merge_mode"
    )
    cls = getattr(cgru, name)
    for attribute in common.split():
        assert hasattr(cls, attribute), attribute
    for method in (
        "__call__", "record", "backward", "stream", "pool", "window", "jacobian", "to_torch", "to_onnx",
        "astype", "replace", "quantize", "dequantize",
    ):  # fmt: skip
        assert inspect.signature(getattr(cls, method)) == inspect.signature(getattr(cgru.GRU, method))
    for call in ("__call__", "record", "stream", "window", "trace", "jacobian"):
        assert "hx" in inspect.signature(getattr(cls, call)).parameters
    assert not hasattr(cls, "forward")


def test_show_config(capsys):
    found = cgru.show_config(mode="dicts")
    assert found["cgru"] == cgru.__version__
    assert found["isa"]["chosen"] == engines.isa() and found["isa"]["usable"] == list(engines.isas_usable())
    for name in ("float32", "float64"):
        assert found["engines"][name] == cgru.GRU(3, 5, dtype=np.dtype(name)).engine
    assert capsys.readouterr().out == ""
    assert cgru.show_config() is None
    text = capsys.readouterr().out
    assert cgru.__version__ in text and engines.isa() in text and "engines:" in text
    with pytest.raises(ValueError, match="mode must be 'stdout' or 'dicts'"):
        cgru.show_config("json")
