"""Changes of files that only their libraries can write again: HDF5 with h5py, Parquet with pyarrow."""

import io

import numpy as np

from fuzz.containers import KERAS_PARTS, zipped
from fuzz.mutations import changed_json


def hdf5(data, rng):
    """Attributes, arrays and links of an HDF5 file changed by its library, which writes none that it cannot read."""
    import h5py

    stream = io.BytesIO(data)
    with h5py.File(stream, "r+") as file:
        for _ in range(rng.choice((1, 1, 2, 3))):
            items = [file]
            file.visititems(lambda name, item, items=items: items.append(item))
            item = rng.choice(items)
            if rng.randrange(2) or item is file:
                _attribute(rng.choice([one for one in items if len(one.attrs)] or [file]), rng)
            else:
                _item(h5py, file, item, rng)
    return stream.getvalue()


def _attribute(item, rng):
    names = list(item.attrs)
    if not names:
        item.attrs["keras_version"] = "2.1"
        return
    name = rng.choice(names)
    value, how = item.attrs[name], rng.randrange(6)
    text = value.decode() if isinstance(value, bytes) else value
    if how <= 3 and isinstance(text, str) and text.startswith("{"):
        item.attrs[name] = changed_json(text, rng).decode()[:60000]
    elif how == 4:
        del item.attrs[name]
    else:
        item.attrs[name] = rng.choice(
            (
                0,
                -1,
                2.5,
                "",
                "1",
                "3.5.0",
                "x",
                b"\xff",
                np.zeros(0),
                np.arange(3),
                np.array([b"a", b"b"]),
                "[" * 400,
                b"{}",
                True,
            )
        )


def _item(h5py, file, item, rng):
    name, how = item.name, rng.randrange(8)
    if how == 0:
        del file[name]
    elif how == 1:
        file[f"{name}_x"] = item
    elif how == 2:
        del file[name]
        file[name] = rng.choice(
            (
                h5py.SoftLink("/"),
                h5py.SoftLink("/none"),
                h5py.ExternalLink("/etc/passwd", "/"),
                h5py.ExternalLink("input.h5", "/"),
            )
        )
    elif how == 3:
        del file[name]
        file.create_group(name)
    else:
        shape = getattr(item, "shape", None) or (2, 3)
        shape = rng.choice(
            (shape, shape[::-1], shape[1:], (*shape, 1), (0,), (), (1, 12), (3, 12), (4, 12), (2, 12), (12,))
        )
        kind = rng.choice(("f4", "f4", "f4", "f8", "f2", "i4", "u1", "c8", "S3", "?"))
        del file[name]
        options = {"compression": "gzip", "chunks": True} if shape and 0 not in shape and not rng.randrange(3) else {}
        if not rng.randrange(12):
            file.create_dataset(name, (2 ** rng.randrange(10, 40), 12), "f4", chunks=(4, 12))  # stored nowhere
        else:
            file.create_dataset(name, data=np.zeros(shape, kind), **options)


KERAS = zipped(KERAS_PARTS | {".h5": hdf5})


def parquet(data, rng):
    """Another column of the same name: of other types, with nulls, of other lengths; written in other ways."""
    import pyarrow as pa
    from pyarrow import parquet as pq

    table = pq.read_table(io.BytesIO(data))
    name, how = rng.choice(table.column_names), rng.randrange(8)
    rows = [_sequence(rng) for _ in range(rng.choice((0, 1, 3, 20)))]
    kinds = (pa.float32(), pa.float64(), pa.float16(), pa.int32(), pa.int8(), pa.uint64(), pa.bool_())
    kind = rng.choice(kinds)
    forms = [
        pa.list_(pa.list_(kind)), pa.large_list(pa.list_(kind)), pa.list_(pa.list_(kind, 3)), pa.list_(kind),
        pa.large_list(kind), pa.list_(kind, 6), pa.list_(pa.string()), pa.struct([("a", kind)]), pa.string(), kind,
        pa.null(), pa.list_(pa.list_(pa.list_(kind))),
    ]  # fmt: skip
    form = rng.choice(forms)
    flat = rng.randrange(2)
    values = [
        None if row is None else [number for step in row for number in step or []] if flat else row for row in rows
    ]
    try:
        column = pa.array(values, form)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        column = pa.nulls(len(values), form)
    if how == 0:
        table = table.drop_columns([name])
    elif how == 1:
        table = pa.table([*table.columns, table[name]], names=[*table.column_names, name])
    else:
        table = pa.table({name: column, "id": pa.array(range(len(column)))})
    out = io.BytesIO()
    pq.write_table(
        table, out, row_group_size=rng.choice((1, 2, 100)), compression=rng.choice(("none", "snappy", "zstd", "gzip")),
        use_dictionary=bool(rng.randrange(2)), data_page_version=rng.choice(("1.0", "2.0")),
    )  # fmt: skip
    return out.getvalue()


def _sequence(rng):
    """A row: steps of mostly 3 numbers, or None."""
    if not rng.randrange(8):
        return None
    width = rng.choice((3, 3, 3, 3, 2, 0))
    return [
        None if not rng.randrange(20) else [_cell(rng) for _ in range(width)] for _ in range(rng.choice((0, 1, 2, 5)))
    ]


def _cell(rng):
    return None if not rng.randrange(30) else rng.choice((0, 1, -1, 100))
