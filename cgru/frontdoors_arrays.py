"""Front doors for systems whose models are plain arrays; see `cgru.frontdoors`."""

from cgru.frontdoors import model_from


def from_flax(source, name=None, *, activations=None, batch_first=True, dtype=None, engine="auto"):
    """A GRU from Flax's GRUCell, linen or nnx.

    Parameters
    ----------
    source : mapping or nnx module
        Linen's variables or parameters: {"params": {"GRUCell_0": {"ir": {"kernel": ...}, ...}}}, at any depth; an
        nnx.GRUCell, an nnx.RNN around one, or its state as nested mappings (``nnx.to_pure_dict``).
    name : str, optional
        Which cell, where there are several: its path, joined by "/".
    activations : (f, g), optional
        The cell's `gate_fn` and `activation_fn`, which parameters do not hold; see `cgru.activations`.
    batch_first : bool, default True
        As Flax's RNN has it.
    dtype, engine
        As in `from_torch`.

    Returns
    -------
    GRU
        Its h_n[0] is Flax's carry.

    Raises
    ------
    TypeError
        Something else was given.
    ValueError
        No GRU cell, or several (they are listed).
    """
    from cgru.convert.flax import weights_from_flax

    return model_from(
        weights_from_flax, source, name, activations=activations, batch_first=batch_first, dtype=dtype, engine=engine
    )  # fmt: skip


def from_haiku(source, name=None, *, batch_first=False, dtype=None, engine="auto"):
    """A GRU from the parameters of Haiku's `hk.GRU`, which resets before the product.

    Parameters
    ----------
    source : mapping
        What ``transformed.init`` gives: {"gru": {"w_i": (I, 3H), "w_h": (H, 3H), "b": (3H,)}}.
    name : str, optional
        Which module, where there are several.
    batch_first : bool, default False
        As `hk.dynamic_unroll` has it.
    dtype, engine
        As in `from_torch`.

    Returns
    -------
    GRU
        With ``reset_after=False``. Haiku's z takes the new value; the model holds the negated z rows instead, which
        is the same.

    Raises
    ------
    TypeError
        Not a mapping.
    ValueError
        No GRU, or several (they are listed).
    """
    from cgru.convert.haiku import weights_from_haiku

    return model_from(weights_from_haiku, source, name, batch_first=batch_first, dtype=dtype, engine=engine)


def from_tensorflow1(source, name=None, *, activation="tanh", batch_first=True, dtype=None, engine="auto"):
    """A GRU from TensorFlow 1's `GRUCell`, which resets before the product.

    Parameters
    ----------
    source : mapping or path
        Variable names to arrays, or an .npz file of them: ".../gates/kernel" (I + H, 2H), ".../gates/bias" (2H,),
        ".../candidate/kernel" (I + H, H), ".../candidate/bias" (H,); rows [x, h], gates r, u. The oldest versions'
        names weights and biases, and a ":0" at the end, are understood.
    name : str or sequence of str, optional
        Which cell, where there are several: what stands before "/gates". Several names, in order, are layers.
    activation : str, default "tanh"
        The cell's; see `cgru.activations`.
    batch_first : bool, default True
        As `tf.nn.dynamic_rnn` has it.
    dtype, engine
        As in `from_torch`.

    Raises
    ------
    TypeError
        Neither a mapping nor a path.
    ValueError
        No cell, several (they are listed), or shapes that do not fit.
    OSError
        The file cannot be read.
    """
    from cgru.convert.tensorflow1 import weights_from_tensorflow1

    return model_from(
        weights_from_tensorflow1, source, name, activation=activation, batch_first=batch_first, dtype=dtype,
        engine=engine,
    )  # fmt: skip


def from_paddle(
    weight, input_weight, bias=None, input_bias=None, *, origin_mode=False, is_reverse=False,
    gate_activation="sigmoid", candidate_activation="tanh", batch_first=False, dtype=None, engine="auto",
):  # fmt: skip
    """A GRU from Paddle's `gru` operator (`dynamic_gru`) and the fc layer before it.

    Parameters
    ----------
    weight : array_like
        3 * H * H numbers, of any shape: in their order H x 2H for u and r, then H x H for the candidate.
    input_weight : array_like
        (I, 3H): the weight of the fc layer that makes the operator's input; gates u, r, c.
    bias, input_bias : array_like, optional
        (1, 3H) or (3H,): the operator's and the fc layer's.
    origin_mode : bool, default False
        Whether u keeps the old value (Cho et al. 2014), or takes the new.
    is_reverse : bool, default False
    gate_activation, candidate_activation : str
        sigmoid, tanh, relu or identity.
    batch_first : bool, default False
    dtype, engine
        As in `from_torch`.

    Returns
    -------
    GRU
        With ``reset_after=False``.

    Raises
    ------
    TypeError
        Arrays that are not real numbers.
    ValueError
        Shapes that do not fit, or a gate activation for which "u takes the new" cannot be turned round.
    """
    from cgru.convert.paddle import weights_from_paddle

    return model_from(
        weights_from_paddle, weight, input_weight, bias, input_bias, origin_mode=origin_mode, is_reverse=is_reverse,
        gate_activation=gate_activation, candidate_activation=candidate_activation, batch_first=batch_first,
        dtype=dtype, engine=engine,
    )  # fmt: skip


def from_mlx(source, name=None, *, batch_first=True, dtype=None, engine="auto"):
    """A GRU from MLX's `mlx.nn.GRU`.

    Parameters
    ----------
    source : mlx.nn.GRU or module that holds one, mapping or path
        ``module.parameters()``, or an .npz or .safetensors file of ``save_weights``: Wx (3H, I), Wh (3H, H), and
        with bias b (3H,) and bhn (H,).
    name : str, optional
        Which GRU, where there are several: what stands before "Wx".
    batch_first : bool, default True
        As MLX has it.
    dtype, engine
        As in `from_torch`.

    Raises
    ------
    TypeError
        Something else was given.
    ValueError
        No GRU, several (they are listed), shapes that do not fit, or a damaged file.
    OSError
        The file cannot be read.
    """
    from cgru.convert.mlx import weights_from_mlx

    return model_from(weights_from_mlx, source, name, batch_first=batch_first, dtype=dtype, engine=engine)


def from_rtneural(source, layer=None, *, batch_first=False, dtype=None, engine="auto"):
    """A GRU from a model in RTNeural's JSON.

    Parameters
    ----------
    source : path or dict
        The file, or what `json.load` makes of it.
    layer : int, optional
        The GRU's place among the model's layers, where there are several.
    batch_first : bool, default False
    dtype : dtype, default float32
    engine : str
        As in `from_torch`.

    Raises
    ------
    TypeError
        Neither a path nor a dict.
    ValueError
        No GRU layer, several (they are listed), shapes that do not fit, or no JSON.
    OSError
        The file cannot be read.
    """
    from cgru.convert.rtneural import weights_from_rtneural

    return model_from(weights_from_rtneural, source, layer, batch_first=batch_first, dtype=dtype, engine=engine)
