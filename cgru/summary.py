"""What there is to say about a model, line by line: `summary` of every model, and ``cgru info``."""



def summary_lines(model):
    """Yield (name, text) of everything there is to say about a model.

    Parameters
    ----------
    model : GRU, RNN or LSTM
    """
    config = model.config
    yield "model", repr(model)
    if not config.recurrent:
        yield "sizes", f"{config.input_size} -> {config.output_size} features"
        yield "parameters", f"{model.num_parameters:,} numbers of {_types(model)}, {model.nbytes:,} bytes"
        yield "a step", f"{multiply_adds(model.weights):,} multiply-adds for each row"
        yield "activation", _activations(config)
        yield "engine", f"{model.engine}, {model.isa}"
        return
    yield "sizes", _sizes(config)
    yield "output", f"{config.output_size} features" + (
        f", directions merged by {config.merge_mode}" if config.merge_mode != "concat" else ""
    )
    yield "layout", f"x is {'(N, T, I)' if config.batch_first else '(T, N, I)'} or (T, I)"
    yield "parameters", f"{model.num_parameters:,} numbers of {_types(model)}, {model.nbytes:,} bytes"
    yield "a step", f"{multiply_adds(model.weights):,} multiply-adds for each batch row"
    if "reset_after" in config.cell.options:
        yield "reset", f"{'after' if config.reset_after else 'before'} the recurrent product"
        yield "z", "keeps the old state: h' = z h + (1 - z) n"
    elif config.cell.gates:
        yield "gates", f"stacked {', '.join(config.cell.gates)}"
    yield ("activations" if "activations" in config.cell.options else "nonlinearity"), _activations(config)
    if config.clip is not None:
        yield "clip", f"what goes into the activations is clamped to +-{config.clip:g}"
    yield "initial state", "stored with the model" if config.initial_state else "zeros"
    yield "engine", f"{model.engine}, {model.isa}"


def network_lines(net):
    """Yield (name, text) of everything there is to say about a network: a line for each layer, then the whole.

    Parameters
    ----------
    net : Sequential
    """
    yield "network", f"{net.input_size} -> {net.output_size} features, {len(net.layers)} layers"
    yield "chain", _drawn(net)
    for number, layer in enumerate(net.layers):
        config = layer.config
        named = _activations(config)
        how = [] if named == "linear" else [named]
        if config.recurrent and config.num_layers > 1:
            how.insert(0, f"{config.num_layers} layers")
        how += ["both directions"] * config.bidirectional
        yield f"layer {number}", (
            f"{config.cell.name} {config.input_size} -> {config.output_size}{', ' if how else ''}{', '.join(how)}; "
            f"{layer.num_parameters:,} parameters, {multiply_adds(layer.weights):,} multiply-adds; "
            f"{layer.weight_dtype}, {layer.engine}"
        )
    yield "output", {
        False: "y of every step", True: "y of each row's last step", "h_n": "y of the final state",
    }[net.last] + (f", with x[..., :{net.output_size}] added" if net.skip else "")  # fmt: skip
    yield "layout", f"x is {'(N, T, I)' if net.batch_first else '(T, N, I)'} or (T, I)"
    yield "parameters", f"{net.num_parameters:,} numbers, {net.nbytes:,} bytes; {net.dtype}"
    total = sum(multiply_adds(layer.weights) for layer in net.layers)
    yield "a step", f"{total:,} multiply-adds for each batch row"


def _drawn(net):
    """The chain from x to y: "x 1 -> GRU 40 -> Linear 1 -> + x[..., :1] -> y"."""
    words = [f"x {net.input_size}"]
    selects = net.chain.selects
    step = "final state" if net.last == "h_n" else "last step"
    for number, layer in enumerate(net.layers):
        words += [step] * (number == selects)
        function = layer.config.activations[0][0].name
        after = "" if layer.config.recurrent or function == "linear" else f" {function}"
        words.append(f"{layer.config.cell.name} {layer.config.output_size}{after}")
    words += [step] * (selects == len(net.layers)) + [f"+ x[..., :{net.output_size}]"] * net.skip
    return " -> ".join([*words, "y"])


def text_of(lines):
    """Pairs (name, text) as one text of two columns."""
    return "\n".join(f"{name:14}{text}" for name, text in lines)


def multiply_adds(weights):
    """Count the multiply-adds of one row's matrix products in one step: one for every weight."""
    return sum(value.size for name, value in weights.stored.items() if name.startswith("weight"))


def _types(model):
    """The type of the numbers; where some are quantised, of the matrices of each layer and of the rest."""
    types, config = model.weight_dtypes, model.config
    if set(types) == {str(model.dtype)}:
        return str(model.dtype)
    layers = ", ".join(f"{name} in layer {layer}" for layer, name in enumerate(types))
    rest = ["biases"] * config.bias + ["the initial state"] * config.initial_state
    return (types[0] if len(set(types)) == 1 else layers) + (
        f" and, in {' and '.join(rest)}, {model.dtype}" if rest else ""
    )


def _sizes(config):
    layers = f"{config.num_layers} layer{'s' if config.num_layers > 1 else ''}"
    backward = config.reverse or config.go_backwards
    one = f"one direction, {'from the end to the start' if backward else 'forwards'}"
    directions = "both directions" if config.bidirectional else one
    return f"input {config.input_size}, hidden {config.hidden_size}, {layers}, {directions}"


def _activations(config):
    if not config.recurrent:
        return _named(config.activations[0][0])
    uses = [f" for {in_words(use)}" for use in config.cell.uses] if len(config.cell.uses) > 1 else [""]
    words = [
        ", ".join(_named(item) + use for item, use in zip(group, uses, strict=True)) for group in config.activations
    ]
    return words[0] if len(set(words)) == 1 else f"forwards {words[0]}; backwards {words[1]}"


def in_words(letters):
    """"i, f and o" of "ifo"."""
    return " and ".join([", ".join(letters[:-1]), letters[-1]] if len(letters) > 1 else letters)


def _named(item):
    numbers = ", ".join(f"{number:g}" for number in (item.alpha, item.beta))
    return item.name if item.is_usual else f"{item.name}({numbers})"
