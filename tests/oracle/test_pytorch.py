"""The oracle against PyTorch in float64: nn.GRU, nn.RNN and nn.LSTM over the whole grid of configurations."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from golden import golden_cases
from support import reference
from support.compare import assert_close
from support.models import configurations, pack, random_lengths, random_sizes, random_state
from support.peers import torch_arrays, torch_network

TOLERANCE = 2e-14


FORMS = configurations(layout="one layer", in_pytorch=True)
forms = pytest.mark.parametrize("form", FORMS, ids=str)


def run_reference(form, x, state, hx, lengths=None, batch_first=False):
    """The same from the oracle."""
    run = getattr(reference, form.kind)
    return run(x, state, hx, lengths, batch_first=batch_first, **form.options)


@forms
@pytest.mark.parametrize("num_layers", [1, 2, 3])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "bidirectional"])
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no_bias"])
@pytest.mark.parametrize("with_lengths", [False, True], ids=["full", "lengths"])
def test_same_as_pytorch(torch, rng, form, num_layers, bidirectional, bias, with_lengths):
    config = {"num_layers": num_layers, "bidirectional": bidirectional, "bias": bias}
    for batch_first in (False, True):
        for with_start in (False, True):
            T, N, input_size, H = random_sizes(rng)
            state = random_state(rng, input_size, H, kind=form.kind, **config)
            x = rng.normal(size=(N, T, input_size) if batch_first else (T, N, input_size))
            shape = (num_layers * (1 + bidirectional), N, H)
            hx = pack([rng.normal(size=shape) for _ in form.cell.states]) if with_start else None
            lengths = random_lengths(rng, T, N) if with_lengths else None
            network = torch_network(torch, form, state, batch_first=batch_first)
            expected = torch_arrays(torch, network, x, hx, lengths)
            assert_close(run_reference(form, x, state, hx, lengths, batch_first), expected, TOLERANCE)


@forms
def test_same_as_pytorch_without_a_batch(torch, rng, form):
    T, _, input_size, H = random_sizes(rng)
    state = random_state(rng, input_size, H, kind=form.kind, num_layers=2, bidirectional=True)
    x = rng.normal(size=(T, input_size))
    hx = pack([rng.normal(size=(4, H)) for _ in form.cell.states])
    expected = torch_arrays(torch, torch_network(torch, form, state), x, hx)
    assert_close(run_reference(form, x, state, hx), expected, TOLERANCE)


def test_same_as_pytorch_at_the_contract_s_size(torch, rng):
    """T = 100 and H, I of some hundreds: rounding does not add up over the steps."""
    T, N, input_size, H = 100, 3, 200, 300
    state = random_state(rng, input_size, H)
    x, h_0 = rng.normal(size=(T, N, input_size)), rng.normal(size=(1, N, H))
    expected_y, _ = torch_arrays(torch, torch_network(torch, FORMS[0], state), x, h_0)
    y, _ = reference.gru(x, state, h_0)
    assert_allclose(y, expected_y, rtol=0, atol=1e-13)


def test_parameters_may_be_torch_tensors(torch, rng):
    model = torch.nn.GRU(3, 5, num_layers=2, bidirectional=True)  # float32
    x = rng.normal(size=(4, 2, 3)).astype(np.float32)
    y, _ = reference.gru(x, model.state_dict())
    assert y.dtype == np.float64
    expected, _ = model(torch.from_numpy(x))
    assert_allclose(y, expected.detach().numpy(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("case", golden_cases(), ids=str)
def test_golden_files_are_what_their_script_makes(torch, case):
    from golden.make_golden import CONFIGURATIONS, make_case

    made = make_case(case.name, seed=list(CONFIGURATIONS).index(case.name))
    assert_allclose(case.y, made["y"], rtol=0, atol=1e-14)
    assert_allclose(case.h_n, made["h_n"], rtol=0, atol=1e-14)
    assert_allclose(case.x, made["x"], rtol=0, atol=0)
    assert {f"state.{name}" for name in case.state} == {key for key in made if key.startswith("state.")}
