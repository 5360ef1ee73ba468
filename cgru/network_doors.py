"""A network's way in and out of other systems; each is a converter's, imported when it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cgru.networks import Network

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Self

    from numpy.typing import DTypeLike

    from cgru.chain import Last
    from cgru.model import StrPath


class NetworkDoors(Network):
    """Base of `Sequential`: from and to what others have."""

    __slots__ = ()

    @classmethod
    def from_keras(cls, source: Any, *, dtype: DTypeLike | None = None, engine: str = "auto") -> Self:
        """A whole Keras model that is a chain of layers, Sequential or functional; x is (N, T, I).

        GRU, LSTM, SimpleRNN and Bidirectional ones, Dense, TimeDistributed(Dense), activations, and, folded into what
        is beside them, BatchNormalization and Normalization; Dropout does nothing. A Masking at the end of rows is the
        `lengths` of a call. Where the last recurrent layer has return_sequences=False, y is (N, O).

        Parameters
        ----------
        source : keras model, or path
            A built model, or a ``.keras`` or ``.h5`` file of one, which needs h5py and not Keras.
        dtype, engine
            As in `from_torch`.

        Raises
        ------
        TypeError
            Something else was given.
        ValueError
            It is no chain, or has a layer that is none here: the layer is named. A damaged file.
        OSError, ImportError
            The file cannot be read; h5py is missing.
        """
        from cgru.convert.keras_chain import chain_from_keras

        return cls.from_chain(chain_from_keras(source, dtype=dtype), engine)

    @classmethod
    def from_torch(
        cls,
        source: Any,
        *,
        layers: Sequence[Any] | None = None,
        nonlinearity: Any = None,
        last: Last = False,
        skip: bool = False,
        batch_first: bool | None = None,
        dtype: DTypeLike | None = None,
        engine: str = "auto",
    ) -> Self:
        """A network from PyTorch: an `nn.Sequential`, a list of modules in their order, a module, or a state dict.

        Of nn.GRU, nn.LSTM, nn.RNN and their cells, nn.Linear, activations, Dropout, which is passed over, and
        BatchNorm1d behind the last step, which is folded. A recurrent module passes y on, not the pair.

        Parameters
        ----------
        source : module, list of modules, mapping or path
            A list may hold "last" where the last step is taken, "h_n" where the final state is, and names of
            activations, see `cgru.activations`. A module with a forward of its own, a state dict and the path of one
            hold no order: they need `layers`.
        layers : sequence of str, optional
            The names of submodules, or the prefixes of a state dict, in their order, between them what a list may hold:
            ``["gru", "last", "hidden", "relu", "head"]``.
        nonlinearity : activation, optional
            Of the RNNs of a state dict, which does not hold it; "tanh" by default.
        last, skip
            As in `Sequential`.
        batch_first : bool, optional
            By default what the recurrent modules say; of a state dict False.
        dtype : dtype, optional
            By default float64 where all parameters are, else float32.
        engine : str, default "auto"
            Of every layer, as in `GRU`.

        Raises
        ------
        TypeError
            Something else was given.
        ValueError
            A module that is no layer here: it is named; a state dict without `layers`; a damaged file.
        OSError, ImportError
            The file cannot be read; PyTorch is missing.
        """
        from cgru.convert.torch_chain import chain_from_torch

        chain = chain_from_torch(
            source, layers=layers, nonlinearity=nonlinearity, last=last, skip=skip, batch_first=batch_first, dtype=dtype
        )
        return cls.from_chain(chain, engine)

    @classmethod
    def from_onnx(cls, source: Any, *, dtype: DTypeLike | None = None, engine: str = "auto") -> Self:
        """The network of an ONNX graph that is a chain of layers.

        GRU, LSTM and RNN nodes with what exporters put around them, Gemm, MatMul and Add, activations, a normaliser, a
        last step, a skip connection; also a policy's graph with inputs and outputs for the states.

        Parameters
        ----------
        source : onnx.ModelProto, bytes or path
        dtype, engine
            As in `from_torch`.

        Raises
        ------
        TypeError
            Something else was given.
        ValueError
            It is no chain, or a node is no layer here: the node is named. A damaged file.
        OSError, ImportError
            The file cannot be read; the package onnx is missing.
        """
        from cgru.convert.onnx_chain import chain_from_onnx

        return cls.from_chain(chain_from_onnx(source, dtype=dtype), engine)

    @classmethod
    def from_rtneural(
        cls,
        source: Any,
        *,
        layers: Iterable[str] | None = None,
        skip: bool | None = None,
        batch_first: bool = False,
        dtype: DTypeLike | None = None,
        engine: str = "auto",
    ) -> Self:
        """A network in RTNeural's JSON, of both forms, with the skip and the gains of amplifier models.

        Parameters
        ----------
        source : path or dict
            The file, or what `json.load` makes of it.
        layers : iterable of str, optional
            Of a state dict of PyTorch that does not say what network it is: the prefixes of its layers in their order.
        skip : bool, optional
            Whether x is added to y; by default as the file says.
        batch_first : bool, default False
        dtype : dtype, default float32
        engine : str, default "auto"

        Raises
        ------
        TypeError
            Neither a path nor a dict.
        ValueError
            A layer that is none here: its number and type are named; a damaged file.
        OSError
            The file cannot be read.
        """
        from cgru.convert.rtneural_chain import chain_from_rtneural

        chain = chain_from_rtneural(source, layers=layers, skip=skip, batch_first=batch_first, dtype=dtype)
        return cls.from_chain(chain, engine)

    @classmethod
    def from_nam(
        cls, source: Any, *, batch_first: bool = False, dtype: DTypeLike | None = None, engine: str = "auto"
    ) -> Self:
        """The LSTM and head of a Neural Amp Modeler's ``.nam`` file, with its learnt initial state.

        Its players run some silence through a model before they play: ``net.stream().prewarm(n)``.

        Parameters
        ----------
        source : path or dict
        batch_first : bool, default False
        dtype : dtype, default float32
        engine : str, default "auto"

        Raises
        ------
        TypeError
            Neither a path nor a dict.
        ValueError
            Another architecture; a damaged file.
        OSError
            The file cannot be read.
        """
        from cgru.convert.nam import chain_from_nam

        return cls.from_chain(chain_from_nam(source, batch_first=batch_first, dtype=dtype), engine)

    def to_torch(self) -> Any:
        """A `torch.nn.Module` that computes the same, with copies of the weights: ``module(x, hx) -> y, hx``.

        Raises
        ------
        ValueError
            PyTorch's layers cannot do what one of these does.
        ImportError
            PyTorch is not installed.
        """
        from cgru.convert.torch_write import to_torch

        return to_torch(self.chain)

    def to_onnx(self, path: StrPath, *, h_0: bool = True, lengths: bool = False) -> None:
        """Write the network as ONNX (opset 17).

        Parameters
        ----------
        path : str or path-like
            Written atomically.
        h_0 : bool, default True
            Whether there are inputs for the states: ``h_0_0`` of the first recurrent layer, an LSTM's ``c_0_0`` too,
            ``h_0_1`` of the second, ... The outputs are ``y`` and ``h_n_0``, ... in any case.
        lengths : bool, default False
            Whether there is an input ``lengths`` (N,), int32.

        Raises
        ------
        ValueError
            Lengths, and a layer that leaves its output in reversed order.
        ImportError
            The package onnx is not installed: ``pip install "cgru[onnx]"``.
        OSError
            The file cannot be written.
        """
        from cgru.convert.onnx_write import write_onnx

        write_onnx(self.chain, path, h_0=h_0, lengths=lengths)

    def to_rtneural(self, path: StrPath) -> None:
        """Write the network as RTNeural's JSON, for whoever ships in C++.

        Parameters
        ----------
        path : str or path-like
            Written atomically.

        Raises
        ------
        ValueError
            RTNeural has no such layer or option: which one is said.
        OSError
            The file cannot be written.
        """
        from cgru.convert.rtneural_write import to_rtneural

        to_rtneural(self.chain, path)
