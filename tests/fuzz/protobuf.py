"""Changes of Protocol Buffers' messages without their schema: ONNX's models.

A message is a list of fields [number, wire type, value]; a value of bytes that is itself a message is such a list.
"""

from fuzz.mutations import changed_bytes

_NUMBERS = (
    0, 1, 2, 3, 6, 7, 9, 11, 12, 16, 127, 255, 2**31 - 1, 2**31, 2**32, 2**62, 2**63 - 1, 2**63, 2**64 - 1,
)  # fmt: skip
_TEXTS = (
    b"", b"x", b"GRU", b"LSTM", b"RNN", b"Slice", b"Concat", b"Reshape", b"Transpose", b"Identity", b"Constant",
    b"Squeeze", b"Add", b"MatMul", b"Gemm", b"Relu", b"Tanh", b"Softmax", b"Unsqueeze", b"Gather", b"Expand",
    b"Shape", b"reverse", b"bidirectional", b"\xff", b"a\nb", b"../x", b"ai.onnx.ml", b"axis", b"axes", b"perm",
    bytes(8), b"\xff" * 8, b"\0\0\x80\x7f",
)  # fmt: skip
_DEEPEST = 8


def changed(data, rng):
    """The bytes of a message with one to three fields changed, at any depth."""
    fields = _read(data, 0)
    for _ in range(rng.choice((1, 1, 2, 3))):
        _change(fields, rng)
    return _written(fields)


def _varint(data, at):
    number = shift = 0
    while True:
        byte = data[at]
        number |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return number, at
        if shift > 63:
            raise ValueError("no varint")


def _read(data, depth):
    """The fields of a message; ValueError or IndexError where it is none."""
    fields, at = [], 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(data, at)
        else:
            size = {1: 8, 5: 4}.get(wire)
            if wire == 2:
                size, at = _varint(data, at)
            if size is None or number == 0 or at + size > len(data):
                raise ValueError("no message")
            value, at = bytes(data[at : at + size]), at + size
            if wire == 2:
                value = _inner(value, depth)
        fields.append([number, wire, value])
    return fields


def _inner(value, depth):
    """The message in these bytes, or the bytes: text is not taken for one."""
    if depth >= _DEEPEST or not value or all(32 <= byte < 127 for byte in value):
        return value
    try:
        return _read(value, depth + 1)
    except (ValueError, IndexError):
        return value


def _written(fields):
    out = bytearray()
    for number, wire, value in fields:
        out += _encoded(number << 3 | wire)
        if wire == 0:
            out += _encoded(value)
        else:
            value = _written(value) if isinstance(value, list) else value
            out += (_encoded(len(value)) if wire == 2 else b"") + value
    return bytes(out)


def _encoded(number):
    number %= 1 << 64
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def _change(fields, rng):
    """One change, here or in a message inside."""
    while (
        fields
        and (inner := [field[2] for field in fields if isinstance(field[2], list) and field[2]])
        and rng.randrange(5)
    ):
        fields = rng.choice(inner)
    if not fields:
        return
    place, how = rng.randrange(len(fields)), rng.randrange(9)
    number, wire, value = fields[place]
    if how == 0:
        del fields[place]
    elif how == 1:
        fields.insert(rng.randrange(len(fields) + 1), [number, wire, value])
    elif how == 2:
        other = rng.randrange(len(fields))
        fields[place], fields[other] = fields[other], fields[place]
    elif how == 3:
        fields[place] = [max(1, number + rng.choice((-1, 1, 2))), wire, value]
    elif how == 4:
        fields[place] = (
            [number, wire, rng.choice(fields)[2]]
            if wire == 2 and all(field[1] == 2 for field in fields)
            else [number, 0, rng.choice(_NUMBERS)]
        )
    elif wire == 0:
        fields[place][2] = rng.choice((*_NUMBERS, value + 1, value - 1, value * 2))
    elif isinstance(value, list):
        fields[place][2] = rng.choice((b"", rng.choice(_TEXTS)))
    elif wire == 2:
        fields[place][2] = rng.choice(
            (rng.choice(_TEXTS), changed_bytes(value, rng), value[: rng.randrange(len(value) + 1)], value * 2)
        )
    else:
        fields[place][2] = rng.choice(
            (bytes(len(value)), b"\xff" * len(value), bytes(rng.randrange(256) for _ in value))
        )
