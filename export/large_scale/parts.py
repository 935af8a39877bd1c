"""A set that is prepared in parts: what is done of it, the records of a part, and the shards put together from them.

The one writer gives record i to shard i mod N, and only who has read all images knows i, for some are left out. So a
part of the images becomes a file of its records first, in order; when all parts are there, a shard takes every Nth
record. Nothing is sorted, and a worker holds one record at a time.
"""

import dataclasses
import itertools
import os
import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from export.large_scale import beam
from official_rethink.common import files
from official_rethink.data import problems, records, statistics

# Else 64 MB are fetched of Cloud Storage at every jump. TensorFlow looks at it when it is loaded.
os.environ.setdefault('GCS_READ_CACHE_BLOCK_SIZE_MB', '1')

IMAGES_A_PART = 1024
_WORK = 'work.json'
_FRAME = 16  # bytes around a record in a TFRecord file: its length and two checksums


@dataclasses.dataclass
class Part:
    """What is known of a part's records.

    Attributes:
        counted: what they hold.
        found: what was wrong, in order.
        ends: int64 [records], where each ends in the part's file.
    """

    counted: statistics.Statistics
    found: list[problems.Problem]
    ends: np.ndarray


@dataclasses.dataclass(frozen=True)
class State:
    """The folder of what is done: `.preparing-<split>` in the output folder, gone when the set is complete.

    Attributes:
        folder: its path.
    """

    folder: str

    def path(self, name: str, number: int, suffix: str) -> str:
        """Path of one of its numbered files."""
        return os.path.join(self.folder, f'{name}-{number:06d}.{suffix}')

    def begun(self, work_hash: str) -> dict[str, Any] | None:
        """Returns what `begin` wrote for these inputs; what is there of others is removed."""
        path = os.path.join(self.folder, _WORK)
        found = files.read_json(path) if files.exists(path) else None
        if found is None or not work_hash or found['hash'] != work_hash:
            self.forget()
            return None
        return dict(found)

    def begin(self, work_hash: str, items: Iterable[Any], found: problems.ProblemList) -> dict[str, Any]:
        """Writes down what there is to do; the items are never all in memory."""
        stream, number, images = iter(items), 0, 0
        while chunk := list(itertools.islice(stream, IMAGES_A_PART)):
            _dump(self.path('items', number, 'pickle'), chunk)
            number, images = number + 1, images + len(chunk)
        told = [vars(one) for one in found.problems]
        work = {'hash': work_hash, 'parts': number, 'images': images, 'problems': told}
        files.write_json(os.path.join(self.folder, _WORK), work)
        return work

    def missing(self, name: str, suffix: str, count: int) -> list[int]:
        """Which of so many numbered files are not there."""
        names = set(_gfile().listdir(self.folder)) if files.exists(self.folder) else set()
        return [one for one in range(count) if os.path.basename(self.path(name, one, suffix)) not in names]

    def forget(self) -> None:
        """Removes the folder."""
        if files.exists(self.folder):
            _gfile().rmtree(self.folder)

    def make_part(self, number: int, make: Callable[[Any], Any]) -> dict[str, int]:
        """Reads the images of a part and writes their records; its last file appears when it is whole.

        Returns:
            What is to be counted.

        Raises:
            UserError: of `make`.
        """
        import tensorflow as tf  # noqa: PLC0415

        with _gfile().GFile(self.path('items', number, 'pickle'), 'rb') as handle:
            items = pickle.loads(handle.read())
        part = Part(statistics.Statistics(1), [], np.zeros(0, np.int64))
        lengths = []
        path = self.path('part', number, 'tfrecord')
        temporary = f'{path}.{os.getpid()}.{os.urandom(4).hex()}.tmp'
        with tf.io.TFRecordWriter(temporary) as writer:
            for item in items:
                beam.check_signals()
                made = make(item)
                outcome = made if isinstance(made, problems.Made) else problems.Made(made)
                part.found += outcome.problems
                if outcome.record is not None:
                    serialized = records.to_example(outcome.record)
                    part.counted.add(outcome.record)
                    writer.write(serialized)
                    lengths.append(len(serialized) + _FRAME)
        part.ends = np.cumsum(np.array(lengths, np.int64))
        _gfile().rename(temporary, path, overwrite=True)
        _dump(self.path('part', number, 'pickle'), part)
        return {'parts': 1, 'images': len(lengths), 'left_out': len(items) - len(lengths), 'problems': len(part.found)}

    def parts(self, count: int) -> Iterator[Part]:
        """Yields what is known of the parts, one at a time."""
        for number in range(count):
            with _gfile().GFile(self.path('part', number, 'pickle'), 'rb') as handle:
                yield pickle.loads(handle.read())

    def shard_name(self, num_shards: int) -> str:
        """What the shards are called here, where there are so many of them."""
        return f'shard-of-{num_shards:05d}'

    def make_shard(self, shard: int, num_shards: int, count: int) -> dict[str, int]:
        """Puts a shard together: records `shard`, `shard` + `num_shards` and so on of the parts one after the other.

        Returns:
            What is to be counted.
        """
        gfile, before, copied = _gfile(), 0, 0
        with files.atomic_write(self.path(self.shard_name(num_shards), shard, 'tfrecord'), 'wb') as handle:
            for number, part in enumerate(self.parts(count)):
                beam.check_signals()
                chosen = range((shard - before) % num_shards, len(part.ends), num_shards)
                before += len(part.ends)
                if not chosen:
                    continue
                copied += len(chosen)
                with gfile.GFile(self.path('part', number, 'tfrecord'), 'rb') as source:
                    for index in chosen:
                        begin = int(part.ends[index - 1]) if index else 0
                        source.seek(begin)
                        handle.write(source.read(int(part.ends[index]) - begin))
        return {'shards': 1, 'records': copied}

    def note_failure(self, number: int, message: str) -> None:
        """Notes why a part could not be made."""
        files.write_json(self.path('failed', number, 'json'), {'message': message})

    def failures(self, count: int) -> list[str]:
        """Returns why parts could not be made, in their order, and forgets it."""
        told = []
        for number in sorted(set(range(count)) - set(self.missing('failed', 'json', count))):
            path = self.path('failed', number, 'json')
            told.append(str(files.read_json(path)['message']))
            _gfile().remove(path)
        return told


def all_paths(state: State, num_shards: int) -> Sequence[str]:
    """Where the shards lie before they get their names."""
    return [state.path(state.shard_name(num_shards), shard, 'tfrecord') for shard in range(num_shards)]


def _dump(path: str, value: Any) -> None:
    with files.atomic_write(path, 'wb') as handle:
        handle.write(pickle.dumps(value))


def _gfile() -> Any:
    from tensorflow import io  # noqa: PLC0415

    return io.gfile
