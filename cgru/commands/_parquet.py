"""``cgru run`` over Parquet files: a column of sequences, each row's result into another file."""

import os
import re
import sys
import time

from cgru.commands._arrays import SUFFIXES
from cgru.commands._exit import MissingExtra, need, positive, shown, writable
from cgru.commands._layers import output_size, states_of
from cgru.commands._models import names, read_model
from cgru.commands._progress import Progress
from cgru.threads import thread_count

SUFFIX = ".parquet"
OUTPUTS, BAD = ("last", "all", "state"), ("fail", "skip")
#: Options of either kind of input alone, by their names in the arguments.
_OURS = {
    "column": "--column", "what": "--output", "keep": "--keep", "bad": "--bad", "ray": "--ray", "workers": "--workers",
}  # fmt: skip
_OTHERS = {"key": "--key", "h0": "--h0", "c0": "--c0", "lengths": "--lengths", "batch_first": "--batch-first"}
_SHOWN = 5      # rows that are left out


def add_parquet_options(parser):
    """Declare what a Parquet INPUT needs; --output, which says what is written, may also name the file."""
    group = parser.add_argument_group("Parquet", "an INPUT that is a .parquet file, or a folder of them")
    group.add_argument(
        "--column", metavar="NAME",
        help="which column holds the sequences: lists of steps, or flat lists of the numbers of all steps",
    )  # fmt: skip
    group.add_argument(
        "--output", dest="outputs", action="append", metavar="|".join(OUTPUTS), default=[],
        help="what OUT has of each row: y of its last step, y of all steps, or the final state; default last",
    )  # fmt: skip
    group.add_argument("--keep", type=names, metavar="NAME,...", help="columns to hand on to OUT")
    group.add_argument(
        "--bad", choices=BAD,
        help="a row that is null, or has a null or a step of another width: fail, or skip it and say so; default fail",
    )  # fmt: skip
    group.add_argument(
        "--ray", nargs="?", const="", metavar="ADDRESS",
        help="compute on a Ray cluster, host:port or auto; without ADDRESS that of RAY_ADDRESS, or else one of this "
        "machine's cores that ends with the run",
    )  # fmt: skip
    group.add_argument(
        "--workers", type=positive, metavar="N",
        help="with --ray, how many cores of the cluster compute; default all. --threads is not for clusters",
    )  # fmt: skip


def settle_output(args):
    """Tell what --output says: one of OUTPUTS, or a file's name as after -o, which has a suffix.

    Raises
    ------
    ValueError
        It is neither; or -o names a file too.
    """
    args.what = None
    for value in args.outputs:
        if value in OUTPUTS:
            args.what = value
        elif not os.path.splitext(value)[1]:
            raise ValueError(f"--output {value}: expected {', '.join(OUTPUTS[:-1])} or {OUTPUTS[-1]}; -o names a file")
        elif args.output is not None:
            raise ValueError(f"--output {value}: {args.output} is to be written already; drop one of them")
        else:
            args.output = value


def is_parquet(args):
    """Whether INPUT is a Parquet file or a folder; refuses options of the other kind of input.

    Raises
    ------
    ValueError
    """
    suffix = os.path.splitext(args.input)[1].lower()
    ours = suffix == SUFFIX or (os.path.isdir(args.input) and suffix not in SUFFIXES)
    given = [option for name, option in (_OTHERS if ours else _OURS).items() if getattr(args, name) is not None]
    if given:
        kind = "arrays" if ours else "Parquet files"
        raise ValueError(f"{given[0]} is for {kind}, and INPUT is {args.input}; drop it")
    return ours


def run_parquet(args):
    """Run the model over the column, into the other file.

    Raises
    ------
    ValueError, TypeError, OSError, MissingExtra
        What the user can mend.
    """
    if args.column is None:
        raise ValueError(f"INPUT {args.input} has columns: say with --column which one holds the sequences")
    if args.workers is not None and args.ray is None:
        raise ValueError("--workers is for a cluster; add --ray, or take --threads")
    if args.threads is not None and args.ray is not None:
        raise ValueError("--threads is for this machine alone, and --ray for a cluster; take --workers")
    args.threads = args.threads or thread_count(-1)
    writable(args.output, (SUFFIX,), "--output", args)
    need("pyarrow", f"reading {args.input}", "cgru[parquet]")
    what, skipped = args.what or "last", Skipped()
    model, _ = read_model(args)
    progress, start = None, time.perf_counter()
    try:
        job = _job(args, model, column=args.column, output=what, keep=args.keep or (), bad=args.bad or "fail")
        progress = Progress(job.total, " rows")
        rows = job.write(args.output, progress.update, skipped, name="--output")
    except (ValueError, TypeError) as error:
        kind = ValueError if isinstance(error, ValueError) else TypeError
        raise kind(_in_options(str(error))) from error
    finally:
        if progress is not None:
            progress.close()
    seconds = time.perf_counter() - start
    skipped.tell()
    where = "Ray" if args.ray is not None else f"{args.threads} thread{'s' if args.threads > 1 else ''}"
    speed = f"{seconds:.2f} s, {job.total / seconds:,.0f} rows/s, {where}"
    print(f"wrote {args.output}: {rows:,} rows, {_columns(model, what)} {model.dtype}, {speed}")


def _job(args, model, **options):
    """What to run: here or, with --ray, on a cluster."""
    if args.ray is None:
        from cgru.batch.job import Job

        return Job.of(model, args.input, args.threads, None, **options)
    os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")      # no other cluster behind our back; read at the import
    need("ray", "--ray", "cgru[ray]")
    try:
        need("ray.data", "--ray", "cgru[ray]")
    except ImportError as error:        # what its data sets need is not there, or too old
        raise MissingExtra(f'--ray: {error}; pip install -U "cgru[ray]"') from None
    from cgru.batch.ray import RayJob
    from cgru.batch.transform import Transform

    return RayJob(Transform(model, **options), args.input, args.workers, address=args.ray or None)


def _columns(model, what):
    """What the model puts into OUT, in words."""
    if what == "state":
        planes = [plane for planes in states_of(model) for plane in planes]
        return ", ".join(f"{plane.name} ({plane.rows * plane.units})" for plane in planes)
    return f"y ({'T, ' if what == 'all' else ''}{output_size(model)})"


class Skipped:
    """Counts the rows that are left out, and remembers the first."""

    def __init__(self):
        self._count, self._first = 0, []

    def __call__(self, row, reason):
        self._count += 1
        if len(self._first) < _SHOWN:
            self._first.append(f"row {row}: {reason}")

    def tell(self):
        """Say so, if there were any."""
        if self._count:
            more = ", ..." if self._count > _SHOWN else ""
            words = "row was" if self._count == 1 else "rows were"
            left_out = shown(", ".join(self._first))
            print(f"cgru: note: {self._count:,} {words} left out: {left_out}{more}", file=sys.stderr)


def _in_options(message):
    """A message with this command line's options in place of the function's parameters."""
    message = re.sub(r"\b(column|output|keep|bad)='(\w+)'", r"--\1 \2", message)
    return re.sub(r"^keep: ", "--keep: ", message)
