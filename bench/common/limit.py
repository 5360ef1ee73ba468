"""The least time of a call, from what a machine can do: multiply-adds a second, and bytes a second by footprint."""


def matrices(point):
    """Bytes of the input matrix and of the recurrent matrix of every layer and direction, as pairs."""
    row = 4 * point.columns
    return [(row * inputs, row * point.H) for inputs in point.inputs for _ in range(point.directions)]


def footprints(point):
    """Bytes that a call goes through at a time, as a set: at these the bandwidth must be known."""
    pairs = matrices(point)
    return {sum(map(sum, pairs))} if point.is_step else {size for pair in pairs for size in pair}


def limit(point, peak, bandwidth):
    """Least time of one call in nanoseconds, and what sets it.

    The products count, at the FMA peak; gates, biases and copies count as nothing. Weights are read from where they
    fit; everything else is free.

    * A step takes the larger of flops / peak and bytes / bandwidth, of all its matrices.
    * A sequence has two phases in every layer and direction: the products of all its inputs, at the peak; then T
      steps, each the larger of its flops / peak and of the bytes of the recurrent matrix / bandwidth. So is every
      engine built that uses the product of many rows where it can: the states come one after the other.
    * ``overlapped_ns`` is the same without phases: the larger of all flops / peak and all bytes / bandwidth. It says
      what an engine could still gain that reads the recurrent matrix while it multiplies inputs.

    Parameters
    ----------
    point : Point
    peak : float
        GFLOP/s.
    bandwidth : callable
        GB/s at a footprint in bytes.

    Returns
    -------
    dict
        ``ns``; ``inputs_ns`` and ``steps_ns``, its two parts (a step has but the second); ``overlapped_ns``; ``bound``
        ("flops" or "bytes"), what sets the steps; ``flops`` and ``bytes`` of the whole call.
    """
    pairs = matrices(point)
    if point.is_step:
        size = sum(map(sum, pairs))
        inputs_ns, flops_ns, bytes_ns = 0.0, point.flops / peak, size / bandwidth(size)
        steps_ns = overlapped = max(flops_ns, bytes_ns)
    else:
        rows = point.N * point.T
        # A matrix of `size` bytes takes size / 4 multiply-adds a row.
        inputs_ns = sum(rows * size / 2 / peak for size, _ in pairs)
        flops_ns = sum(rows * size / 2 / peak for _, size in pairs)
        bytes_ns = sum(point.T * size / bandwidth(size) for _, size in pairs)
        steps_ns = sum(max(rows * size / 2 / peak, point.T * size / bandwidth(size)) for _, size in pairs)
        overlapped = max(inputs_ns + flops_ns, bytes_ns + sum(size / bandwidth(size) for size, _ in pairs))
    return {
        "ns": inputs_ns + steps_ns,
        "inputs_ns": inputs_ns,
        "steps_ns": steps_ns,
        "overlapped_ns": overlapped,
        "bound": "flops" if flops_ns >= bytes_ns else "bytes",
        "flops": point.flops,
        "bytes": sum(first + (1 if point.is_step else point.T) * second for first, second in pairs),
    }
