"""The time of a block of silence from states of every size, in turns, and of single steps.

Blocks are timed by the thread's own clock: with subnormal numbers one is as long as a slice of the scheduler's.
"""

import contextlib
import pickle
import time

import numpy as np

import cgru
from bench.common import cbuild
from bench.silence import contestants, fate, models
from bench.silence.settings import BLOCK, LEVELS, RATE

ROUNDS = 40
TOLERANCE = 2e-6  # of y, absolute


# ---- levels


def levels(cases, rounds=ROUNDS):
    """Time blocks of every case at every level.

    Parameters
    ----------
    cases : dict of str to (contestant, dict of str to state)
    rounds : int

    Returns
    -------
    dict of str to dict
        Of each case, by level, ``median`` and ``max``, nanoseconds a step, over the rounds.
    """
    turns = [(case, level) for case, (_, states) in cases.items() for level in states]
    samples = {turn: [] for turn in turns}
    order = np.random.default_rng(0)
    for _ in range(rounds):
        for at in order.permutation(len(turns)):
            case, level = turns[at]
            contestant, states = cases[case]
            contestant.at(states[level])
            start = time.thread_time_ns()
            contestant.run()
            samples[case, level].append((time.thread_time_ns() - start) / BLOCK)
    found = {case: {} for case in cases}
    for (case, level), values in samples.items():
        found[case][level] = {"median": float(np.median(values)), "max": max(values)}
    return found


def states(model, direction, end):
    """By level the state with which a block begins; and where it ended, if that is not zero."""
    found = {level: models.scaled(direction, value) for level, value in LEVELS[model.dtype.name].items()}
    return found | ({"where it ended": end} if models.largest(end) else {})


def layer_cases(kinds, isas, say):
    """Layers of each kind, weights and instruction set, and the peers; and what becomes of each state."""
    cases, fates = {}, {}
    for kind in kinds:
        base = models.remembering(kind)
        for weight_dtype in ("float32", "bfloat16", "int8"):
            model = models.with_weights(base, weight_dtype)
            name = f"{kind}, {weight_dtype}"
            fates[name], direction, end = fate.decay(model, 60.0)
            at = states(model, direction, end)
            for isa, again in on_each(model, isas).items():
                cases[f"{name}, cgru packed, {isa}"] = contestants.Stream(again), at
            others = {"exported C": contestants.ExportedC}
            if weight_dtype == "float32":
                cases[f"{name}, cgru blas"] = contestants.Stream(on_blas(model)), at
                others |= {"PyTorch": contestants.Torch, "ONNX Runtime": contestants.OnnxRuntime}
            for who, contestant in others.items():
                with left_out(f"{name}, {who}", say):
                    cases[f"{name}, {who}"] = contestant(model), at
                    check(f"{name}, {who}", cases[f"{name}, {who}"][0], model, at["signal"])
        double = base.astype(np.float64)
        fates[f"{kind}, float64"], direction, end = fate.decay(double, 60.0)
        cases[f"{kind}, float64, cgru blas"] = contestants.Stream(double), states(double, direction, end)
    return cases, fates


def input_cases():
    """Layers with biases, whose state is of ordinary size, and x: zeros, or subnormal."""
    cases = {}
    for inputs, H in ((1, 40), (40, 128)):
        model = cgru.GRU(inputs, H, rng=np.random.default_rng(0))
        state = model(np.ones((50, inputs)))[1]
        for x in (0.0, 1e-40):
            cases[f"GRU({inputs}, {H}) with biases, x of {x:g}"] = contestants.Stream(model, x), {"signal": state}
    return cases


def check(name, contestant, model, state):
    """SystemExit where its y is not the model's, from a state of ordinary size."""
    contestant.at(state)
    expected = contestants.Stream(model)
    expected.at(state)
    error = float(np.abs(contestant.run() - expected.run()).max())
    if not error <= TOLERANCE:
        raise SystemExit(f"{name}: differs from cgru by {error:.1e}")


def on_each(model, isas):
    """By instruction set the model, built anew for it."""
    built = {}
    for isa in isas:
        with cgru.engines.using(isa):
            built[isa] = pickle.loads(pickle.dumps(model))
    return built


def on_blas(model):
    """A layer on the other engine."""
    options = {"nonlinearity": model.nonlinearity} if isinstance(model, cgru.RNN) else {}
    return type(model).from_state_dict(model.state_dict(), engine="blas", **options)


@contextlib.contextmanager
def left_out(name, say):
    """Inside, who is absent is told of, and is no error."""
    try:
        yield
    except (ImportError, cbuild.NoCompiler) as error:
        say(f"{name} is absent: {error}")


# ---- a network, block by block and step by step


def after_sound(net, seconds=0.5, times=7):
    """Blocks of silence after a burst of sound, each the shortest of so many runs.

    Returns
    -------
    dict
        ``sound``: the median block of sound, nanoseconds a step; ``longest``: of silence; ``slow``: how many seconds
        of silence were in blocks of over three times `sound`; ``over_real_time``: in blocks slower than real time.
    """
    sound = fate.burst()
    blocks = len(sound) // BLOCK, int(seconds * RATE) // BLOCK
    x = np.concatenate([sound[: blocks[0] * BLOCK], np.zeros((blocks[1] * BLOCK, 1), np.float32)])
    least, y = np.full(sum(blocks), np.inf), np.empty((BLOCK, 1), np.float32)
    for _ in range(times):
        stream = net.stream()
        for at in range(len(least)):
            block = x[at * BLOCK : (at + 1) * BLOCK]
            start = time.thread_time_ns()
            stream.run(block, out=y)
            least[at] = min(least[at], (time.thread_time_ns() - start) / BLOCK)
    usual, silence = float(np.median(least[: blocks[0]])), least[blocks[0] :]
    return {
        "sound": usual, "longest": float(silence.max()),
        "slow": int((silence > 3 * usual).sum()) * BLOCK / RATE,
        "over_real_time": int((silence > 1e9 / RATE).sum()) * BLOCK / RATE,
        "of": blocks[1] * BLOCK / RATE,
    }  # fmt: skip


def single_steps(model, states, count=3000):
    """Steps one by one, the levels in turns, nanoseconds with the clock: median, p99 and max."""
    stream, x, y = model.stream(), np.zeros(model.input_size, np.float32), np.empty(model.output_size, np.float32)
    samples = {level: [] for level in states}
    for _ in range(count // BLOCK):
        for level, state in states.items():
            stream.state = state
            for _ in range(BLOCK):
                start = time.perf_counter_ns()
                stream.step(x, out=y)
                samples[level].append(time.perf_counter_ns() - start)
    return {
        level: {"median": float(np.median(values)), "p99": float(np.percentile(values, 99)), "max": max(values)}
        for level, values in samples.items()
    }
