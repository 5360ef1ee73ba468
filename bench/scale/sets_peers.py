"""The peers' way over a set: what a careful user writes around PyTorch and ONNX Runtime.

File by file, the next one read ahead in a thread: sorted by length, longest first, in batches, the last y of every row
back in its place, and into a Parquet file. Each library is imported where it is asked for, so that a process that
measures memory holds one.
"""

import itertools
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

import cgru
from bench.common import onnx_session
from bench.scale.sets_data import COLUMN, RESULT, H, I, state

BATCHES = 32, 64, 128, 256
TRIAL_ROWS = 1024


class Batched:
    """A peer that takes batches of sequences.

    Parameters
    ----------
    last : callable
        Of a list of arrays (T, I), longest first, gives the last y of each, (N, H).
    """

    def __init__(self, last):
        self.last, self.batch = last, BATCHES[0]

    def prepare(self, source):
        """Take the fastest size of a batch, found on a part of the first file; gives the times in seconds."""
        sequences = [x for x, _ in zip(_rows(_read(_files(source)[0])), range(TRIAL_ROWS), strict=False)]
        times = {}
        for batch in BATCHES * 2:  # the first time is a warm-up
            self.batch = batch
            start = time.perf_counter()
            self._run(sequences)
            times[batch] = time.perf_counter() - start
        self.batch = min(times, key=times.get)
        return {f"batches of {batch}": seconds for batch, seconds in times.items()}

    def __call__(self, source, path):
        """From a folder of Parquet files to a file of results."""
        import pyarrow as pa
        from pyarrow import parquet

        schema = pa.schema({RESULT: pa.list_(pa.float32(), H)})
        with parquet.ParquetWriter(path, schema, use_dictionary=False) as writer:     # as cgru does
            for column in _ahead(_read, _files(source)):
                y = self._run(_rows(column))
                writer.write_batch(pa.record_batch([pa.FixedSizeListArray.from_arrays(y.reshape(-1), H)], schema))

    def _run(self, sequences):
        sequences = list(sequences)
        order = np.argsort([-len(x) for x in sequences], kind="stable")
        y = np.empty((len(sequences), H), np.float32)
        for start in range(0, len(order), self.batch):
            which = order[start : start + self.batch]
            y[which] = self.last([sequences[row] for row in which])
        return y


def read_only(source, _path):
    """Nothing but reading the files, and an array for every row."""
    for column in map(_read, _files(source)):
        for _ in _rows(column):
            pass


def _files(source):
    return sorted(Path(source).glob("*.parquet"))


def _read(path):
    from pyarrow import parquet

    return parquet.ParquetFile(path).read([COLUMN])[COLUMN].combine_chunks()


def _rows(column):
    """Yield every sequence (T, I) of an Arrow array, a view."""
    starts = column.offsets.to_numpy()
    flat = column.values.values.to_numpy().reshape(-1, I)
    for start, end in itertools.pairwise(starts):
        yield flat[start:end]


def _ahead(function, items):
    """``map``, with the next item computed in a thread meanwhile."""
    with ThreadPoolExecutor(1) as pool:
        waiting = None
        for item in items:
            coming = pool.submit(function, item)
            if waiting is not None:
                yield waiting.result()
            waiting = coming
        yield waiting.result()


def torch_padded(threads):
    """PyTorch over zero-padded batches; y at each row's last step."""
    torch, gru = _torch(threads)

    def last(sequences):
        with torch.inference_mode():
            x = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(x) for x in sequences])
            y, _ = gru(x)
            ends = torch.tensor([len(x) - 1 for x in sequences])
            return y[ends, torch.arange(len(sequences))].numpy()

    return Batched(last)


def torch_packed(threads):
    """PyTorch over packed sequences: no step is computed that nobody has."""
    torch, gru = _torch(threads)

    def last(sequences):
        with torch.inference_mode():
            packed = torch.nn.utils.rnn.pack_sequence([torch.from_numpy(x) for x in sequences])
            _, h = gru(packed)
            return h[0].numpy()

    return Batched(last)


def _torch(threads):
    import warnings

    import torch

    warnings.filterwarnings("ignore", message="The given NumPy array is not writable")  # it is only read
    torch.set_num_threads(threads)
    gru = torch.nn.GRU(I, H)
    gru.load_state_dict({name: torch.from_numpy(value) for name, value in state().items()})
    return torch, gru.eval()


def onnx_runtime(threads):
    """ONNX Runtime over zero-padded batches, with the lengths as `sequence_lens`; the model is cgru's `to_onnx`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gru.onnx"
        cgru.GRU.from_state_dict(state()).to_onnx(path, h_0=False, lengths=True)
        session = onnx_session.session(path, threads)

    def last(sequences):
        lengths = np.array([len(x) for x in sequences], np.int32)
        padded = np.zeros((lengths[0], len(sequences), I), np.float32)
        for row, x in enumerate(sequences):
            padded[: len(x), row] = x
        (h,) = session.run(["h_n"], {"x": padded, "lengths": lengths})
        return h[0]

    return Batched(last)
