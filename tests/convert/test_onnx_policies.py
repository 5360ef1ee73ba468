"""Policies with named states: obs, h_in[, c_in] -> actions, h_out[, c_out], called once for each observation."""

import numpy as np
import pytest

import cgru
from cgru.convert.chains import NotAChain
from cgru.convert.onnx_chain import chain_from_onnx
from support.onnx_networks import Net, run
from support.peers import assert_same, peer, single

TOLERANCE = 1e-5
I, H, A, L, N, T = 4, 6, 3, 2, 5, 7  # noqa: E741


def follow(model, ours, rng, names, count=1, rank=2):
    """Both, one observation after the other: the same actions and states."""
    x = single(rng.normal(size=(T, N, I)))
    states = [single(rng.uniform(-1, 1, (L, N, H))) for _ in names]
    hx = tuple(states) if len(states) > 1 else states[0]
    stream = ours.stream(N, hx=(hx,))
    y, final = ours(x, (hx,))
    for t in range(T):
        obs = x[t] if rank == 2 else x[t : t + 1]
        actions, *states = run(model, obs=obs, **dict(zip(names, states, strict=True)))
        assert_same(stream.step(x[t]), actions.reshape(N, A), TOLERANCE)
        assert_same(y[t], actions.reshape(N, A), TOLERANCE)
    final = final[0] if isinstance(final[0], tuple) else (final[0],)
    for got, wanted in zip(final, states, strict=True):
        assert_same(got, wanted, TOLERANCE)


@pytest.mark.parametrize("kind", ["gru", "lstm"])
@pytest.mark.parametrize("rank", [2, 3], ids=["(N, I)", "(1, N, I)"])
def test_layers_whose_states_are_rows_of_one_input(rng, kind, rank):
    net = Net(peer("onnx"), rng)
    names = ["h_in", "c_in"][: 1 + (kind == "lstm")]
    h = net.node("Div", net.node("Sub", "obs", net.number(I)), net.number(I, low=0.5, high=2.0))
    h = net.node("Unsqueeze", h, net.ints(0)) if rank == 2 else h
    ends = [[] for _ in names]
    for k in range(L):
        rows = [net.node("Slice", name, net.ints(k), net.ints(k + 1), net.ints(0)) for name in names]
        Y, *finals = net.recurrent(h, kind, (H if k else I, H), states=rows)
        h = net.node("Squeeze", Y, net.ints(1))
        for end, final in zip(ends, finals, strict=True):
            end.append(final)
    h = net.node("Squeeze", h, net.ints(0)) if rank == 2 else h
    h = net.node("Elu", net.dense(h, (H, 8), "plain"))
    outs = {name.replace("in", "out"): net.node("Concat", *end, axis=0) for name, end in zip(names, ends, strict=True)}
    sizes = [None, I] if rank == 2 else [1, None, I]
    model = net.model(
        {"obs": sizes} | {name: [L, None, H] for name in names},
        {"actions": net.node("Tanh", net.dense(h, (8, A), "plain"))} | outs,
    )
    ours = cgru.Sequential.from_onnx(model)
    assert [layer.config.kind for layer in ours.chain.layers] == ["linear", kind, "linear", "linear"]
    assert ours.layers[1].num_layers == L and not ours.batch_first
    follow(model, ours, rng, names, rank=rank)


def test_layers_with_inputs_of_their_own_stay_apart(rng):
    net = Net(peer("onnx"), rng)
    h, outs = net.node("Unsqueeze", "obs", net.ints(0)), {}
    for k in range(L):
        Y, outs[f"h{k}_out"] = net.recurrent(h, "gru", (H if k else I, H), states=[f"h{k}_in"])
        h = net.node("Squeeze", Y, net.ints(1))
    actions = net.dense(net.node("Squeeze", h, net.ints(0)), (H, A), "no bias")
    inputs = {"obs": [None, I]} | {f"h{k}_in": [1, None, H] for k in range(L)}
    model = net.model(inputs, {"actions": actions} | outs)
    ours = cgru.Sequential.from_onnx(model)
    assert [layer.num_layers for layer in ours.layers[:2]] == [1, 1]
    x, states = single(rng.normal(size=(N, I))), [single(rng.uniform(-1, 1, (1, N, H))) for _ in range(L)]
    expected = run(model, obs=x, **{f"h{k}_in": state for k, state in enumerate(states)})
    y, final = ours(x[None], tuple(states))
    assert_same(y[0], expected[0], TOLERANCE)
    for got, wanted in zip(final, expected[1:], strict=True):
        assert_same(got, wanted, TOLERANCE)


def test_both_states_in_one_input(rng):
    """h and c as the two rows of one."""
    net = Net(peer("onnx"), rng)
    rows = [net.node("Unsqueeze", net.node("Gather", "state", net.constant(np.int64(k)), axis=0), net.ints(0))
            for k in range(2)]  # fmt: skip
    Y, Y_h, Y_c = net.recurrent("obs", "lstm", (I, H), states=rows)
    out = net.node("Sigmoid", net.dense(net.node("Squeeze", Y, net.ints(1)), (H, A), "plain"))
    model = net.model(
        {"obs": [None, None, I], "state": [2, None, H]}, {"y": out, "state_out": net.node("Concat", Y_h, Y_c, axis=0)}
    )
    x, state = single(rng.normal(size=(T, N, I))), single(rng.uniform(-1, 1, (2, N, H)))
    expected, ends = run(model, obs=x, state=state)
    y, final = cgru.Sequential.from_onnx(model)(x, ((state[:1], state[1:]),))
    assert_same(y, expected, TOLERANCE)
    assert_same(np.concatenate(final[0]), ends, TOLERANCE)


@pytest.mark.filterwarnings("ignore")      # the exporter's
@pytest.mark.parametrize("kind", ["GRU", "LSTM"])
def test_a_policy_that_pytorch_exports(torch, rng, tmp_path, kind):
    """As robots' policies are exported: normaliser, recurrent network, MLP with ELU, one step at a time."""
    onnx = peer("onnx")

    class Policy(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("mean", torch.randn(I))
            self.register_buffer("std", torch.rand(I) + 0.5)
            self.rnn = getattr(torch.nn, kind)(I, H, L)
            self.actor = torch.nn.Sequential(torch.nn.Linear(H, 8), torch.nn.ELU(), torch.nn.Linear(8, A))

        def forward(self, obs, h_in, c_in=None):
            hx = h_in if c_in is None else (h_in, c_in)
            y, hx = self.rnn(((obs - self.mean) / self.std).unsqueeze(0), hx)
            return self.actor(y.squeeze(0)), *(hx if isinstance(hx, tuple) else (hx,))

    names = ["h_in", "c_in"][: 1 + (kind == "LSTM")]
    policy = Policy().eval()
    torch.onnx.export(
        policy, (torch.zeros(1, I), *(torch.zeros(L, 1, H) for _ in names)), tmp_path / "policy.onnx", dynamo=False,
        input_names=["obs", *names], output_names=["actions", *(name.replace("in", "out") for name in names)],
        dynamic_axes={"obs": {0: "n"}} | {name: {1: "n"} for name in names},
    )  # fmt: skip
    ours = cgru.Sequential.from_onnx(tmp_path / "policy.onnx")
    assert [type(layer).__name__ for layer in ours.layers] == ["Linear", kind, "Linear", "Linear"]
    follow(onnx.load(tmp_path / "policy.onnx"), ours, rng, names)


def test_a_state_that_is_y_over_one_step(rng):
    net = Net(peer("onnx"), rng)
    Y, _ = net.recurrent(net.node("Unsqueeze", "obs", net.ints(0)), "gru", (I, H), states=["h_in"])
    h = net.node("Squeeze", Y, net.ints(0))
    actions = net.dense(net.node("Squeeze", h, net.ints(0)), (H, A), "plain")
    model = net.model({"obs": [None, I], "h_in": [1, None, H]}, {"actions": actions, "h_out": h})
    x, state = single(rng.normal(size=(N, I))), single(rng.uniform(-1, 1, (1, N, H)))
    expected, end = run(model, obs=x, h_in=state)
    y, (final,) = cgru.Sequential.from_onnx(model)(x[None], (state,))
    assert_same(y[0], expected, TOLERANCE)
    assert_same(final, end, TOLERANCE)


# ---- what is refused


def refused(net, states):
    inputs = {"obs": [None, None, I], "h_in": [1, None, H], "start": [None, 1]}
    Y = net.recurrent("obs", "gru", (I, H), states=[states])[0]
    return net.model(inputs, {"actions": net.dense(net.node("Squeeze", Y, net.ints(1)), (H, A), "plain")})


def test_a_state_that_the_network_computes(rng):
    net = Net(peer("onnx"), rng)
    masked = net.node("Mul", "h_in", "start")
    with pytest.raises(NotAChain, match=r"Mul node 'mul_\d+' puts two values together .*y = a \* b"):
        chain_from_onnx(refused(net, masked))
    net = Net(peer("onnx"), rng)
    computed = net.node("MatMul", "h_in", net.number(H, H))
    with pytest.raises(NotAChain, match=r"GRU node 'gru_\d+' has an initial state that the network computes.*hx"):
        chain_from_onnx(refused(net, computed))


def test_a_state_from_the_steps_themselves(rng):
    net = Net(peer("onnx"), rng)
    first = net.node("Slice", "obs", net.ints(0), net.ints(1), net.ints(0))
    Y = net.recurrent("obs", "gru", (H, H), states=[first])[0]
    with pytest.raises(NotAChain, match="initial state that comes from the same input as its steps"):
        chain_from_onnx(net.model({"obs": [None, None, H]}, {"y": net.node("Squeeze", Y, net.ints(1))}))


def test_several_outputs(rng):
    """A value beside the actions is another network."""
    net = Net(peer("onnx"), rng)
    h = net.node("Squeeze", net.recurrent("obs", "gru", (I, H))[0], net.ints(1))
    outputs = {"actions": net.dense(h, (H, A), "plain"), "value": net.dense(h, (H, 1), "plain")}
    with pytest.raises(NotAChain, match="several outputs, actions, value, and a chain has one"):
        chain_from_onnx(net.model({"obs": [None, None, I]}, outputs))
    with pytest.raises(NotAChain, match="several outputs, actions, y, "):      # all steps, which are no state
        chain_from_onnx(net.model({"obs": [None, None, I]}, {"actions": outputs["actions"], "y": h}))


def test_two_observations(rng):
    net = Net(peer("onnx"), rng)
    h = net.node("Concat", "obs", "image", axis=-1)
    y = net.node("Squeeze", net.recurrent(h, "gru", (2 * I, H))[0], net.ints(1))
    with pytest.raises(NotAChain, match=r"Concat node 'concat_0' joins several values.*np\.concatenate"):
        chain_from_onnx(net.model({"obs": [None, None, I], "image": [None, None, I]}, {"y": y}))
