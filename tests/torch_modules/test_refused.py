"""What cgru.torch's modules refuse, in words that say what to do."""

import subprocess
import sys

import numpy as np
import pytest

from support.peers import peer

peer("torch")

from support.torch_pairs import KINDS, inputs, pair  # noqa: E402

kinds = pytest.mark.parametrize("kind", KINDS)


@kinds
def test_dtypes(torch, room, kind):
    ours, _ = pair(room, kind)
    with pytest.raises(TypeError, match=r"input has dtype torch\.float64, the module torch\.float32: convert it"):
        ours(torch.zeros(4, 2, 3, dtype=torch.float64))
    for odd in (torch.long, torch.bfloat16, torch.complex64):
        with pytest.raises(TypeError, match="input has dtype"):
            ours(torch.zeros(4, 2, 3, dtype=odd))
    state = torch.zeros(1, 2, 5, dtype=torch.float64)
    with pytest.raises(TypeError, match=r"(hx|c_0) has dtype"):
        ours(torch.zeros(4, 2, 3), (torch.zeros(1, 2, 5), state) if kind == "LSTM" else state)
    for half in (ours.half(), ours.bfloat16()):
        with pytest.raises(TypeError, match=r"trains in float32 or float64: use \.float\(\).*autocast.*restore"):
            half(torch.zeros(4, 2, 3, dtype=half.weight_ih_l0.dtype))
    assert ours.float()(torch.zeros(4, 2, 3))[0].shape == (4, 2, 5)


@kinds
def test_one_parameter_of_another_dtype(torch, room, kind):
    ours, _ = pair(room, kind)
    ours.weight_hh_l0 = torch.nn.Parameter(ours.weight_hh_l0.detach().double())
    with pytest.raises(TypeError, match=r"weight_hh_l0 has dtype torch\.float64, the module torch\.float32"):
        ours(torch.zeros(4, 2, 3))


@kinds
def test_devices(torch, room, kind):
    ours, _ = pair(room, kind)
    with pytest.raises(ValueError, match=r"input is on meta, and cgru computes on the CPU: move it with \.cpu\(\)"):
        ours(torch.zeros(4, 2, 3, device="meta"))
    moved = ours.to("meta")
    with pytest.raises(ValueError, match=r"weight_ih_l0 is on meta, .*restore\(model\) gives PyTorch's own"):
        moved(torch.zeros(4, 2, 3))
    back = moved.to_empty(device="cpu")
    back.reset_parameters()
    assert back(torch.zeros(4, 2, 3))[0].shape == (4, 2, 5)


@kinds
def test_layouts(torch, room, kind):
    ours, _ = pair(room, kind)
    with pytest.raises(TypeError, match=r"input has layout torch\.sparse_coo, expected a dense tensor; use"):
        ours(torch.ones(4, 2, 3).to_sparse())


@kinds
def test_views_of_any_kind_are_taken(torch, room, kind):
    ours, theirs = pair(room, kind)
    base = torch.randn(4, 2, 6, dtype=torch.complex64)
    for x in (base.conj().imag[..., ::2], torch.randn(3, 2, 4).transpose(0, 2), torch.randn(1, 2, 3).expand(4, 2, 3)):
        torch.testing.assert_close(ours(x), theirs(x), rtol=0, atol=1e-5)
        with torch.no_grad():
            torch.testing.assert_close(ours(x), theirs(x), rtol=0, atol=1e-5)


@kinds
def test_shapes(torch, room, kind):
    ours, _ = pair(room, kind, num_layers=2, dropout=0.5)
    for module in (ours, ours.eval()):
        with pytest.raises(ValueError, match="input_size=3"):
            module(torch.zeros(4, 2, 2))
        with pytest.raises(ValueError, match=r"has 1 dimensions|input_size=3"):
            module(torch.zeros(4))
    state = torch.zeros(2, 3, 5)
    with pytest.raises(ValueError, match=r"(hx|h_0) has shape \(2, 3, 5\), expected \(2, 2, 5\)"):
        ours(torch.zeros(4, 2, 3), (state, state) if kind == "LSTM" else state)
    more, drawn = torch.zeros(5, 2, 5), torch.get_rng_state()
    for module in (ours, ours.train()):         # with dropout layer by layer, but not before all is known to fit
        with pytest.raises(ValueError, match=r"(hx|h_0) has shape \(5, 2, 5\), expected"):
            module(torch.zeros(4, 2, 3), (more, more) if kind == "LSTM" else more)
    assert torch.equal(torch.get_rng_state(), drawn)
    ours.weight_hh_l1 = torch.nn.Parameter(torch.zeros(2, 5))
    with pytest.raises(ValueError, match=r"weight_hh_l1 has shape \(2, 5\), expected \(\d+, 5\)"):
        ours(torch.zeros(4, 2, 3))


@kinds
def test_no_tensors(torch, room, kind):
    ours, _ = pair(room, kind)
    with pytest.raises(TypeError, match="input must be a tensor; got ndarray"):
        ours(np.zeros((4, 2, 3), np.float32))
    with pytest.raises(TypeError, match="input must be a tensor; got NoneType"):
        ours(None)
    ours.bias_hh_l0 = None
    with pytest.raises(TypeError, match="bias_hh_l0 must be a tensor; got NoneType"):
        ours(torch.zeros(4, 2, 3))


def test_a_state_that_is_no_pair(torch, room):
    with pytest.raises(TypeError, match=r"hx must be a pair \(h_0, c_0\); got Tensor"):
        room.LSTM(3, 5)(torch.zeros(4, 2, 3), torch.zeros(1, 2, 5))
    with pytest.raises(TypeError, match="hx must be a tensor; got tuple"):
        room.GRU(3, 5)(torch.zeros(4, 2, 3), (torch.zeros(1, 2, 5), torch.zeros(1, 2, 5)))


@kinds
def test_packed_sequences(torch, room, kind):
    ours, _ = pair(room, kind)
    rnn = torch.nn.utils.rnn
    packed = rnn.pack_sequence([torch.zeros(4, 3), torch.zeros(2, 3)])
    with pytest.raises(ValueError, match="lengths cannot be given beside a PackedSequence, which holds its own"):
        ours(packed, lengths=[4, 2])
    with pytest.raises(ValueError, match=r"no valid PackedSequence: batch_sizes \[2, 2\] do not fit data of shape"):
        ours(rnn.PackedSequence(torch.zeros(5, 3), torch.tensor([2, 2])))
    with pytest.raises(TypeError, match=r"input has dtype torch\.float64"):
        ours(packed.double())
    with pytest.raises(ValueError, match="input_size=3"):
        ours(rnn.pack_sequence([torch.zeros(4, 2), torch.zeros(2, 2)]))


@kinds
def test_lengths(torch, room, kind):
    ours, _ = pair(room, kind)
    for wrong, said in (([4, 9], r"lengths\[1\] is 9"), ([4], "shape"), ([4, -1], r"lengths\[1\] is -1")):
        with pytest.raises(ValueError, match=said):
            ours(torch.zeros(4, 2, 3), lengths=wrong)


def test_flags_are_flags_whoever_asked_before(torch, room):
    room.GRU(3, 5, bidirectional=True)
    with pytest.raises(TypeError, match="bidirectional must be True or False; got 1"):
        room.GRU(3, 5, bidirectional=1)


def test_projections(torch, room):
    with pytest.raises(ValueError, match=r"proj_size must be 0 here; got 2: .*use torch\.nn\.LSTM"):
        room.LSTM(3, 5, proj_size=2)
    with pytest.raises(ValueError, match="proj_size argument is only supported for LSTM"):
        room.RNN(3, 5, proj_size=2)
    assert room.LSTM(3, 5, proj_size=0).proj_size == 0


@pytest.mark.filterwarnings("ignore")         # tracing has warnings of its own
def test_torch_jit_trace(torch, room):
    """Its results would be constants."""
    ours, _ = pair(room, "GRU")
    x, _ = inputs(ours)
    with pytest.raises(RuntimeError, match=r"trace the model behind cgru\.torch\.restore\(model\)"):
        torch.jit.trace(ours, x.detach())
    room.restore(ours)
    torch.testing.assert_close(torch.jit.trace(ours, x.detach())(x)[0], ours(x)[0])


def test_cgru_does_not_import_torch():
    code = "import sys, cgru; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-P", "-c", code], check=True)


def test_without_torch_the_error_says_what_to_install():
    code = (
        "import sys; sys.modules['torch'] = None\nimport cgru\n"
        "try: import cgru.torch\nexcept ImportError as error: print(error)"
    )
    run = subprocess.run([sys.executable, "-P", "-c", code], check=True, capture_output=True, text=True)
    assert "pip install torch" in run.stdout
