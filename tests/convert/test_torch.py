"""From PyTorch and back."""

import re
import traceback

import numpy as np
import pytest

import cgru
from support.models import random_sizes
from support.peers import assert_same, single


@pytest.fixture
def big(torch):
    """A module that holds two GRUs, a GRU cell and others."""
    torch.manual_seed(4)

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = torch.nn.Embedding(9, 3)
            self.encoder = torch.nn.Sequential(torch.nn.GRU(3, 5, batch_first=True), torch.nn.Linear(5, 2))
            self.decoder = torch.nn.GRU(3, 4, num_layers=2, bidirectional=True)
            self.cell = torch.nn.GRUCell(2, 6)
            self.memory = torch.nn.LSTM(3, 7)

    return Net()


def assert_computes(torch, ours, theirs, rng):
    """`ours` and a torch.nn.GRU give the same."""
    T, N, *_ = random_sizes(rng)
    x = single(rng.normal(size=(N, T, theirs.input_size) if theirs.batch_first else (T, N, theirs.input_size)))
    cells = theirs.num_layers * (1 + theirs.bidirectional)
    h_0 = single(rng.normal(size=(cells, N, theirs.hidden_size)))
    with torch.no_grad():
        expected = theirs(torch.from_numpy(x), torch.from_numpy(h_0))
    for got, wanted in zip(ours(x, h_0), expected, strict=True):
        assert_same(got, wanted)


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no_bias"])
@pytest.mark.parametrize("config", [(1, False, False), (2, True, True), (3, False, True)], ids=str)
def test_a_module_there_and_back(torch, rng, config, bias):
    num_layers, bidirectional, batch_first = config
    dropout = 0.5 if num_layers > 1 else 0.0
    theirs = torch.nn.GRU(4, 7, num_layers, bias, batch_first, dropout, bidirectional).eval()
    ours = cgru.from_torch(theirs)
    assert_computes(torch, ours, theirs, rng)
    back = ours.to_torch()
    assert repr(back) == repr(torch.nn.GRU(4, 7, num_layers, bias, batch_first, 0.0, bidirectional))
    assert_computes(torch, ours, back, rng)


def test_a_cell_is_a_step(torch, rng):
    for bias in (True, False):
        cell = torch.nn.GRUCell(3, 5, bias=bias)
        x, h = single(rng.normal(size=(4, 3))), single(rng.normal(size=(4, 5)))
        _, h_n = cgru.from_torch(cell)(x[None], h[None])
        assert_same(h_n[0], cell(torch.from_numpy(x), torch.from_numpy(h)).detach())


def test_float64_and_half_precision(torch, rng):
    theirs = torch.nn.GRU(3, 5, dtype=torch.float64)
    x = rng.normal(size=(4, 2, 3))
    ours = cgru.from_torch(theirs)
    assert ours.dtype == np.float64
    np.testing.assert_allclose(ours(x)[0], theirs(torch.from_numpy(x))[0].detach(), rtol=0, atol=1e-12)
    for dtype in (torch.float16, torch.bfloat16):
        half = torch.nn.GRU(3, 5).to(dtype)
        ours = cgru.from_torch(half)
        assert ours.dtype == np.float32
        assert_computes(torch, ours, half.float(), rng)
    assert cgru.from_torch(theirs, dtype="float32").dtype == np.float32


def test_one_of_several(torch, rng, big):
    assert_computes(torch, cgru.from_torch(big, prefix="encoder.0."), big.encoder[0], rng)
    assert_computes(torch, cgru.from_torch(big, prefix="decoder"), big.decoder, rng)
    assert_computes(torch, cgru.from_torch(big.state_dict(), prefix="decoder."), big.decoder, rng)
    assert cgru.from_torch(big, prefix="encoder.0").batch_first      # a module says it, a state dict does not
    assert not cgru.from_torch(big.state_dict(), prefix="encoder.0").batch_first
    assert cgru.from_torch(big.state_dict(), prefix="encoder.0", batch_first=True).batch_first
    assert cgru.from_torch(big, prefix="cell").hidden_size == 6
    assert cgru.from_torch(big.encoder, prefix="0").hidden_size == 5


def test_which_gru_is_meant_must_be_clear(torch, big):
    with pytest.raises(ValueError, match=r"several recurrent networks: 'encoder\.0\.', .*'memory\.'; choose one"):
        cgru.from_torch(big)
    with pytest.raises(ValueError, match=r"prefix='nowhere'.*'decoder\.'"):
        cgru.from_torch(big, prefix="nowhere")
    odd = {"a.weight_ih_l0": np.ones((10, 3)), "a.weight_hh_l0": np.ones((10, 5))}
    with pytest.raises(ValueError, match=r"'a\.' have 2 \* hidden_size rows, expected 3 .* 4 for an LSTM"):
        cgru.from_torch(odd)
    with pytest.raises(ValueError, match="nonlinearity='relu' is for an RNN; these are GRU weights"):
        cgru.from_torch(big.encoder[0], nonlinearity="relu")
    with pytest.raises(ValueError, match="no weight_ih_l0"):
        cgru.from_torch(torch.nn.Linear(3, 5))
    with pytest.raises(TypeError, match="int"):
        cgru.from_torch(3)


def test_a_state_dict_without_pytorch(rng):
    state = cgru.GRU(3, 5, rng=1).state_dict()
    x = single(rng.normal(size=(4, 2, 3)))
    assert_same(cgru.from_torch(state)(x)[0], cgru.GRU.from_state_dict(state)(x)[0], 0)


@pytest.mark.parametrize("kind", ["safetensors", "pt", "nested.pt", "legacy.pt"])
def test_files(torch, rng, big, tmp_path, kind):
    path = tmp_path / f"model.{kind}"
    if kind == "safetensors":
        save_file = pytest.importorskip("safetensors.torch").save_file
        save_file(big.state_dict() | {"cell.weight_hh": big.cell.weight_hh.detach().bfloat16()}, path)
    else:
        state = {"epoch": 3, "model": big.state_dict()} if kind == "nested.pt" else big.state_dict()
        torch.save(state, path, _use_new_zipfile_serialization=kind != "legacy.pt")
    above = "model." if kind == "nested.pt" else ""
    for given in (path, str(path)):
        assert_computes(torch, cgru.from_torch(given, prefix=f"{above}decoder."), big.decoder, rng)
    assert cgru.from_torch(path, prefix=f"{above}cell").input_size == 2
    with pytest.raises(ValueError, match=r"several recurrent networks: .*decoder\.'"):
        cgru.from_torch(path)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("inside", [False, True], ids=["alone", "in a checkpoint"])
def test_a_pickled_module_is_not_loaded(torch, tmp_path, inside, legacy):
    path = tmp_path / "module.pt"
    module = torch.nn.Sequential(torch.nn.GRU(3, 5), torch.nn.Linear(5, 2))
    torch.save({"model": module} if inside else module, path, _use_new_zipfile_serialization=not legacy)
    for door in (cgru.from_torch, cgru.load):
        with pytest.raises(ValueError) as caught:
            door(path)
        assert str(caught.value) == (
            f"{path} holds a pickled torch.nn.modules.container.Sequential, which cannot be read without running code; "
            "save the parameters alone instead: torch.save(model.state_dict(), path)"
        )
        shown = "".join(traceback.format_exception(caught.value))
        assert "weights_only" not in shown and "\x1b" not in shown      # nor PyTorch's words, as the cause


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_a_torchscript_program_is_not_loaded(torch, tmp_path):
    path = tmp_path / "program.pt"
    torch.jit.trace(torch.nn.Linear(3, 5), torch.ones(2, 3)).save(path)
    with pytest.raises(ValueError, match=r" holds a TorchScript program, .* torch\.save\(model\.state_dict\(\), "):
        cgru.from_torch(path)


def test_pytorch_s_own_words_come_whole_and_plain(torch, tmp_path):
    path = tmp_path / "module.pt"
    torch.save(torch.nn.GRU(3, 5).state_dict(), path)
    path.write_bytes(path.read_bytes()[:500])
    expected = rf"^{re.escape(str(path))} .*without running code: .*central directory\.$"
    with pytest.raises(ValueError, match=expected) as caught:
        cgru.from_torch(path)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "options",
    [{"reset_after": False}, {"activations": ("hard_sigmoid", "tanh")}, {"clip": 1.0}, {"reverse": True}],
    ids=str,
)
def test_what_pytorch_cannot_do_is_not_exported(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        cgru.GRU(3, 5, rng=1, **options).to_torch()


@pytest.mark.parametrize("kind", ["LSTM", "RNN"])
def test_an_lstm_or_rnn(torch, big, rng, kind):
    options = {"nonlinearity": "relu"} if kind == "RNN" else {}
    module = getattr(torch.nn, kind)(4, 6, 2, batch_first=True, bidirectional=True, **options)
    x = single(rng.normal(size=(3, 5, 4)))
    expected = module(torch.from_numpy(x))[0].detach().numpy()
    model = cgru.from_torch(module)
    assert type(model) is getattr(cgru, kind)
    assert_same(model(x)[0], expected)
    again = cgru.from_torch(module.state_dict(), batch_first=True, **options)
    assert_same(again(x)[0], expected)
    memory = cgru.from_torch(big, prefix="memory")
    assert type(memory) is cgru.LSTM and memory.hidden_size == 7
