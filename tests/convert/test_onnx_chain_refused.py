"""ONNX graphs that are no chains, each refused by the node's name; and damaged ones, each one sentence."""

import random
from pathlib import Path

import numpy as np
import pytest

import cgru
from cgru.convert.chains import NotAChain
from cgru.convert.onnx_chain import chain_from_onnx
from support.onnx_networks import Net
from support.peers import peer

DATA = Path(__file__).parent / "data"
FREE = {"x": [None, None, 3]}


@pytest.fixture
def net(rng):
    return Net(peer("onnx"), rng)


def gru(net, x="x", sizes=(3, 5)):
    return net.joined(net.recurrent(x, "gru", sizes)[0], sizes[1])


# ---- whole, but no chain


def conv(net):
    return gru(net, net.node("Transpose", net.node("Conv", net.node("Transpose", "x", perm=[1, 2, 0]),
                                                   net.number(3, 3, 2)), perm=[2, 0, 1]))  # fmt: skip


def layer_norm(net):
    return net.node("LayerNormalization", gru(net), net.number(5), net.number(5))


def attention(net):
    return net.node("Attention", *[gru(net)] * 3, domain="com.microsoft")


def embedding(net):
    return gru(net, net.node("Gather", net.number(9, 3), "x"))


def residual(net):
    y = gru(net)
    return net.node("MatMul", net.node("Add", y, gru(net, y, (5, 5))), net.number(5, 2))


def raw_branch(net):
    return net.node("Tanh", net.node("Add", "x", gru(net, sizes=(3, 3))))


def second_order(net):
    y = gru(net)
    return net.node("MatMul", y, net.node("Transpose", y, perm=[0, 2, 1]))


def mean_over_time(net):
    return net.node("ReduceMean", gru(net), axes=[0])


def some_features(net):
    return net.node("Slice", gru(net), net.ints(1), net.ints(3), net.ints(2))


def some_inputs(net):
    return gru(net, net.node("Slice", "x", net.ints(1), net.ints(3), net.ints(2)), (2, 5))


def first_step(net):
    return net.node("Gather", gru(net), net.constant(np.int64(0)), axis=0)


def softmax_over_time(net):
    return net.node("Softmax", gru(net), axis=0)


def square(net):
    y = net.dense("x", (3, 5), "plain")
    return net.node("Mul", y, y)


def hard_swish(net):
    return net.node("HardSwish", net.dense("x", (3, 5), "plain"))


def relu6(net):
    return net.node("Clip", net.dense("x", (3, 5), "plain"), net.constant(np.float32(0)), net.constant(np.float32(6)))


def rows_as_time(net):
    return gru(net, net.swapped(gru(net)), (5, 4))


def turned_output(net):
    return net.swapped(gru(net))


def one_direction(net):
    Y, _ = net.recurrent("x", "gru", (3, 5), direction="bidirectional")
    return net.node("Squeeze", net.node("Slice", Y, net.ints(1), net.ints(2), net.ints(1)), net.ints(1))


def cell_state(net):
    return net.node("MatMul", net.recurrent("x", "lstm", (3, 5))[2], net.number(5, 2))


def recurrent_behind_the_last_step(net):
    last = net.node("Unsqueeze", net.node("Gather", gru(net), net.constant(np.int64(-1)), axis=0), net.ints(0))
    return gru(net, last, (5, 4))


def two_layers_states(net):
    first, state = net.recurrent("x", "gru", (3, 5))
    _, other = net.recurrent(net.node("Squeeze", first, net.ints(1)), "gru", (5, 5))
    both = net.node("Concat", state, other, axis=0)
    return net.node("MatMul", net.node("Reshape", net.node("Transpose", both, perm=[1, 0, 2]), net.ints(-1, 10)),
                    net.number(10, 2))  # fmt: skip


def mixed_axes(net):
    return net.node("Reshape", gru(net), net.ints(0, 0, 4, -1))


def flat_output(net):
    return net.node("Reshape", gru(net), net.ints(-1, 5))


def other_matrix_each_step(net):
    return net.node("MatMul", gru(net), net.number(4, 5, 2))


def a_bias_for_each_step(net):
    return net.node("Add", gru(net), net.number(6, 1, 5))


def own_domain(net):
    return net.node("Tanh", gru(net), domain="someone.else")


REFUSED = {
    conv: (r"Conv node 'conv_\d+'", r"np\.lib\.stride_tricks\.sliding_window_view"),
    layer_norm: (r"LayerNormalization node 'layernormalization_\d+'", r"y\.mean\(-1, keepdims=True\)"),
    attention: (r"Attention node 'attention_\d+'", r"q @ k\.swapaxes"),
    embedding: (r"Gather node 'gather_\d+' looks its input up in a table", r"x = table\[tokens\]"),
    residual: (r"Add node 'add_\d+' puts two values together", r"y = a \+ b"),
    raw_branch: (r"Add node 'add_\d+' adds the network's input in the middle", r"y = a \+ b"),
    second_order: (r"MatMul node 'matmul_\d+' multiplies two values", "y = a @ b"),
    mean_over_time: (r"ReduceMean node 'reducemean_\d+'", r"y = y\.mean\(axis\)"),
    some_features: (r"Slice node 'slice_\d+' takes a part", r"y = y\[\.\.\., start:end\]"),
    some_inputs: (r"Slice node 'slice_\d+' takes a part of the input", "pass that part as x"),
    first_step: (r"Gather node 'gather_\d+' takes a part of the steps", "by hand"),
    softmax_over_time: (r"Softmax node 'softmax_\d+' goes over axis 0 of 3", r"np\.exp\(y - y\.max"),
    square: (r"Mul node 'mul_\d+'", r"y = a \* b"),
    hard_swish: (r"HardSwish node 'hardswish_\d+'", r"y \* np\.clip\(y / 6 \+ 0\.5, 0, 1\)"),
    relu6: (r"Clip node 'clip_\d+'", r"np\.clip\(y, low, high\)"),
    rows_as_time: (r"GRU node 'gru_\d+' runs over another axis", r"cgru\.from_onnx\(path, node=\.\.\.\)"),
    turned_output: ("the output y has its axes in another order than the input x", r"y\.swapaxes\(0, 1\)"),
    one_direction: (r"node '.*' takes some of the directions of GRU node", "by hand"),
    cell_state: (r"MatMul node 'matmul_\d+' computes with the cell state", "by hand"),
    recurrent_behind_the_last_step: ("a GRU behind what takes one step alone", "one step to run over"),
    two_layers_states: (r"MatMul node 'matmul_\d+' puts outputs of several recurrent nodes together", "by hand"),
    mixed_axes: (r"Reshape node 'reshape_\d+' gives the shape \(0, 0, 4, -1\)", r"y\.reshape"),
    flat_output: ("the output y joins axes to one", r"y\.reshape"),
    other_matrix_each_step: (r"MatMul node 'matmul_\d+' has a weight of shape \(4, 5, 2\)", "y = a @ b"),
    a_bias_for_each_step: (r"Add node 'add_\d+' has a constant of shape \(6, 1, 5\)", r"y = a \+ b"),
    own_domain: (r"Tanh node 'tanh_\d+' is of the domain 'someone.else'", "by hand"),
}


@pytest.mark.parametrize("make", REFUSED, ids=lambda make: make.__name__)
def test_no_chain(net, make):
    name, line = REFUSED[make]
    with pytest.raises(NotAChain, match=f"{name}.*{line}") as caught:
        chain_from_onnx(net.model(FREE, {"y": make(net)}))
    assert "\n" not in str(caught.value)


def test_the_file_is_named(net, tmp_path):
    (tmp_path / "model.onnx").write_bytes(net.model(FREE, {"y": layer_norm(net)}).SerializeToString())
    with pytest.raises(NotAChain, match=r"model\.onnx: LayerNormalization node"):
        cgru.Sequential.from_onnx(tmp_path / "model.onnx")


def test_without_any_layer(net):
    with pytest.raises(NotAChain, match="the outputs y do not depend on the inputs by any layer"):
        chain_from_onnx(net.model(FREE, {"y": "x"}))
    with pytest.raises(NotAChain, match="do not depend on the inputs"):
        chain_from_onnx(net.model(FREE, {"y": net.number(3)}))


def test_a_subgraph_is_no_layer(net):
    onnx = peer("onnx")
    branch = onnx.helper.make_graph([], "empty", [], [])
    y = net.node("If", net.constant(np.array(True)), then_branch=branch, else_branch=branch)
    with pytest.raises(NotAChain, match=r"If node 'if_\d+' runs a graph of its own"):
        chain_from_onnx(net.model(FREE, {"y": net.node("Add", gru(net), y)}))


def test_the_last_step_of_padded_rows(net):
    onnx = peer("onnx")
    y = net.joined(net.recurrent("x", "gru", (3, 5), lengths="n")[0], 5)
    model = net.model(FREE, {"y": net.node("Gather", y, net.constant(np.int64(-1)), axis=0)})
    model.graph.input.append(onnx.helper.make_tensor_value_info("n", onnx.TensorProto.INT32, [None]))
    with pytest.raises(NotAChain, match=r"Gather node .* has sequence_lens: in short rows that is padding"):
        chain_from_onnx(model)
    fixed = net.joined(net.recurrent("x", "gru", (3, 5), lengths=net.constant(np.array([3, 2], np.int32)))[0], 5)
    with pytest.raises(NotAChain, match=r"GRU node .* has sequence_lens that are no input"):
        chain_from_onnx(net.model(FREE, {"y": fixed}))


# ---- damaged


def circle(net):
    net.nodes.append(net.onnx.helper.make_node("Add", ["round", "x"], ["b"], name="a"))
    net.nodes.append(net.onnx.helper.make_node("Tanh", ["b"], ["round"], name="b"))
    return gru(net, "round")


def missing(net):
    return net.node("Add", gru(net), "nowhere")


def no_second_input(net):
    return net.node("MatMul", gru(net))


def empty_input(net):
    return net.node("MatMul", gru(net), "")


def wrong_matrix(net):
    return net.node("MatMul", gru(net), net.number(4, 2))


def wrong_bias(net):
    return net.node("Add", gru(net), net.number(4))


def wrong_gemm(net):
    return net.node("Gemm", gru(net), net.number(5, 2))


def wrong_width(net):
    return gru(net, gru(net), (4, 6))


def wrong_norm(net):
    turned = net.node("Transpose", gru(net), perm=[0, 2, 1])
    return net.node("BatchNormalization", turned, *(net.number(size) for size in (5, 5, 4, 5)))


def wrong_perm(net):
    return net.node("Transpose", gru(net), perm=[0, 1, 5])


def wrong_axis(net):
    return net.node("Squeeze", gru(net), net.ints(7))


def wrong_index(net):
    return net.node("Gather", gru(net), net.constant(np.int64(9)), axis=2)


def flat_recurrent(net):
    return net.recurrent(net.node("Reshape", "x", net.ints(-1, 3)), "gru", (3, 5))[0]


def by_zero(net):
    return net.node("Div", gru(net), net.constant(np.zeros(5, np.float32)))


def infinite(net):
    product = "x"
    for _ in range(80):      # 2**80 terms, were each written out
        product = net.node("Mul", product, product)
    return net.node("Tanh", product)


def bomb(net):
    return net.node("Add", gru(net), net.node("Add", net.number(9000, 1), net.number(1, 9000)))


DAMAGED = {
    circle: "depends on its own output", missing: r"Add node .* takes 'nowhere', which nothing in the model makes",
    no_second_input: "MatMul node .* has 1 inputs", empty_input: "MatMul node .* or one is missing",
    wrong_matrix: r"weight of shape \(4, 2\) for 5 features", wrong_bias: r"constant of shape \(4,\) for 5 features",
    wrong_gemm: "Gemm node .* of 3 and 2 axes", wrong_width: "GRU node .* takes 4 features.* gives 5",
    wrong_norm: "BatchNormalization node .* parameters of shapes", wrong_perm: r"perm \[0, 1, 5\]",
    wrong_axis: "names axis 7 of a value that has 3", wrong_index: "takes element 9",
    flat_recurrent: "GRU node .* value of 2 axes", by_zero: "Div node .*: it divides by 0",
    infinite: "Mul node", bomb: "too large",
}  # fmt: skip


@pytest.mark.parametrize("make", DAMAGED, ids=lambda make: make.__name__)
def test_damaged_graphs(net, make, tmp_path):
    model = net.model(FREE, {"y": make(net)})
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    for source in (model, path):
        with pytest.raises(ValueError, match=DAMAGED[make]) as caught:
            chain_from_onnx(source)
        assert "\n" not in str(caught.value)


def test_a_long_graph_is_read_quickly(net):
    y = "x"
    for _ in range(3000):
        y = net.node("Identity", net.node("Neg", y))
    chain = chain_from_onnx(net.model(FREE, {"y": net.dense(y, (3, 2), "plain")}))
    assert len(chain.layers) == 1


@pytest.mark.parametrize("seed", range(6))
def test_bytes_that_are_not_what_they_were(rng, tmp_path, seed):
    """Every damaged file is read, or refused in a ValueError that names it."""
    net = Net(peer("onnx"), np.random.default_rng(3))
    h = net.node("Div", net.node("Sub", "x", net.number(3)), net.number(3, low=0.5))
    h = net.joined(net.recurrent(net.swapped(h), "lstm", (3, 4), direction="bidirectional")[0], 8)
    h = net.dense(net.swapped(h), (8, 2), "gemm")
    h = net.node("Mul", h, net.node("Sigmoid", h))
    h = net.node("Add", h, net.node("Slice", "x", net.ints(0), net.ints(2), net.ints(2)))
    good = net.model(FREE, {"y": h}).SerializeToString()
    path, dice = tmp_path / "model.onnx", random.Random(seed)
    path.write_bytes(good)
    assert chain_from_onnx(path).skip
    refused = 0
    for _ in range(150):
        data = bytearray(good)
        for _ in range(dice.randint(1, 3)):
            place = dice.randrange(len(data))
            if dice.random() < 0.3:
                del data[place : place + dice.randint(1, 40)]
            else:
                data[place] = dice.randrange(256)
        path.write_bytes(bytes(data))
        try:
            chain_from_onnx(path)
        except ValueError as error:
            assert str(path) in str(error)
            refused += 1
    assert refused > 20


def rewired(onnx, model, dice):
    """A copy with some nodes that take other inputs, are other operators, or lack attributes."""
    copy = onnx.ModelProto.FromString(model.SerializeToString())
    nodes = copy.graph.node
    names = [*(name for node in nodes for name in node.output), "x"]
    names += [tensor.name for tensor in copy.graph.initializer]
    for _ in range(dice.randint(1, 4)):
        node, what = dice.choice(nodes), dice.randrange(5)
        if what == 0 and node.input:
            node.input[dice.randrange(len(node.input))] = dice.choice([*names, ""])
        elif what == 1:
            node.input.append(dice.choice(names))
        elif what == 2 and node.input:
            del node.input[dice.randrange(len(node.input))]
        elif what == 3:
            node.op_type = dice.choice(nodes).op_type
        else:
            del node.attribute[:]
    return copy


@pytest.mark.parametrize("name", ["gru", "bilstm", "bigru_last"])
def test_graphs_that_are_wired_otherwise(name):
    """Read, or refused in one sentence; never another error."""
    onnx = peer("onnx")
    model, dice = onnx.load(DATA / f"tf2onnx_{name}.onnx"), random.Random(14)
    refused = 0
    for _ in range(300):
        try:
            chain_from_onnx(rewired(onnx, model, dice))
        except ValueError as error:
            assert "\n" not in str(error)
            refused += 1
    assert refused > 100
