"""Make the golden vectors: run `torch.nn.GRU` in float64 and float32, store what went in and what came out.

    cd tests && python -m golden.make_golden

One .npz per configuration below. Inputs are float32 numbers stored as float32, answers have the dtype they
were computed in. Run again, it writes the same inputs; the answers may move in their last bits with PyTorch's
version and the processor, so tests allow them a tolerance, and each file names the version.
"""

import json

import numpy as np
import torch

from golden import FOLDER
from support.models import float32_values, random_lengths, random_state

# name: (T, N, input_size, H), arguments of nn.GRU that are not its defaults. N None: x has no batch axis.
CONFIGURATIONS = {
    "plain": ((7, 3, 4, 5), {}),
    "no_bias_two_layers": ((6, 4, 3, 7), {"num_layers": 2, "bias": False}),
    "bidirectional_batch_first": ((5, 2, 6, 4), {"bidirectional": True, "batch_first": True}),
    "three_layers_bidirectional": ((4, 3, 5, 6), {"num_layers": 3, "bidirectional": True}),
    "lengths": ((9, 5, 2, 6), {}),
    "lengths_bidirectional": ((8, 6, 3, 5), {"num_layers": 2, "bidirectional": True}),
    "lengths_batch_first_no_bias": ((6, 4, 7, 3), {"batch_first": True, "bias": False}),
    # Sizes on either side of a multiple of 8 and 16, and more rows than a register tile holds.
    "wide": ((5, 9, 13, 37), {}),
    "wide_lengths_bidirectional": ((6, 10, 7, 17), {"bidirectional": True}),
    "unbatched": ((6, None, 3, 5), {"num_layers": 2, "bidirectional": True}),
}


def draw(name, seed):
    """What goes in: config, state, x, h_0, lengths. float64 arrays of float32 numbers."""
    rng = np.random.default_rng(seed)
    (T, N, input_size, H), options = CONFIGURATIONS[name]
    config = {"num_layers": 1, "bias": True, "batch_first": False, "bidirectional": False} | options
    layers, bidirectional = config["num_layers"], config["bidirectional"]
    state = random_state(
        rng, input_size, H, num_layers=layers, bidirectional=bidirectional, bias=config["bias"]
    )
    batch = () if N is None else (N,)
    x = float32_values(rng.standard_normal((T, *batch, input_size)))
    h_0 = float32_values(rng.uniform(-1, 1, (layers * (1 + bidirectional), *batch, H)))
    lengths = random_lengths(rng, T, N) if "lengths" in name else None
    if config["batch_first"]:
        x = x.swapaxes(0, 1)
    return {"input_size": input_size, "hidden_size": H} | config, state, x, h_0, lengths


def run_torch(config, state, x, h_0, lengths, dtype):
    """What comes out of `nn.GRU`: y, h_n as arrays. dtype is torch's."""
    model = torch.nn.GRU(**config, dtype=dtype)
    model.load_state_dict({name: torch.tensor(values, dtype=dtype) for name, values in state.items()})
    x, h_0 = torch.tensor(x, dtype=dtype), torch.tensor(h_0, dtype=dtype)
    batch_first = config["batch_first"]
    with torch.no_grad():
        if lengths is None:
            y, h_n = model(x, h_0)
        else:
            rnn = torch.nn.utils.rnn
            T = x.shape[1 if batch_first else 0]
            packed = rnn.pack_padded_sequence(x, torch.tensor(lengths), batch_first, enforce_sorted=False)
            y, h_n = model(packed, h_0)
            y, _ = rnn.pad_packed_sequence(y, batch_first, total_length=T)
    return y.numpy(), h_n.numpy()


def make_case(name, seed):
    """The arrays of one .npz."""
    config, state, x, h_0, lengths = draw(name, seed)
    y, h_n = run_torch(config, state, x, h_0, lengths, torch.float64)
    y_float32, h_n_float32 = run_torch(config, state, x, h_0, lengths, torch.float32)
    arrays = {f"state.{key}": values.astype(np.float32) for key, values in state.items()}
    arrays |= {"x": x.astype(np.float32), "h_0": h_0.astype(np.float32)}
    arrays |= {"y": y, "h_n": h_n, "y_float32": y_float32, "h_n_float32": h_n_float32}
    arrays |= {"config": np.array(json.dumps(config)), "torch_version": np.array(str(torch.__version__))}
    return arrays if lengths is None else arrays | {"lengths": lengths}


def main():
    """Write every configuration beside this file."""
    print(f"PyTorch {torch.__version__}")
    for seed, name in enumerate(CONFIGURATIONS):
        path = FOLDER / f"{name}.npz"
        np.savez_compressed(path, **make_case(name, seed))
        print(f"{path.name:40s} {path.stat().st_size:7d} bytes")


if __name__ == "__main__":
    main()
