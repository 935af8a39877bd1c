"""From shards to batches, the same examples for the same seed and step, also after a restart."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import tensorflow as tf
from official.core import input_reader

from official_rethink.common import errors, files
from official_rethink.configs import types
from official_rethink.dataloaders import decoder, detection, full_batches, service, sharing, short_lived

_SHUFFLE_SALT = 0x5EED
# So that equal positions of two streams of a run are augmented differently.
PSEUDO_SALT = 500_009
# Of pseudo-labelled examples: whether an image of which nothing passes the threshold takes a place in a batch.
_KEEP_EMPTY = ('keep_images_without_boxes', 'keep_images_without_labels', 'keep_images_without_keypoints')
_ID_BUCKETS = 2**62
_NO_SHARDS = ('.json', '.jsonl', '.tmp', '.lock')


class Mix(Protocol):
    """Joins the examples of a batch in pairs, each with the one opposite it; see `ClassificationParser.mix`."""

    def __call__(
        self, images: tf.Tensor, labels: dict[str, Any], seed: tf.Tensor, places: sharing.Places
    ) -> tuple[tf.Tensor, dict[str, Any]]:
        """Mixes those of a batch that stand at some places of it."""


class Parser(Protocol):
    """What a task family does with a record: all tensors it returns have static shapes."""

    def decode(self, record: tf.Tensor) -> dict[str, tf.Tensor]:
        """Reads a serialized record."""

    def train(self, decoded: dict[str, tf.Tensor], seed: tf.Tensor) -> tuple[tf.Tensor, dict[str, Any]]:
        """Makes an augmented example, a function of record and seed alone."""

    def evaluate(self, decoded: dict[str, tf.Tensor]) -> tuple[tf.Tensor, dict[str, Any]]:
        """Makes an example of a record alone."""

    # Where pseudo labels can be left out while reading: kept(decoded) -> bool tensor, which of them are not; and
    # wanted(decoded) -> bool scalar, where an image without any is more than that.


class _ShardReader(input_reader.InputReader):
    """Model Garden's reader; a pattern such as data/train* does not take the description train.json along."""

    _cycle_length: int | None
    _files_context: tf.distribute.InputContext | None = None

    def get_files(self, input_path: str) -> list[str]:
        """Returns the shards in order of their names, so that their order does not hang on the file system."""
        return sorted(path for path in super().get_files(input_path) if not path.endswith(_NO_SHARDS))

    @property
    def num_shards(self) -> int:
        """How many shards the pattern matches."""
        return len(self._matched_files)

    def read_as(self, share: sharing.Share, input_context: tf.distribute.InputContext | None) -> tf.data.Dataset:
        """Reads what one worker of several reads; see `sharing.Share`."""
        if self._cycle_length is None:
            # Who shares the batches of one process has to read as it does.
            readers = share.workers if share.by == sharing.SHARDS else 1
            self._cycle_length = sharing.streams(self.num_shards // readers)
        # To a worker that reads all shards Model Garden's reader need not say that there are others.
        self._files_context = input_context if share.by == sharing.SHARDS else None
        return self.read(input_context=input_context)

    def _read_data_source(self, matched_files: Any, dataset_fn: Any, input_context: Any = None) -> tf.data.Dataset:
        return super()._read_data_source(matched_files, dataset_fn, self._files_context)


def _read_shards(split_file: str, copies: Mapping[str, int] | None) -> Callable[[Any], tf.data.Dataset]:
    """Returns a reader of serialized records that gives each image as often as it should occur."""
    if copies is None:
        if not split_file:
            return tf.data.TFRecordDataset
        image_ids = [str(image_id) for image_id in files.read_json(split_file)['image_ids']]
        if not image_ids:
            raise errors.UserError(f"task.train_data.split_file '{split_file}' names no image.")
        copies = dict.fromkeys(image_ids, 1)
    wanted = _looked_up(copies)

    def repeated(record: tf.Tensor) -> tf.data.Dataset:
        return tf.data.Dataset.from_tensors(record).repeat(wanted(decoder.source_id(record)))

    if max(copies.values()) == 1:
        return lambda paths: tf.data.TFRecordDataset(paths).filter(lambda record: wanted(decoder.source_id(record)) > 0)
    return lambda paths: tf.data.TFRecordDataset(paths).flat_map(repeated)


def _looked_up(copies: Mapping[str, int]) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns a function from an image's id to its entry, 0 without one.

    Made of constants, for a table of TensorFlow's is a resource of this process, which no tf.data service has.
    """
    names = np.array(list(copies))
    keys = tf.strings.to_hash_bucket_fast(names, _ID_BUCKETS).numpy()
    order = np.argsort(keys)
    assert len(set(keys)) == len(names), 'two ids have one hash'
    ids, counts = tf.constant(names[order]), tf.constant(np.array(list(copies.values()))[order], tf.int64)
    ordered = tf.constant(keys[order])

    def looked_up(image_id: tf.Tensor) -> tf.Tensor:
        key = tf.strings.to_hash_bucket_fast(image_id, _ID_BUCKETS)
        found = tf.minimum(tf.searchsorted(ordered, [key])[0], len(names) - 1)
        return tf.where(tf.equal(ids[found], image_id), counts[found], tf.constant(0, tf.int64))

    return looked_up


def _train_dataset(
    dataset: tf.data.Dataset,
    parser: Any,
    params: types.ShardData,
    seed: int,
    first_step: int,
    replicas: int,
    share: sharing.Share,
    mix: Mix | None,
) -> tf.data.Dataset:
    """Augments and batches; example i of the stream always gets the augmentation of (seed, i)."""
    decode, size = parser.decode, params.global_batch_size
    salt, served = seed * 1_000_003 + share.stream, share.by == sharing.SERVICE

    def parse(index: tf.Tensor, record: tf.Tensor) -> tuple[tf.Tensor, dict[str, Any]]:
        index = service.place() if served else index
        return parser.train(decode(record), tf.stack([tf.constant(salt, tf.int64), index]))

    dataset = dataset.enumerate()
    if not all(getattr(params, name, True) for name in _KEEP_EMPTY):
        wanted = getattr(parser, 'wanted', lambda decoded: tf.reduce_any(parser.kept(decoded)))
        dataset = _only(dataset, lambda record: wanted(decode(record)))
    if not served:
        # Skipping still encoded records costs little, and a resumed run sees what it would have seen.
        dataset = dataset.skip(first_step * size // (share.workers if share.by == sharing.SHARDS else 1))
    dataset = sharing.own(dataset, size, True, share, mirrored=mix is not None)
    dataset = dataset.map(parse, num_parallel_calls=tf.data.AUTOTUNE)
    if mix is None:
        dataset = dataset.batch(size // replicas, drop_remainder=True)
    else:
        places = sharing.places(size, share)
        dataset = _mixed(dataset, mix, salt, first_step, places).rebatch(size // replicas, drop_remainder=True)
    if served:
        dataset = service.distributed(dataset, params, share.workers, f'{salt}_{first_step}_{size}')
    # It goes round and round. Told so, several workers need not ask each other at every step who has an example left.
    return dataset.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))


def _only(dataset: tf.data.Dataset, wanted: Callable[[tf.Tensor], tf.Tensor]) -> tf.data.Dataset:
    """Leaves those (index, record) out whose record is not wanted; several are looked at side by side."""
    flagged = dataset.map(
        lambda index, record: (index, record, wanted(record)), num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )
    return flagged.filter(lambda index, record, flag: flag).map(lambda index, record, flag: (index, record))


def _mixed(
    dataset: tf.data.Dataset, mix: Mix, salt: int, first_step: int, places: sharing.Places
) -> tf.data.Dataset:
    """Mixes the examples of each batch before replicas share it out, so that their number changes nothing."""

    def mixed(index: tf.Tensor, batch: tuple[tf.Tensor, dict[str, Any]]) -> tuple[tf.Tensor, dict[str, Any]]:
        joined = mix(*batch, tf.stack([tf.constant(salt, tf.int64), index]), places)
        return tf.nest.map_structure(lambda value: value[slice(*places.kept)], joined)

    batches = dataset.batch(len(places.read), drop_remainder=True)
    return batches.enumerate(first_step).map(mixed, num_parallel_calls=tf.data.AUTOTUNE)


# Of all functions that are mapped in here, with all that they call, Model Garden's too: no `if` or `for` of theirs
# hangs on a tensor, and AutoGraph would translate every line, for seconds of each process before its first batch.
@tf.autograph.experimental.do_not_convert
def read(
    params: types.ShardData,
    output_size: tuple[int, int],
    seed: int = 0,
    first_step: int = 0,
    input_context: tf.distribute.InputContext | None = None,
    parser: Parser | None = None,
    copies: Mapping[str, int] | None = None,
    mix: Mix | None = None,
) -> tf.data.Dataset:
    """Reads batches.

    Args:
        params: where the data is and what is done to it.
        output_size: the network's input height and width.
        seed: fixes the order of examples and their augmentation.
        first_step: steps a run has behind it; the stream starts after their examples.
        input_context: which part of a distributed batch is wanted.
        parser: makes examples of records; a `detection.DetectionParser` if None.
        copies: how often an image occurs in a pass, by source id; None: once each, if the split has it.
        mix: of training batches, what joins their examples; gets images, labels and a seed int64 [2].

    Returns:
        Batches of what the parser makes, such as (images uint8 [B, H, W, 3], labels).

    Raises:
        UserError: no shard matches `input_path`, or the split file is missing or empty.
    """
    if not params.input_path:
        raise errors.UserError("input_path is ''; name the shards, for example data/train*.")
    parser = parser or detection.DetectionParser(params, output_size)
    # A service gives no order to go on in: a resumed run takes another one.
    shuffle = seed + first_step if params.enable_tf_data_service else seed
    params = params.replace(seed=shuffle ^ _SHUFFLE_SALT)
    size = params.global_batch_size
    replicas = size // input_context.get_per_replica_batch_size(size) if input_context else 1

    def batch(dataset: tf.data.Dataset, context: Any) -> tf.data.Dataset:
        del context
        if params.is_training:
            shuffled = dataset.shuffle(params.shuffle_buffer_size, seed=params.seed)
            return _train_dataset(shuffled, parser, params, seed, first_step, replicas, share, mix)
        decode = parser.decode
        dataset = sharing.own(dataset, size, params.drop_remainder, share)
        parsed = dataset.map(lambda record: parser.evaluate(decode(record)), num_parallel_calls=tf.data.AUTOTUNE)
        return short_lived.untuned(parsed.batch(size // replicas, drop_remainder=params.drop_remainder))

    read_shards = _read_shards(params.split_file, copies)
    # What Model Garden's reader does for a service keeps no example apart.
    plain = params.replace(enable_tf_data_service=False)
    try:
        # Model Garden's reader shards and interleaves the files; it would shuffle and decode in an order
        # that a restart cannot repeat, so that part is ours.
        reader = _ShardReader(
            # Training shuffles below; evaluation keeps the order of the shards.
            plain.replace(shuffle_buffer_size=1) if params.is_training else plain.replace(cycle_length=1),
            dataset_fn=read_shards,
            transform_and_batch_fn=batch,
        )
    except ValueError as error:
        raise errors.UserError(f"input_path '{params.input_path}' matches no file.") from error
    share = sharing.share_of(params, reader.num_shards, input_context)
    dataset = reader.read_as(share, input_context)
    if params.is_training or params.drop_remainder or not full_batches.needed():
        return dataset
    return full_batches.fill(dataset, size // replicas, replicas)


def read_joint(
    human: types.DataConfig,
    pseudo: types.PseudoDataConfig,
    output_size: tuple[int, int],
    seed: int = 0,
    first_step: int = 0,
    input_context: tf.distribute.InputContext | None = None,
) -> tf.data.Dataset:
    """Reads joint batches of detection; see `join`. Args: as `read`, for both kinds."""
    return join(
        read(human, output_size, seed, first_step, input_context),
        read(pseudo, output_size, seed + PSEUDO_SALT, first_step, input_context),
    )


@tf.autograph.experimental.do_not_convert  # see `read`
def join(human: tf.data.Dataset, pseudo: tf.data.Dataset) -> tf.data.Dataset:
    """Joins two streams into batches with, in each replica's part, human examples first, then pseudo examples.

    Returns:
        Batches of (images, labels) whose first axis is human batch size + pseudo batch size.
    """

    def concatenated(left: Any, right: Any) -> Any:
        return tf.nest.map_structure(lambda a, b: tf.concat([a, b], axis=0), left, right)

    streams = tf.data.Dataset.zip((human, pseudo))
    return streams.map(concatenated, num_parallel_calls=1, deterministic=True).prefetch(2)
