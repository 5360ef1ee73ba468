"""Outside of what PyTorch's compiler compiles; imported where that compiler is there already, for it takes a second."""

import torch


@torch.compiler.disable
def outside(function, *args):
    """``function(*args)``, behind a break of the graph: the compiler sees nothing of what is called."""
    return function(*args)
