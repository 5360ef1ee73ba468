"""torch.compile over cgru.torch's modules: a break of the graph, or whole where PyTorch is told to take them."""

import pytest

from support.peers import peer

peer("torch")

from support.torch_pairs import KINDS, assert_same, inputs, outcome, pair  # noqa: E402

kinds = pytest.mark.parametrize("kind", KINDS)
gated = pytest.mark.parametrize("kind", ["GRU", "LSTM"])
pytestmark = pytest.mark.filterwarnings("ignore")       # PyTorch's compiler has warnings of its own


@pytest.fixture
def compiler(torch):
    """PyTorch's compiler, without anything of an earlier test."""
    import torch._dynamo

    torch._dynamo.reset()
    yield torch._dynamo
    torch._dynamo.reset()


def model_of(torch, module):
    """A module inside a model, as a function of x and hx."""
    def run(x, hx=None):
        y, final = module(torch.tanh(x), hx)
        if isinstance(y, torch.nn.utils.rnn.PackedSequence):
            return y.data * 2, final
        if y.dtype == torch.float64:        # else an LSTM's may not be changed, see docs/training.md
            y += 1
        return y * 2, final

    return run


@kinds
@pytest.mark.parametrize("whole", [False, True], ids=["break", "whole"])
@pytest.mark.parametrize("options", [
    {}, {"num_layers": 2, "bias": False}, {"num_layers": 2, "bidirectional": True, "batch_first": True},
], ids=["one", "two", "all"])  # fmt: skip
def test_compiled_is_eager(torch, room, compiler, kind, whole, options):
    ours, theirs = pair(room, kind, dtype=torch.float64, **options)
    x, hx = inputs(ours)
    with compiler.config.patch(allow_rnn=whole):
        run = torch.compile(model_of(torch, ours), backend="aot_eager", fullgraph=whole)
        for state in (hx, None):
            expected = outcome(theirs, x, state, call=model_of(torch, theirs))
            assert_same(outcome(ours, x, state, call=run), expected)
        with torch.no_grad():
            torch.testing.assert_close(run(x, hx)[0], model_of(torch, theirs)(x, hx)[0], rtol=0, atol=1e-12)
        with torch.no_grad():           # parameters are no constants
            ours.weight_hh_l0.mul_(2)
            theirs.weight_hh_l0.mul_(2)
        assert_same(outcome(ours, x, hx, call=run), outcome(theirs, x, hx, call=model_of(torch, theirs)))


@gated
@pytest.mark.parametrize("whole", [False, True], ids=["break", "whole"])
def test_dropout(torch, room, compiler, kind, whole):
    ours, theirs = pair(room, kind, num_layers=3, dropout=0.3, dtype=torch.float64)
    x, hx = inputs(ours)
    with compiler.config.patch(allow_rnn=whole):
        run = torch.compile(model_of(torch, ours), backend="eager", fullgraph=whole)
        assert_same(outcome(ours, x, hx, call=run), outcome(theirs, x, hx, call=model_of(torch, theirs)))
        ours.eval(), theirs.eval()
        assert_same(outcome(ours, x, hx, call=run), outcome(theirs, x, hx, call=model_of(torch, theirs)))


@gated
@pytest.mark.parametrize("allowed", [False, True])
def test_rows_of_different_lengths_break_the_graph(torch, room, compiler, kind, allowed):
    ours, theirs = pair(room, kind, num_layers=2, dtype=torch.float64)
    x, _ = inputs(ours)
    rnn = torch.nn.utils.rnn
    with compiler.config.patch(allow_rnn=allowed):
        run = torch.compile(ours, backend="aot_eager")
        packed = rnn.pack_padded_sequence(x.detach(), torch.tensor([5, 2, 7, 5]), enforce_sorted=False)
        torch.testing.assert_close(run(packed)[0].data, theirs(packed)[0].data, rtol=0, atol=1e-12)
        y, _ = run(x, lengths=[5, 2, 7, 5])
        torch.testing.assert_close(y, ours(x, lengths=[5, 2, 7, 5])[0], rtol=0, atol=0)


@gated
@pytest.mark.parametrize("whole", [False, True], ids=["break", "whole"])
def test_unbatched_and_frozen(torch, room, compiler, kind, whole):
    ours, theirs = pair(room, kind, dtype=torch.float64, bidirectional=True)
    for module in (ours, theirs):
        module.weight_ih_l0.requires_grad_(False)
    x, hx = inputs(ours, batched=False)
    with compiler.config.patch(allow_rnn=whole):
        run = torch.compile(model_of(torch, ours), backend="aot_eager", fullgraph=whole)
        for given in (x, x.detach()):
            assert_same(outcome(ours, given, hx, call=run), outcome(theirs, given, hx, call=model_of(torch, theirs)))


def test_inductor(torch, room, compiler):
    """PyTorch's own backend, where there is a compiler for it."""
    import shutil

    if shutil.which("g++") is None and shutil.which("clang++") is None:
        pytest.skip("PyTorch's backend needs a C++ compiler")
    ours, theirs = pair(room, "LSTM", num_layers=2, dtype=torch.float64)
    x, hx = inputs(ours)
    with compiler.config.patch(allow_rnn=True):
        run = torch.compile(model_of(torch, ours), fullgraph=True)
        assert_same(outcome(ours, x, hx, call=run), outcome(theirs, x, hx, call=model_of(torch, theirs)))


@kinds
def test_operators(torch, room, kind):
    """What is declared to PyTorch of the operators is what they do."""
    from cgru.torch import compiled

    ours, _ = pair(room, kind, num_layers=2, bidirectional=True, dtype=torch.float64)
    x, hx = inputs(ours)
    states = list(hx) if isinstance(hx, tuple) else [hx]
    numbers = ours.kind, 2, True, True, ours.nonlinearity or ""
    for given in (states, []):
        arguments = x, given, list(ours.parameters()), *numbers, True
        torch.library.opcheck(compiled.forward_operator, arguments, test_utils=(
            "test_schema", "test_autograd_registration", "test_faketensor",
        ))  # fmt: skip
