"""The pseudo-label store: fixed output shards, each whole or not there, and the manifest last of all."""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf

import official_rethink
from official_rethink.common import errors, files, nested
from official_rethink.data import label_maps, problems, records, shards
from official_rethink.pseudo_labels import counts, filters

SPLIT = 'pseudo'
MANIFEST = 'manifest.json'
STATE = '.labelling'  # what an unfinished run leaves for its restart
SKIPPED = f'{SPLIT}-skipped.jsonl'
_MAX_SHARDS = 99_999
_TOLD = 4
# Where the same data and the same weights lie may change between start and restart.
_MAY_DIFFER = ('input.path', 'input.num_images', 'teacher.path')


class ShardWriter:
    """Takes the records of one shard."""

    def __init__(self, writer: tf.io.TFRecordWriter, counted: counts.ShardCounts):
        self._writer = writer
        self.counted = counted
        self.skipped: list[problems.Problem] = []

    def add(self, record: records.Record, kept: filters.Kept) -> None:
        """Writes an image with its pseudo labels; nothing of its human labels goes along."""
        labelled = records.Record(
            source_id=record.source_id,
            encoded=record.encoded,
            image_format=record.image_format,
            height=record.height,
            width=record.width,
            filename=record.filename,
            annotations=kept.annotations,
            pseudo=True,
            class_label=kept.class_label,
            class_probabilities=kept.class_probabilities,
            label_map_png=None if kept.label_map is None else label_maps.encode(kept.label_map),
            score_map_png=None if kept.score_map is None else label_maps.encode(kept.score_map),
        )
        self._writer.write(records.to_example(labelled))
        self.counted.add(labelled, kept)


class Store:
    """A folder of pseudo-label shards, and how far the work on it is.

    Input image i goes to output shard i // shard_size, so a shard is a function of the input alone. A shard
    is written under a hidden name, its counts follow into the hidden folder `STATE`, then it gets its name.
    """

    def __init__(
        self,
        folder: str,
        num_images: int,
        shard_size: int,
        categories: Sequence[Mapping[str, Any]],
        best: int,
        keypoints: Mapping[str, Any] | None = None,
    ):
        """Args: where; input images; images a shard; class list; see `counts.ShardCounts`; see `data/keypoints.py`."""
        if shard_size < 1 or -(-num_images // shard_size) > _MAX_SHARDS:
            least = -(-num_images // _MAX_SHARDS)
            raise errors.bad_value('shard_size', shard_size, f'a whole number from {least}', '--shard_size')
        self.folder = folder
        self.shard_size = shard_size
        self.num_shards = -(-num_images // shard_size)
        self._categories = categories
        self._best = best
        self._keypoints = keypoints

    def shard_name(self, shard: int) -> str:
        """File name of a shard."""
        return f'{SPLIT}-{shard:05d}-of-{self.num_shards:05d}.tfrecord'

    def path(self, name: str) -> str:
        """Path of a file of the store."""
        return os.path.join(self.folder, name)

    def _state(self, name: str) -> str:
        return os.path.join(self.folder, STATE, name)

    def _temporary(self, shard: int, attempt: str) -> str:
        return self.path(f'.{self.shard_name(shard)}{attempt}.tmp')

    @property
    def complete(self) -> bool:
        """Whether the manifest is there."""
        return bool(tf.io.gfile.exists(self.path(MANIFEST)))

    def open(self, inputs: Mapping[str, Any]) -> None:
        """Starts, or goes on with, the work that `inputs` decide.

        Raises:
            UserError: the folder holds pseudo labels made from something else; the text names what differs.
        """
        tf.io.gfile.makedirs(self.folder)
        started = self._state('inputs.json')
        if self.complete:
            found = files.read_json(self.path(MANIFEST))
            before = found.get('inputs') if isinstance(found, dict) else None
            if not isinstance(before, dict):
                raise errors.UserError(
                    f"'{self.path(MANIFEST)}' is no manifest of pseudo labels; choose another --output_dir."
                )
            self._check_inputs(before, inputs)
            self._forget_state()
        elif files.exists(started) and not any(name.endswith('.tfrecord') for name in self._files()):
            # Nothing is labelled yet, be it that the teacher was refused: another one may be tried.
            self._remove_temporary()
            if _decisive(files.read_json(started)) != _decisive(inputs):
                self._forget_state()
                files.write_json(started, inputs)
        elif files.exists(started):
            self._check_inputs(files.read_json(started), inputs)
            self._remove_temporary()
        elif strange := [name for name in self._files() if name.endswith('.tfrecord')]:
            raise errors.UserError(
                f"'{self.folder}' holds shards of which nothing tells where they came from, such as "
                f"'{strange[0]}'; choose another --output_dir."
            )
        else:
            files.write_json(started, inputs)

    def _check_inputs(self, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        old, new = _decisive(before), _decisive(now)
        differing = [
            f'{key}: there {old.get(key)!r}, now {new.get(key)!r}'
            for key in sorted(old.keys() | new.keys())
            if old.get(key) != new.get(key)
        ]
        if differing:
            more = f' and {len(differing) - _TOLD} more' if len(differing) > _TOLD else ''
            raise errors.UserError(
                f"'{self.folder}' holds pseudo labels made otherwise ({'; '.join(differing[:_TOLD])}{more}); "
                'choose another --output_dir, or delete that folder.'
            )

    def _files(self) -> list[str]:
        return sorted(tf.io.gfile.listdir(self.folder))

    def _remove_temporary(self) -> None:
        for name in self._files():
            if name.startswith(f'.{SPLIT}-') and name.endswith('.tmp'):
                tf.io.gfile.remove(self.path(name))

    def _forget_state(self) -> None:
        if tf.io.gfile.exists(self.path(STATE)):
            tf.io.gfile.rmtree(self.path(STATE))

    def finished(self) -> list[dict[str, Any]]:
        """Returns the counts of the shards that are done: a run without gaps from the first on."""
        parts: list[dict[str, Any]] = []
        while len(parts) < self.num_shards:
            counted = self._state(f'{len(parts):05d}.json')
            if not (files.exists(counted) and files.exists(self.path(self.shard_name(len(parts))))):
                break
            parts.append(files.read_json(counted))
        return parts

    def unfinished(self) -> list[int]:
        """Returns the shards that are not done, wherever they are; those done may lie between them."""
        named = set(self._files())
        state = self.path(STATE)
        counted = set(tf.io.gfile.listdir(state)) if files.exists(state) else set()
        every = range(self.num_shards)
        return [one for one in every if not (self.shard_name(one) in named and f'{one:05d}.json' in counted)]

    def state_path(self, name: str) -> str:
        """Path of a file that goes when the store is complete."""
        return self._state(name)

    @contextlib.contextmanager
    def write_shard(self, shard: int, attempt: str = '') -> Iterator[ShardWriter]:
        """Gives a writer; the shard appears, whole, when the block ends well.

        Args:
            shard: its number.
            attempt: tells apart those who may write the same shard, the same bytes, at the same time.
        """
        temporary = self._temporary(shard, attempt)
        try:
            with tf.io.TFRecordWriter(temporary) as writer:
                taking = ShardWriter(writer, counts.ShardCounts(self._categories, self._best))
                yield taking
            content = taking.counted.as_json() | {'skipped': [vars(one) for one in taking.skipped]}
            files.write_json(self._state(f'{shard:05d}.json'), content)
            tf.io.gfile.rename(temporary, self.path(self.shard_name(shard)), overwrite=True)
        except BaseException:
            if tf.io.gfile.exists(temporary):
                tf.io.gfile.remove(temporary)
            raise

    def remember(self, name: str, value: Any) -> None:
        """Keeps a value for a restart."""
        files.write_json(self._state(f'{name}.json'), value)

    def remembered(self, name: str) -> Any:
        """Returns what `remember` kept, or None."""
        path = self._state(f'{name}.json')
        return files.read_json(path) if files.exists(path) else None

    def discard(self) -> None:
        """Removes everything written, for labels that are of no use."""
        for name in self._files():
            if name.removeprefix('.').startswith(f'{SPLIT}-'):
                tf.io.gfile.remove(self.path(name))
        self._forget_state()

    def describe(self, inputs: Mapping[str, Any], found: problems.ProblemList) -> dict[str, Any]:
        """Writes the data set description of the finished shards; returns the manifest's counts."""
        parts = self.finished()
        assert len(parts) == self.num_shards
        skipped = [problems.Problem(**one) for part in parts for one in part['skipped']]
        if found.problems or skipped:
            listed = problems.ProblemList('skip')
            listed.add(*found.problems, *skipped)
            listed.write(self.path(SKIPPED))
        kinds = problems.ProblemList('skip')
        kinds.add(*found.problems, *skipped)
        fields, counted = counts.merge(parts, self._categories)
        if 'keypoints' in counted and self._keypoints:
            fields['keypoints'] = dict(self._keypoints)
        description = {
            'format_version': shards.FORMAT_VERSION,
            'split': SPLIT,
            **fields,
            'shards': [self.shard_name(shard) for shard in range(self.num_shards)],
            'skipped': len(kinds.problems),
            'skipped_by_kind': kinds.counts(),
            'inputs_hash': files.hash_of(_decisive(inputs)),
            'code_version': official_rethink.__version__,
        }
        files.write_json(shards.description_path(self.folder, SPLIT), description)
        return counted | {'shards': description['shards'], 'skipped': description['skipped_by_kind']}

    def finish(self, manifest: Mapping[str, Any]) -> None:
        """Writes the manifest, which says that the store is complete."""
        files.write_json(self.path(MANIFEST), manifest)
        self._forget_state()


def _decisive(inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in nested.leaves(inputs).items() if not key.startswith(_MAY_DIFFER)}
