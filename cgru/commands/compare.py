"""RNN, GRU and LSTM side by side: sizes, times, and how much of a gradient survives the steps back."""

import numpy as np

import cgru
from cgru.cells import CELLS
from cgru.commands import _pictures
from cgru.commands._exit import positive
from cgru.commands._progress import Progress
from cgru.commands._timing import duration, measure, sequence_sampler, step_sampler
from cgru.study.gradient_flow import decay, gradient_flow, with_update_bias

# by name, from the least to the most parameters
NETWORKS = {cell.name: cell for cell in sorted(CELLS.values(), key=lambda cell: cell.stacked)}
BIASES = (-4, 0, 4)  # of the update gate, in the starting equations' sense
STEPS = 100  # of the sequences that are timed
WARM_UP = 50  # steps before the lags
SEQUENCES = 4  # that gradient flow is averaged over
DEMO_LAGS = 20  # at most: the demo's utterances are short
SECONDS = 0.15  # for each time

NOTES = f"""\
Costs are of one layer and one row in float32: multiply-adds of the two matrix products, bytes of all
parameters, median time of one step of a stream and of one call for {STEPS} steps, all three on one engine.

Gradient flow is the largest singular value of d h_T / d h_(T-k): exact, by backward in float64, the geometric
mean over {SEQUENCES} sequences of normal inputs. "Per step" is the mean factor over the second half of the
lags, "half-life" the steps in which that halves a gradient. An LSTM has two states, h and c. Beside the GRU
stands the same norm of diag(product of 1 - z), with z and its bias as in h_t = (1 - z) * h_(t-1) + z * n: a
negative bias keeps the old state (this 1 - z is what PyTorch calls z). The LSTM's forget gate is set to keep
the same share. An RNN has no such gate."""


def add_arguments(parser):
    parser.add_argument("--input-size", type=positive, default=64, metavar="I", help="default: %(default)s")
    parser.add_argument("--hidden-size", type=positive, default=64, metavar="H", help="default: %(default)s")
    parser.add_argument(
        "--lags",
        type=positive,
        default=100,
        metavar="K",
        help="steps that a gradient goes back (default: %(default)s)",
    )
    parser.add_argument(
        "--plot",
        metavar="FILE",
        help="draw the decay of the gradients (.png, .pdf or .svg; needs matplotlib)",
    )


def main(args, seconds=SECONDS):
    """Run ``cgru compare``, each time measured for so many seconds."""
    if args.plot is not None:
        _pictures.check(args)
    cgru.engines.load("backward")      # its error comes before half of the tables
    sizes = equal_hidden(args.hidden_size), equal_parameters(args.input_size, args.hidden_size)
    titles = (
        f"equal hidden size: I = {args.input_size}, H = {args.hidden_size}",
        f"equal parameter count, as near as whole units come: I = {args.input_size}",
    )
    panels = []
    progress = Progress(2 * (1 + 1 + len(BIASES)) + 1, "part")
    try:
        progress.write(NOTES)
        for title, hidden in zip(titles, sizes, strict=True):
            table = cost_lines(args.input_size, hidden, seconds)
            progress.write("\n".join(["", title, "", *table, ""]))
            progress.update()
            for setting, flows in flows_of_settings(args.input_size, hidden, args.lags):
                progress.write("\n".join(flow_lines(setting, flows)))
                progress.update()
                panels.append((title.partition(",")[0].partition(":")[0], setting, flows))
        setting, flows = flows_of_demo(args.lags)
        progress.write("\n".join(["", *flow_lines(setting, flows)]))
        progress.update()
        panels.append(("demo", setting, flows))
    finally:
        progress.close()
    if args.plot is not None:
        from cgru.commands import _compare_picture

        _pictures.save(_compare_picture.figure(panels, args.input_size, *sizes), args.plot)
        print(f"\nwrote {args.plot}")


# ---- costs


def equal_hidden(hidden_size):
    """Map each network to the same hidden size."""
    return dict.fromkeys(NETWORKS, hidden_size)


def equal_parameters(input_size, hidden_size):
    """Map each network to the hidden size with which it has as many parameters as the GRU has, or nearly."""
    wanted = parameters("GRU", input_size, hidden_size)
    half = (input_size + 2) / 2
    found = {}
    for network, cell in NETWORKS.items():
        H = int(np.sqrt(half**2 + wanted / cell.stacked) - half)  # stacked * H * (H + 2 * half) = wanted
        sizes = (max(1, H), H + 1)
        _, found[network] = min((abs(parameters(network, input_size, size) - wanted), size) for size in sizes)
    return found


def parameters(network, input_size, hidden_size):
    """Count the parameters of one layer: two matrices and two biases for each of the stacked parts."""
    return NETWORKS[network].stacked * hidden_size * (input_size + hidden_size + 2)


def multiply_adds(network, input_size, hidden_size):
    """Count the multiply-adds of one row's matrix products in one step."""
    return NETWORKS[network].stacked * hidden_size * (input_size + hidden_size)


def cost_lines(input_size, hidden, seconds=SECONDS):
    """Yield the table of costs as text, measuring as it goes.

    Parameters
    ----------
    input_size : int
    hidden : dict of str to int
        Hidden size of each network.
    seconds : float
        For each time.
    """
    heads = f"{'':12}{'H':>6}{'parameters':>12}{'multiply-adds':>15}{'bytes':>10}"
    yield f"{heads}{'step':>10}{f'{STEPS} steps':>11}"
    x = np.random.default_rng(1).standard_normal((STEPS, 1, input_size)).astype(np.float32)
    models = {network: getattr(cgru, network)(input_size, H, rng=0) for network, H in hidden.items()}
    for network, H in hidden.items():
        counts = parameters(network, input_size, H), multiply_adds(network, input_size, H)
        samplers = step_sampler(models[network], x[0]), sequence_sampler(models[network], x)
        step, sequence = (duration(np.median(measure(sampler, seconds)[0])) for sampler in samplers)
        yield f"{network:12}{H:6d}{counts[0]:12,d}{counts[1]:15,d}{4 * counts[0]:10,d}{step:>10}{sequence:>11}"
    yield f"times on the engine {models['GRU'].engine}, {cgru.engines.isa()}"


# ---- gradient flow


def flows_of_settings(input_size, hidden, lags):
    """Yield (setting, flows) at initialisation and with each of `BIASES`.

    Parameters
    ----------
    input_size : int
    hidden : dict of str to int
        Hidden size of each network.
    lags : int

    Yields
    ------
    setting : str
    flows : dict of str to Flow
        For each network.
    """
    x = np.random.default_rng(2).standard_normal((WARM_UP + lags, SEQUENCES, input_size))
    models = {name: getattr(cgru, name)(input_size, H, dtype=np.float64, rng=0) for name, H in hidden.items()}
    flows = {name: gradient_flow(model, x, lags) for name, model in models.items()}
    yield "at initialisation", flows
    for bias in BIASES:
        changed = {name: with_update_bias(model, bias) for name, model in models.items()}
        yield (
            f"update-gate bias {bias}",
            {
                name: flows[name] if model is models[name] else gradient_flow(model, x, lags)
                for name, model in changed.items()
            },
        )


def flows_of_demo(lags):
    """Give (setting, flows) of the demo's model, and of untrained networks of its size, on real utterances.

    Of the test utterances, those that are long enough for all lags (at most `DEMO_LAGS`) count.
    """
    from cgru.demo.data import load_network, load_utterances

    lags = min(lags, DEMO_LAGS)
    utterances = load_utterances("test")
    utterances = utterances[utterances.lengths >= lags]
    demo = load_network().layers[0].astype(np.float64)
    models = {"GRU": demo}
    for name in NETWORKS:
        untrained = getattr(cgru, name)(demo.input_size, demo.hidden_size, dtype=np.float64, rng=0)
        models[f"{name}, untrained"] = untrained
    x = utterances.frames.astype(np.float64)
    flows = {name: gradient_flow(model, x, lags, utterances.lengths) for name, model in models.items()}
    return f"demo's model, {len(utterances)} real utterances of {lags}+ frames", flows


def flow_lines(setting, flows):
    """Yield the table of one setting as text."""
    lags = len(next(iter(flows.values())).h) - 1
    shown = sorted({1, min(10, lags), lags})
    heads = "".join(f"{f'k = {k}':>11}" for k in shown)
    if len(setting) > 24:
        yield setting
        setting = ""
    yield f"{setting:24}{heads}{'per step':>11}{'half-life':>11}"
    for name, flow in flows.items():
        curves = {name: flow.h} if flow.c is None else {f"{name}, h": flow.h, f"{name}, c": flow.c}
        if flow.kept is not None:
            curves["  product of 1 - z"] = flow.kept
        for label, curve in curves.items():
            values = "".join(f"{power(curve[k]):>11}" for k in shown)
            rate = decay(curve)
            yield f"  {label:22}{values}{rate:11.4f}{half_life(rate):>11}"


def power(log_value):
    """Text of exp(log_value), however small or large."""
    if not np.isfinite(log_value):
        return "0"
    exponent = int(np.floor(log_value / np.log(10)))
    mantissa = np.exp(log_value - exponent * np.log(10))
    return f"{np.exp(log_value):.4f}" if -3 < exponent < 4 else f"{mantissa:.2f}e{exponent:+03d}"


def half_life(rate):
    """Text of the steps after which a gradient that shrinks by `rate` per step has halved."""
    if rate >= 1:
        return "grows"
    return f"{np.log(0.5) / np.log(rate):.2f}" if rate > 0 else "0"
