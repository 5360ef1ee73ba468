"""The demo's AdamW: by hand, and PyTorch's."""

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal
from speakers.adamw import AdamW, clip_norm


def test_adam_by_hand():
    tensors = {"p": np.array([1.0, -2.0])}
    adam = AdamW(tensors)
    adam.update(tensors, {"p": np.array([0.5, -4.0]), "surplus": None}, 0.1)
    # m / (1 - b1) = g and v / (1 - b2) = g * g: the first step is rate * sign(g)
    assert_allclose(tensors["p"], [0.9, -1.9], atol=1e-8)
    adam.update(tensors, {"p": np.array([-0.5, 0.0])}, 0.2)
    # m = 0.9 * 0.1 g1 + 0.1 g2, over 1 - 0.81; v = 0.999 * 0.001 g1^2 + 0.001 g2^2, over 1 - 0.998001
    m = np.array([0.045 - 0.05, -0.36]) / 0.19
    v = np.array([0.00024975 + 0.00025, 0.015984]) / 0.001999
    assert_allclose(tensors["p"], [0.9, -1.9] - 0.2 * m / np.sqrt(v), atol=1e-7)


def test_weight_decay_by_hand():
    tensors = {"p": np.array([10.0, 3.0])}
    AdamW(tensors, weight_decay=0.05).update(tensors, {"p": np.array([1.0, 0.0])}, 0.1)
    assert_allclose(tensors["p"], [10 - 0.1 * (0.5 + 1), 3 - 0.1 * 0.15], atol=1e-8)


def test_clip_norm():
    gradients = {"a": np.array([3.0, 0], np.float32), "b": np.array([[4.0]])}
    clipped = clip_norm(gradients, 1.0)
    assert_allclose(clipped["a"], [0.6, 0], rtol=1e-6)
    assert_allclose(clipped["b"], [[0.8]])
    assert clipped["a"].dtype == np.float32
    assert gradients["a"][0] == 3
    assert_array_equal(clip_norm(gradients, 6.0)["b"], gradients["b"])
    assert_array_equal(clip_norm({"a": np.zeros(3)}, 1.0)["a"], np.zeros(3))


def test_adamw_is_pytorch_s(torch):
    rng = np.random.default_rng(1)
    ours = {"a": rng.normal(size=(3, 4)), "b": rng.normal(size=5)}
    theirs = [torch.nn.Parameter(torch.tensor(p)) for p in ours.values()]
    reference = torch.optim.AdamW(theirs, lr=0.01, weight_decay=0.05)
    optimizer = AdamW(ours, 0.05)
    for rate in (0.01, 0.02, 0.005):
        gradients = {name: rng.normal(size=p.shape) for name, p in ours.items()}
        for p, g in zip(theirs, gradients.values(), strict=True):
            p.grad = torch.tensor(g)
        reference.param_groups[0]["lr"] = rate
        reference.step()
        optimizer.update(ours, gradients, rate)
    for p, q in zip(ours.values(), theirs, strict=True):
        np.testing.assert_allclose(p, q.detach().numpy(), rtol=1e-12)
