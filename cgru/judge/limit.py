"""The least time of a call, from what a machine can do: multiply-adds a second, and bytes a second by footprint."""

WEIGHT_BYTES = {"float32": 4, "bfloat16": 2, "int8": 1}  # of one weight, by what it is stored as


def matrices(point, weight_dtype="float32"):
    """Bytes of the input matrix and of the recurrent matrix of every layer and direction, as pairs."""
    row = WEIGHT_BYTES[weight_dtype] * point.columns
    return [(row * inputs, row * point.H) for inputs in point.inputs for _ in range(point.directions)]


def footprints(point, weight_dtype="float32"):
    """Bytes that a call goes through at a time, as a set: at these the bandwidth must be known."""
    pairs = matrices(point, weight_dtype)
    return {sum(map(sum, pairs))} if point.is_step else {size for pair in pairs for size in pair}


def limit(point, peak, bandwidth, weight_dtype="float32"):
    """Least time of one call in nanoseconds, and what sets it.

    The products count, at the peak; gates, biases, scales, copies, and rounding an input to 8 bits count as nothing.
    Weights are read from where they fit; everything else is free.

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
        GFLOP/s of what multiplies these weights: fused multiply-adds for float32 and bfloat16, 8-bit dot products for
        int8, where a multiply-add of integers counts as two operations as well.
    bandwidth : callable
        GB/s at a footprint in bytes.
    weight_dtype : str
        What the weights are stored as, of WEIGHT_BYTES.

    Returns
    -------
    dict
        ``ns``; ``inputs_ns`` and ``steps_ns``, its two parts (a step has but the second); ``overlapped_ns``; ``bound``
        ("flops" or "bytes"), what sets the steps; ``flops`` and ``bytes`` of the whole call.
    """
    pairs, each = matrices(point, weight_dtype), WEIGHT_BYTES[weight_dtype]
    if point.is_step:
        size = sum(map(sum, pairs))
        inputs_ns, flops_ns, bytes_ns = 0.0, point.flops / peak, size / bandwidth(size)
        steps_ns = overlapped = max(flops_ns, bytes_ns)
    else:
        # A matrix of `size` bytes takes size / each multiply-adds a row.
        flops = 2 * point.N * point.T / each
        inputs_ns = sum(flops * size / peak for size, _ in pairs)
        flops_ns = sum(flops * size / peak for _, size in pairs)
        bytes_ns = sum(point.T * size / bandwidth(size) for _, size in pairs)
        steps_ns = sum(max(flops * size / peak, point.T * size / bandwidth(size)) for _, size in pairs)
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
