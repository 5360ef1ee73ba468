"""Models trained elsewhere: a converter for each system, and whatever file they come in.

    read(path, name=...) -> Weights         any file that holds one recurrent network, by its suffix (`FORMATS`)
    form(path) -> str                       what such a file is, in words: "Keras"
    load(path) -> GRU, LSTM or RNN          the same as a model: `cgru.load`
    DOORS                                   the module of each of cgru's functions from_torch, from_keras, ...

A converter ``convert/SYSTEM.py`` has two functions: ``weights_from_SYSTEM(source, ...) -> Weights`` and, for users,
``from_SYSTEM(source, ..., engine="auto")``, which makes a model of them. What the system means by a GRU is a line of
`conventions`. Converters are imported when they are needed, and this module imports little: the child process that
reads Keras's files imports it too.
"""

from __future__ import annotations

import importlib
import json
import os
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from cgru.convert._errors import SeveralNetworks, naming
from cgru.convert.untrusted.files import array_names, file_size, is_safetensors, safetensors_metadata
from cgru.convert.untrusted.trees import path_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import DTypeLike

    from cgru.gru import GRU
    from cgru.lstm import LSTM
    from cgru.rnn import RNN
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
        The function that reads it, a key of `DOORS`.
    option : str
        Its parameter that chooses one of several networks.
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
    ".json": Format("RTNeural", "from_rtneural", "layer"),
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
    """The weights of the one recurrent network in a file.

    Parameters
    ----------
    path : path
        Of any suffix in `FORMATS`; a file that cgru wrote may have any other too.
    name : str, optional
        Which network, where the file holds several: the prefix of a state dict, the name of a Keras layer or an ONNX
        node, the number of an RTNeural layer, the path in a tree of parameters.
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
    path = os.fsdecode(path)
    changes = {field: value for field, value in changes.items() if value is not None}
    try:
        weights = _read(path, _format(path), name, dtype, changes.get("reset_after"))
    except SeveralNetworks as several:
        raise several.retold(path, "name=") from None
    if "nonlinearity" in changes:
        if "nonlinearity" not in weights.config.cell.options:
            raise ValueError(f"{path}: nonlinearity is for an RNN; these are {weights.config.cell.name} weights")
        changes["activations"] = changes.pop("nonlinearity")
    return weights.replace(**changes) if changes else weights


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


def load(path: Path, *, engine: str = "auto") -> GRU | LSTM | RNN:
    """Read a model: a file that `save` wrote, or any other that holds one recurrent network.

    Parameters
    ----------
    path : str or path-like
        cgru's own file; a state dict of PyTorch (``.safetensors``, ``.pt``, ``.pth``, ``.npz``), a model of Keras
        (``.keras``, ``.h5``), ONNX (``.onnx``) or RTNeural (``.json``); parameters of MLX, TensorFlow 1, Flax or
        Haiku in an ``.npz`` or ``.safetensors`` file. No code in a file is run.
    engine : str, default "auto"
        As in `GRU`; a file does not hold it.

    Returns
    -------
    GRU, LSTM or RNN
        What the function for that system, such as `from_keras`, makes of the file without further arguments.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        It is damaged or of an unknown kind, or does not hold one network; where it holds several, they are listed,
        with the function that takes one by its name.
    ImportError
        A package that reads it is not installed: PyTorch, ``pip install "cgru[keras]"`` or ``"cgru[onnx]"``.

    Warns
    -----
    UserWarning
        The file holds other tensors or layers with weights, which are left out: they are named. The system's own
        function takes one network by its name without this warning.
    """
    from cgru import engines
    from cgru.model import model_of

    path = os.fsdecode(path)
    engines.check_engine(engine)
    kind = _format(path)
    try:
        weights = _read(path, kind)
    except SeveralNetworks as several:
        assert kind is not None
        raise several.retold(path, f"cgru.{kind.door}(path, {kind.option}=...)") from None
    return model_of(weights, engine)


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
    from cgru import files
    from cgru.checks import check_dtype

    dtype = None if dtype is None else check_dtype(dtype)
    if kind is None:
        if name is not None:
            raise ValueError(f"{path} is a file of cgru, which holds one model; leave out the name {name!r}")
        weights = files.load(path)
        return weights if dtype is None else weights.astype(dtype)
    if kind.words == "RTNeural" and str(name).isdigit():
        name = int(name)
    options = {"linear_before_reset": reset_after} if kind.words == "ONNX" else {}
    with naming(path):
        return _converter(kind.door)(path, dtype=dtype, **{kind.option: name}, **options)


def _converter(door: str) -> Callable[..., Weights]:
    """``weights_from_SYSTEM`` of the function ``from_SYSTEM``."""
    return getattr(importlib.import_module(DOORS[door]), f"weights_{door}")
