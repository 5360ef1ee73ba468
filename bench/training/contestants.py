"""Who takes a training step: PyTorch's `nn.GRU`, cgru, and PyTorch's autograd around cgru.

A contestant is a function of H that gives a function of nothing: it takes one step and returns the gradients of x,
h_0 and every parameter by name. Each imports its library only when it is asked, so that a process that measures
memory holds one library. A new contestant is a function and a line in `CONTESTANTS`.
"""

import numpy as np

T, N = 100, 32
RIVAL, CGRU, BRIDGE = "PyTorch nn.GRU", "cgru.GRU", "cgru.torch.GRU"


def arrays(H):
    """x, h_0, dL/dy and the parameters, the same for everybody."""
    rng = np.random.default_rng(H)
    x, h_0, dy = (rng.standard_normal(shape, np.float32) for shape in ((T, N, H), (1, N, H), (T, N, H)))
    shapes = {"weight_ih_l0": (3 * H, H), "weight_hh_l0": (3 * H, H), "bias_ih_l0": (3 * H,), "bias_hh_l0": (3 * H,)}
    bound = H**-0.5
    return x, h_0, dy, {name: rng.uniform(-bound, bound, s).astype(np.float32) for name, s in shapes.items()}


def cgru_step(H):
    """A function that takes one step and returns its gradients by name."""
    import cgru

    x, h_0, dy, state = arrays(H)
    model = cgru.GRU.from_state_dict(state)

    def step():
        _, _, tape = model.record(x, h_0)
        grads = model.backward(tape, dy)
        return {"x": grads.x, "h_0": grads.h_0, **grads}

    return step


def _torch_step(H, make):
    import torch

    torch.set_num_threads(1)
    x, h_0, dy, state = arrays(H)
    module = make(torch)(H, H)
    module.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()})
    x, h_0 = torch.from_numpy(x).requires_grad_(), torch.from_numpy(h_0).requires_grad_()
    dy = torch.from_numpy(dy)
    leaves = {"x": x, "h_0": h_0, **dict(module.named_parameters())}

    def step():
        for leaf in leaves.values():
            leaf.grad = None
        y, _ = module(x, h_0)
        y.backward(dy)
        return {name: leaf.grad.numpy() for name, leaf in leaves.items()}

    return step


def torch_step(H):
    """The same by PyTorch."""
    return _torch_step(H, lambda torch: torch.nn.GRU)


def bridge_step(H):
    """The same by PyTorch's autograd around cgru."""
    import cgru.torch

    return _torch_step(H, lambda torch: cgru.torch.GRU)


CONTESTANTS = {RIVAL: torch_step, CGRU: cgru_step, BRIDGE: bridge_step}
