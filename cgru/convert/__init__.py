"""Models trained elsewhere: a converter for each system, and whatever file they come in.

    read(path, name=...) -> Weights         one recurrent layer or stack of any file, by its suffix (`FORMATS`)
    read_network(path) -> Chain or Weights  all that a file holds, where it is a chain of layers
    form(path) -> str                       what such a file is, in words: "Keras"
    load(path) -> Sequential, GRU, ...      `read_network` as a model: `cgru.load`
    DOORS                                   the module of each of cgru's functions from_torch, from_keras, ...

A converter ``convert/SYSTEM.py`` has two functions: ``weights_from_SYSTEM(source, ...) -> Weights`` and, for users,
``from_SYSTEM(source, ..., engine="auto")``, which makes a model of them. What the system means by a GRU is a line of
`conventions`. Whole networks come from `networks`. Converters are imported when they are needed, and this module
imports little: the child process that reads Keras's files imports it too.
"""

from __future__ import annotations

import importlib
import json
import os
import re
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from cgru.convert._errors import SeveralNetworks, naming
from cgru.convert.untrusted.files import array_names, file_size, is_safetensors, safetensors_metadata
from cgru.convert.untrusted.trees import path_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import DTypeLike

    from cgru.chain import Chain
    from cgru.gru import GRU
    from cgru.linear import Linear
    from cgru.lstm import LSTM
    from cgru.rnn import RNN
    from cgru.sequential import Sequential
    from cgru.weights import Weights

    Path = str | os.PathLike[str]

#: The public function of each system -> the module where it is.
DOORS = {
    f"from_{system}": f"cgru.convert.{system}"
    for system in ("torch", "keras", "onnx", "flax", "haiku", "tensorflow1", "paddle", "mlx", "rtneural")
}


class Format(NamedTuple):
    """A kind of file.

    Attributes
    ----------
    words : str
        What `form` says.
    door : str
        The function that reads one layer of it, a key of `DOORS`; of a format that is only read whole, the method of
        `Sequential`.
    option : str
        Its parameter that chooses one of several networks; empty where there is none.
    """

    words: str
    door: str
    option: str


_PYTORCH = Format("PyTorch", "from_torch", "prefix")
_STATE_DICT = Format("PyTorch state dict", "from_torch", "prefix")
_KERAS = Format("Keras", "from_keras", "layer")

#: Suffix -> what reads it. A .safetensors file may be cgru's own; it and an .npz file hold arrays, see `ARRAYS`.
FORMATS = {
    ".safetensors": _STATE_DICT, ".npz": _STATE_DICT,
    ".pt": _PYTORCH, ".pth": _PYTORCH, ".ckpt": _PYTORCH, ".bin": _PYTORCH,
    ".keras": _KERAS, ".h5": _KERAS, ".hdf5": _KERAS,
    ".onnx": Format("ONNX", "from_onnx", "node"),
    ".json": Format("RTNeural", "from_rtneural", "layer"), ".aidax": Format("AIDA-X", "from_rtneural", "layer"),
    ".nam": Format("Neural Amp Modeler", "from_nam", ""),
}  # fmt: skip

_MLX = Format("MLX", "from_mlx", "name")
_TENSORFLOW1 = Format("TensorFlow 1", "from_tensorflow1", "name")
_FLAX = Format("Flax", "from_flax", "name")
_HAIKU = Format("Haiku", "from_haiku", "name")

#: A pattern of what the name of an array ends with -> whose it is. Files of arrays in which none fits are state dicts.
ARRAYS = {
    r"/Whh?": _MLX,
    r"/candidate/(kernel|weights)": _TENSORFLOW1, r"/(basic_)?(lstm|rnn)_cell(_\d+)?/(kernel|weights)": _TENSORFLOW1,
    r"/(h[nifgo]?|dense_h)/kernel": _FLAX,
    r"/w_h": _HAIKU, r"/([^/]*_)?(lstm|rnn)(_\d+)?/linear/w": _HAIKU,
}  # fmt: skip


def read(path: Path, *, name: Any = None, dtype: DTypeLike | None = None, **changes: Any) -> Weights:
    """The weights of the one recurrent layer, or stack of layers, in a file.

    Parameters
    ----------
    path : path
        Of any suffix in `FORMATS`; a file that cgru wrote may have any other too.
    name : str, optional
        Which one, where the file holds several: the prefix of a state dict, the name of a Keras layer or an ONNX
        node, the number of a layer in RTNeural's and cgru's own networks, the path in a tree of parameters.
    dtype : dtype, optional
        float32 or float64; by default float64 where all parameters are float64, else float32.
    **changes
        Fields of `Config` for which the file is not to be believed, or which it does not hold, such as `reset_after`,
        `activations`, `batch_first`, and an RNN's `nonlinearity`. None leaves what the file says. The parameters stay
        as they are.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        It is damaged, of an unknown kind, or holds no such network; it holds several and no `name` was given: then it
        is a `SeveralNetworks`, which lists them; or this kind of network has no such option as is to be changed.
    ImportError
        A package that reads it is not installed; the message says what to install.
    """
    from cgru.convert import networks

    path, changes = os.fsdecode(path), _given(changes)
    try:
        weights = _read(path, _format(path), name, dtype, changes.get("reset_after"))
    except SeveralNetworks as several:
        raise several.retold(path, "name=") from several.__cause__
    with naming(path):
        return cast("Weights", networks.changed(weights, changes))


def read_network(
    path: Path,
    *,
    name: Any = None,
    dtype: DTypeLike | None = None,
    layers: Iterable[str] | None = None,
    skip: bool | None = None,
    **changes: Any,
) -> Chain | Weights:
    """All that a file computes, where that is a chain of layers; where it is not, its one recurrent layer.

    Parameters
    ----------
    path : path
    name : str, optional
        One layer alone, as `read` takes it.
    dtype : dtype, optional
        As of `read`.
    layers : iterable of str, optional
        The order of the layers in a state dict of PyTorch; see `load`.
    skip : bool, optional
        Whether the first features of x are added to y; by default as the file says, and not for a state dict.
    **changes
        As of `read`; of every recurrent layer that has such an option.

    Returns
    -------
    Chain or Weights
        `Weights` of a recurrent layer with nothing around it.

    Raises
    ------
    OSError, ValueError, ImportError
        As from `read`. Where the file is no chain, the message says which layer or node is not read.
    TypeError
        `layers` are no strings.

    Warns
    -----
    UserWarning
        The file is no chain, or a state dict without `layers`: what is left out is named, and why.
    """
    path, changes = os.fsdecode(path), _given(changes)
    if name is not None:
        if layers is not None or skip:
            raise ValueError(f"name={name!r} takes one layer; layers= and skip= are of the whole network: drop one")
        return read(path, name=name, dtype=dtype, **changes)
    try:
        return _whole(path, _format(path), dtype, layers, skip, **changes)
    except SeveralNetworks as several:
        raise several.retold(path, "name=") from several.__cause__


def _given(changes):
    return {field: value for field, value in changes.items() if value is not None}


def form(path: Path) -> str:
    """What a file that `read` reads is, in words: "PyTorch state dict", "cgru format 2".

    Raises
    ------
    OSError, ValueError
        As from `read`.
    """
    path = os.fsdecode(path)
    kind = _format(path)
    if kind is not None:
        return kind.words
    with naming(path):
        return f"cgru format {json.loads(safetensors_metadata(path).get('cgru', '{}')).get('format')}"


def load(
    path: Path, *, layers: Iterable[str] | None = None, skip: bool | None = None, engine: str = "auto"
) -> Sequential | GRU | LSTM | RNN | Linear:
    """Read a model: a file that `save` wrote, or any other that holds a network.

    Parameters
    ----------
    path : str or path-like
        cgru's own file; a model of Keras (``.keras``, ``.h5``), ONNX (``.onnx``), RTNeural (``.json``), AIDA-X
        (``.aidax``) or Neural Amp Modeler (``.nam``); a state dict of PyTorch (``.safetensors``, ``.pt``, ``.pth``,
        ``.npz``); parameters of MLX, TensorFlow 1, Flax or Haiku in an ``.npz`` or ``.safetensors`` file. No code in a
        file is run.
    layers : iterable of str, optional
        For a state dict of PyTorch, which holds no order: the prefixes of its layers in the order in which they
        compute, and between them the names of activations, which it does not hold either, and "last" for the last step
        alone: ``("gru", "head")``, ``("fc", "relu", "gru", "last", "head", "softmax")``.
    skip : bool, optional
        Whether the first features of x are added to y; by default as the file says.
    engine : str, default "auto"
        As in `GRU`; a file does not hold it.

    Returns
    -------
    Sequential, GRU, LSTM or RNN
        A `Sequential` where the file is a chain of layers, such as a GRU and a Dense. One recurrent layer alone is a
        GRU, LSTM or RNN: what the function for that system, such as `from_keras`, makes of it without more arguments.

    Raises
    ------
    OSError
        The file cannot be read.
    TypeError
        `layers` are no strings.
    ValueError
        It is damaged or of an unknown kind, or does not hold one network; where it holds several, they are listed,
        with the function that takes one by its name.
    ImportError
        A package that reads it is not installed: PyTorch, ``pip install "cgru[keras]"`` or ``"cgru[onnx]"``.

    Warns
    -----
    UserWarning
        The file is no chain of layers (it branches, or has a layer that cgru has not), or a state dict without
        `layers`, and only its recurrent layer is read: what is left out is named. The system's own function takes one
        layer by its name without this warning.
    """
    from cgru import engines
    from cgru.convert import networks

    path = os.fsdecode(path)
    engines.check_engine(engine)
    kind = _format(path)
    try:
        return networks.built(_whole(path, kind, layers=layers, skip=skip), engine)
    except SeveralNetworks as several:
        how = "cgru.convert.read(path, name=...)" if kind is None else f"cgru.{kind.door}(path, {kind.option}=...)"
        raise several.retold(path, how) from several.__cause__


def _format(path: str) -> Format | None:
    """The `Format` of a file, by its suffix and what is in it; None for cgru's own."""
    suffix = os.path.splitext(path)[1].lower()
    file_size(path)
    if suffix == ".safetensors" and "cgru" in safetensors_metadata(path):
        return None
    if suffix not in FORMATS and is_safetensors(path):
        return None
    if suffix not in FORMATS:
        endings = ", ".join(FORMATS)
        raise ValueError(f"{path} is not a complete safetensors file of cgru, and its name ends with none of {endings}")
    if FORMATS[suffix] is not _STATE_DICT:
        return FORMATS[suffix]
    with naming(path):
        names = [f"/{path_of(name)}" for name in array_names(path)]
    if any("weight_ih" in name for name in names):
        return _STATE_DICT
    found = (kind for pattern, kind in ARRAYS.items() if any(re.search(f"{pattern}$", name) for name in names))
    return next(found, _STATE_DICT)


def _read(path, kind, name=None, dtype=None, reset_after=None):
    """The weights in a file of the `Format` `kind`; only ONNX's converter wants to know `reset_after`, see there."""
    from cgru import stored
    from cgru.checks import check_dtype
    from cgru.convert import networks

    dtype = None if dtype is None else check_dtype(dtype)
    if kind is None:
        weights = networks.one_of(path, stored.load(path), name)
        return weights if dtype is None else weights.astype(dtype)
    if not kind.option:
        raise ValueError(f"{path} is one network ({kind.words}) and is read whole; for one of its layers save it first")
    if kind.door == "from_rtneural" and str(name).isdigit():
        name = int(name)
    options = {"linear_before_reset": reset_after} if kind.door == "from_onnx" else {}
    with naming(path):
        return _converter(kind.door)(path, dtype=dtype, **{kind.option: name}, **options)


def _whole(path, kind, dtype=None, layers=None, skip=None, **changes):
    """The `Chain` or `Weights` in a file, changed as asked; one layer, with a warning, where it is no chain."""
    from cgru.checks import check_dtype
    from cgru.convert import networks

    def one():
        return _read(path, kind, dtype=dtype, reset_after=reset_after)

    reset_after = changes.get("reset_after")
    dtype = None if dtype is None else check_dtype(dtype)
    network = networks.whole(path, kind, one, dtype, layers, reset_after)
    with naming(path):
        return networks.changed(network, changes, skip)


def _converter(door: str) -> Callable[..., Weights]:
    """``weights_from_SYSTEM`` of the function ``from_SYSTEM``."""
    return getattr(importlib.import_module(DOORS[door]), f"weights_{door}")
