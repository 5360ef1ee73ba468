"""Files of sequences on a cluster: Ray Data does what `cgru.batch.run` does on one machine.

What a job is made of (`ray_tasks`): tasks that read cut the source into record batches with the number of their first
row; tasks that compute put each through the model; this process writes what comes back, in the order of the rows.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import threading
from typing import TYPE_CHECKING, Any

from cgru.batch.columns import arrow
from cgru.batch.job import Job
from cgru.batch.ray_tasks import Computing, Reading, checked, last_line, ray_data, read, tasks
from cgru.batch.source import row_groups
from cgru.batch.transform import BadRow, Transform
from cgru.checks import check_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

BLOCK = 1       # byte, which is what Ray aims at: so that every batch is a block of its own, and a task


class Predictor:
    """A model as a class for ``ray.data.Dataset.map_batches``, for data sets and clusters of one's own.

    Parameters
    ----------
    model : GRU, LSTM, RNN, Sequential, path or ray.ObjectRef
        Or a file that `cgru.load` reads and every node has, or what ``ray.put(model)`` gave.
    column, output, keep, bad, threads
        As `cgru.batch.transform.Transform` has them. With ``bad="skip"`` bad rows are left out.

    Raises
    ------
    TypeError, ValueError
        As `Transform`. A call raises what its call does; the number of a row counts in its batch.

    Examples
    --------
    ``batch_format="pyarrow"`` is what it takes and gives::

        rows = ray.data.read_parquet("s3://bucket/rows")
        rows = rows.map_batches(
            cgru.batch.ray.Predictor, fn_constructor_args=(model, "frames"), fn_constructor_kwargs={"keep": ["id"]},
            batch_format="pyarrow", batch_size=1024, compute=ray.data.ActorPoolStrategy(size=8),
        )
        rows.write_parquet("s3://bucket/results")

    Notes
    -----
    Ray makes one for each actor: the model goes to a worker once. An actor whose node is lost waits until Ray finds
    room for it elsewhere: leave some, or give ``min_size`` and ``max_size`` a cluster that grows again.
    """

    def __init__(
        self, model: Any, column: str, *, output: str = "last", keep: Iterable[str] = (), bad: str = "fail",
        threads: int = 1,
    ) -> None:  # fmt: skip
        if isinstance(model, str | os.PathLike):
            from cgru import load

            model = load(model)
        elif type(model).__name__ == "ObjectRef":
            model = ray_data().get(model)
        self._transform = Transform(model, column, output=output, keep=keep, bad=bad, threads=threads)

    def __call__(self, batch: Any) -> Any:
        """The pyarrow.Table for one."""
        try:
            return arrow().Table.from_batches([self._transform(batch)])
        except BadRow as error:
            where = f" of a batch of {batch.num_rows}"
            raise BadRow(error.row, error.column, error.reason, where) from None


# ---- the process that starts the job


def run(
    model: Any, source: str | os.PathLike[str], path: str | os.PathLike[str], *, column: str, output: str = "last",
    keep: Iterable[str] = (), bad: str = "fail", address: str | None = None, workers: int | None = None,
    ordered: bool = True, rows: int | None = None, progress: Callable[[int], object] | None = None,
    skipped: Callable[[int, str], object] | None = None,
) -> int:  # fmt: skip
    """Run a model over a column of Parquet files on Ray Data, into one Parquet file, complete or absent.

    Parameters
    ----------
    model, path, column, output, keep, bad, rows, progress, skipped
        As of `cgru.batch.write`. This process writes the file.
    source : str or path-like
        A Parquet file, or a folder of them, which every node reads under the same name.
    address : str, optional
        Of a running cluster, ``host:port`` or "auto"; or "local", a cluster of this machine's cores, which ends with
        the job. By default what the environment variable ``RAY_ADDRESS`` says, and "local" where it says nothing.
        Where ``ray.init`` has been called before, its cluster is taken.
    workers : int, optional
        How many batches to compute at the same time, each on a core; by default as many as the cluster has cores.
    ordered : bool, default True
        Keep the order of the rows. Without it results are written as they come, and a slow node holds up no other.

    Returns
    -------
    int
        How many rows the file has.

    Raises
    ------
    OSError, TypeError, ValueError
        As `cgru.batch.write`; a node that cannot read a file, or has no cgru or another version of it; no cluster at
        `address`; rows that were lost or came twice, which Ray keeps from happening.
    ImportError
        Ray is not installed: ``pip install "cgru[ray]"``.

    Notes
    -----
    What is written is what `cgru.batch.write` writes. A node that is lost costs time, no rows: what it had is read and
    computed again. The model goes to every worker process once.
    """
    transform = Transform(model, column, output=output, keep=keep, bad=bad)
    return RayJob(transform, source, workers, rows, address, ordered).write(path, progress, skipped)


class RayJob(Job):
    """A `Job` whose results come from a cluster; arguments as of `run`."""

    def __init__(self, transform, source, workers=None, rows=None, address=None, ordered=True):
        if not isinstance(source, str | os.PathLike):
            raise TypeError(
                "source must be the path of a Parquet file or of a folder of them, for all nodes to read; got "
                f"{type(source).__name__}. For a data set of Ray's there is cgru.batch.ray.Predictor"
            )
        ray_data()
        super().__init__(transform, os.path.abspath(source), rows=rows)      # a node has a current folder of its own
        self._workers = None if workers is None else check_size("workers", workers)
        self._address, self._ordered = address, ordered

    def results(self, progress=None, skipped=None):
        """As `Job.results`."""
        with _cluster(self._address, self._workers) as ray, contextlib.closing(self._messages(ray)) as messages:
            for message in messages:
                if skipped is not None:
                    for one in message["bad"]:
                        skipped(one["row"], one["reason"])
                if progress is not None:
                    progress(message["rows"])
                batch = read(message["batch"])
                if batch.num_rows:
                    yield batch.to_batches()[0]

    def _messages(self, ray):
        """What comes back from the cluster, every row once; its errors, and none of the caller's, in words."""
        with _errors_in_words(ray), contextlib.closing(self._blocks(ray)) as blocks:
            yield from checked(blocks, self.total, self._ordered)

    def _blocks(self, ray):
        """The blocks of the results, pyarrow Tables, as `Computing` gives them."""
        cores = ray.cluster_resources().get("CPU", 1)
        groups = [*row_groups(self._source.schemas, self._cut)]
        if not groups:
            return
        most, lists = tasks(groups, self._cut, self._transform.model, self._workers or max(1, int(cores)))
        found = ray.data.from_arrow([arrow().Table.from_pylist([one.row() for one in some]) for some in lists])
        context = found.context
        context.execution_options.preserve_order = self._ordered
        context.target_max_block_size = BLOCK
        context.enable_progress_bars = False
        # who reads takes no core from who computes: it mostly waits until its batches are wanted
        found = found.map_batches(
            Reading(self._cut, most), batch_size=None, batch_format="pyarrow", num_cpus=0,
            **_at_most(ray, int(1 + cores // 4)),
        )  # fmt: skip
        found = found.map_batches(
            Computing(ray.put(self._transform)), batch_size=None, batch_format="pyarrow", num_cpus=1,
            **_at_most(ray, self._workers),
        )  # fmt: skip
        yield from found.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=1)


def _at_most(ray, tasks):
    """The argument of map_batches that limits how many run at the same time."""
    if hasattr(ray.data, "TaskPoolStrategy"):
        return {"compute": ray.data.TaskPoolStrategy(size=tasks)}
    return {"concurrency": tasks}       # older Ray


@contextlib.contextmanager
def _cluster(address, workers):
    """Ray, connected; what was started here is ended at the end, whatever that is."""
    ray = ray_data()
    if ray.is_initialized():
        yield ray
        return
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    options = {"num_cpus": workers, "include_dashboard": False} if address == "local" else {}
    if address == "local":
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")       # a cluster that is ours sends no reports
    _reachable(address)
    try:
        with _kept_signal(), _errors_in_words(ray):
            ray.init(address=address, log_to_driver=False, logging_level="ERROR", **options)
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)       # what it says there is in its exceptions
        yield ray
    finally:
        for thread in threading.enumerate():
            if thread.name.startswith("StreamingExecutor"):     # it would find no cluster, and start one
                thread.join(30)
        with _kept_signal():
            ray.shutdown()


@contextlib.contextmanager
def _errors_in_words(ray):
    """What Ray raises for a cluster that cannot do the job, such as nodes without cgru, becomes an OSError."""
    try:
        yield
    except (ray.exceptions.RayError, ConnectionError, RuntimeError) as error:
        raise OSError(f"the job on Ray failed: {last_line(error)}") from error


@contextlib.contextmanager
def _kept_signal():
    """SIGTERM does afterwards what it did before; Ray lets it end the process with a status of its own."""
    ours = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGTERM) if ours else None
    try:
        yield
    finally:
        if handler is not None:
            signal.signal(signal.SIGTERM, handler)


def _reachable(address):
    """Refuse an address where nobody listens: Ray would try for a minute, and then end this process."""
    if address in ("local", "auto"):
        return
    host, _, port = address.rpartition(":")
    if not (host and port.isdecimal()) or "/" in host:
        raise ValueError(f"address {address}: expected host:port of a Ray cluster, 'auto' or 'local'")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=30).close()
    except (OSError, OverflowError) as error:
        raise ConnectionError(f"no Ray cluster at {address}: {error}") from error


