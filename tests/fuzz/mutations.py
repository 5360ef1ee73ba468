"""Changes of bytes and of trees (what JSON is read as). All take a `random.Random` and leave what they are given."""

import copy
import json

#: In place of any value in a tree.
ODD = (
    0, 1, -1, 2, 3, 4, 12, 255, 2**31 - 1, 2**31, 2**32, 2**53, 2**62, 2**63 - 1, 2**63, 2**64 - 1, 2**64,
    -(2**63), 10**30, 10**400, 0.0, -0.0, 0.5, 1.0, 3.0, 1e-320, 1e39, 1e308, float("inf"), -float("inf"),
    float("nan"), True, False, None, "", "0", "1", "x", "gru", "lstm", "float32", "tanh", "\0", "a\nb",
    "\x1b[31m", "\ud800", "\u00e9", "../../x", "/etc/passwd", "1" * 30, [], [[]], [[[0]]], [0], [1, 2], [None],
    {}, {"": 0}, [""], "weight_ih_l0",
)  # fmt: skip
_WORDS = (
    b"\xff" * 8, bytes(8), b"\x7f" + b"\xff" * 7, b"\xff" * 4, bytes(4), b"\x80", b"PK\x03\x04", b"\n", b"{",
    b"[" * 64, b'"',
)  # fmt: skip


def changed_bytes(data, rng, others=()):
    """`data` with a few bytes changed, cut off, put in, taken out, moved, or joined with another file's."""
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        place = rng.randrange(len(data) + 1)
        how = rng.randrange(9)
        if how == 0 and data:
            data[place % len(data)] ^= 1 << rng.randrange(8)
        elif how == 1:
            word = rng.choice(_WORDS)
            data[place : place + len(word)] = word
        elif how == 2:
            data[place:place] = rng.choice(_WORDS)
        elif how == 3:
            del data[place : place + rng.choice((1, 1, 2, 4, 8, 100))]
        elif how == 4:
            del data[rng.choice((place, place, rng.randrange(32))) :]
        elif how == 5 and data:
            data[place % len(data)] = rng.randrange(256)
        elif how == 6:
            start = rng.randrange(len(data) + 1)
            data[place:place] = data[start : start + rng.choice((1, 4, 16, 200))]
        elif how == 7:
            size = rng.choice((1, 2, 4, 8))
            number = rng.choice(
                (0, 1, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1, len(data), rng.randrange(300))
            )
            data[place : place + size] = (number % 256**size).to_bytes(size, rng.choice(("little", "big")))
        elif how == 8 and others:
            other = rng.choice(others)
            start = rng.randrange(len(other) + 1)
            data[place:] = other[start:]
    return bytes(data)


def changed_tree(tree, rng):
    """`tree`, dicts, lists and leaves, with one to four of its places changed."""
    top = [copy.deepcopy(tree)]
    for _ in range(rng.choice((1, 1, 2, 4))):
        holder, key = rng.choice(list(_places(top, rng)))
        _change(top, holder, key, rng)
    return top[0]


def changed_json(data, rng):
    """The same of the bytes of a JSON file."""
    return json.dumps(changed_tree(json.loads(data), rng)).encode()


def _places(holder, rng):
    """(holder, key) of all that is in a tree; of long lists of numbers some."""
    keys = list(holder) if isinstance(holder, dict) else range(len(holder))
    if len(keys) > 6 and not isinstance(holder, dict):
        keys = [0, len(keys) - 1, *rng.sample(keys, 3)]
    for key in keys:
        yield holder, key
        if isinstance(holder[key], dict | list):
            yield from _places(holder[key], rng)


def _change(top, holder, key, rng):
    value, how = holder[key], rng.randrange(10)
    if how <= 3:
        holder[key] = (
            _number(value, rng)
            if isinstance(value, int | float) and rng.randrange(2)
            else copy.deepcopy(rng.choice(ODD))
        )
    elif how == 4 and holder is not top:
        del holder[key]
    elif how == 5:
        other, place = rng.choice(list(_places(top, rng)))
        holder[key] = copy.deepcopy(other[place])
    elif how == 6 and isinstance(holder, list):
        holder.insert(key, copy.deepcopy(value))
    elif how == 6:
        name = rng.choice((str(rng.choice(ODD)), rng.choice(list(holder)), key + "x", key[:-1]))
        holder[name] = copy.deepcopy(value) if rng.randrange(2) else holder.pop(key)
    elif how == 7:
        holder[key] = rng.choice(([value], [value, value], {"a": value}, [[value]]))
    elif how == 8 and isinstance(value, list):
        rng.shuffle(value)
        del value[rng.randrange(len(value) + 1) :]
    elif how == 9 and isinstance(value, str):
        at = rng.randrange(len(value) + 1)
        holder[key] = (
            value[:at] + rng.choice(("", value, "\n", ".", "/", "0", "_", " ")) + value[at + rng.randrange(3) :]
        )


def _number(value, rng):
    return rng.choice(
        (value + 1, value - 1, -value, value * 2, value * 1000, float(value) if abs(value) < 1e300 else 0, str(value))
    )
