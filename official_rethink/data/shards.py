"""TFRecord shards and the description beside them: one writer for every data set, whole or not there."""

import contextlib
import fnmatch
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf

import official_rethink
from official_rethink.common import errors, files, progress
from official_rethink.data import problems, records, statistics, workers

FORMAT_VERSION = 1
IMAGES_PER_SHARD = 512
MAX_SHARDS = 256
_SHARD_NAME = re.compile(r'^(?P<split>.+)-(?P<index>\d{5})-of-(?P<count>\d{5})\.tfrecord$')
_SPLIT_NAME = re.compile(r'^[A-Za-z0-9][A-Za-z0-9_.]*(-[A-Za-z0-9_.]+)*$')


def write(
    items: Iterable[Any],
    output_dir: str,
    split: str,
    categories: Sequence[Mapping[str, Any]],
    *,
    make: Callable[[Any], records.Record | problems.Made] | None = None,
    total: int | None = None,
    num_shards: int | None = None,
    processes: int = 1,
    inputs_hash: str = '',
    found: problems.ProblemList | None = None,
    overwrite: bool = False,
    fields: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Writes `<output_dir>/<split>-00000-of-0000N.tfrecord` and, last of all, `<output_dir>/<split>.json`.

    Shards are written under hidden temporary names and renamed when all are complete; the
    description's presence means that the set is complete. Record i goes to shard i mod N, so the
    files are the same bytes whatever the number of processes. If the same set is there already
    (equal `inputs_hash`), nothing is written.

    Args:
        items: records; or, with `make`, anything it takes.
        output_dir: made if it is missing.
        split: letters, digits, '_', '.' and inner '-'.
        categories: `{'id': 1, 'name': 'cat', 'source_id': 17}` each; empty for unlabelled images.
        make: turns an item into a record; picklable if `processes` > 1. A process that runs it need
            not import TensorFlow.
        total: number of items, if `items` has no length; unknown: one shard, unless `num_shards` says else.
        num_shards: one per 512 images if None, 256 at most.
        processes: that run `make`.
        inputs_hash: of everything that decides what is written; '' writes always.
        found: takes the problems that `make` reports, and decides whether they stop or are skipped.
        overwrite: replace another set of the same name.
        fields: more for the description, such as `keypoints`.

    Returns:
        The description.

    Raises:
        UserError: problems in the data, another set under the same name, or no image at all.
    """
    found = found or problems.ProblemList()
    existing = complete(output_dir, split, inputs_hash) if _SPLIT_NAME.match(split) else None
    if existing is not None:
        return existing
    total, num_shards = begin(items, output_dir, split, total, num_shards, overwrite)
    made = items if make is None else workers.ordered_map(make, items, processes)
    with progress.Progress(f'writing {split}', total) as bar:
        collected = _write_shards(made, output_dir, split, categories, num_shards, found, bar)
    temporary = [_temporary(output_dir, _shard_name(split, i, num_shards)) for i in range(num_shards)]
    return publish(collected | dict(fields or {}), temporary, output_dir, split, inputs_hash, found)


def begin(
    items: Iterable[Any], output_dir: str, split: str, total: int | None, num_shards: int | None, overwrite: bool
) -> tuple[int | None, int]:
    """Checks what `write` was given, and makes room.

    Returns:
        The number of items, if it is known, and of shards.

    Raises:
        UserError: a value that is not allowed, or another set under the same name.
    """
    if not _SPLIT_NAME.match(split):
        raise errors.bad_value('split', split, "letters, digits, '_', '.' and inner '-'", where='--split')
    if total is None and isinstance(items, Sequence):
        total = len(items)
    if num_shards is None:
        num_shards = min(max(-(-(total or 1) // IMAGES_PER_SHARD), 1), MAX_SHARDS)
    if not 1 <= num_shards <= 99999:
        raise errors.bad_value('num_shards', num_shards, '1 to 99999', where='--num_shards')
    _check_room(output_dir, split, overwrite)
    return total, num_shards


def publish(
    collected: Mapping[str, Any],
    temporary: Sequence[str],
    output_dir: str,
    split: str,
    inputs_hash: str,
    found: problems.ProblemList,
) -> dict[str, Any]:
    """Gives complete shards their names, in the place of an older set, and writes the description last of all.

    Args:
        collected: the description's fields that depend on what the records are.
        temporary: where the shards lie, in order.
        output_dir: see `write`.
        split: see `write`.
        inputs_hash: see `write`.
        found: what was left out.

    Returns:
        The description.
    """
    description = {
        'format_version': FORMAT_VERSION,
        'split': split,
        **collected,
        'shards': [_shard_name(split, i, len(temporary)) for i in range(len(temporary))],
        'skipped': len(found.problems),
        'skipped_by_kind': found.counts(),
        'inputs_hash': inputs_hash,
        'code_version': official_rethink.__version__,
    }
    _remove_old(output_dir, split)
    if found.problems:
        found.write(os.path.join(output_dir, f'{split}-skipped.jsonl'))
    for path, name in zip(temporary, description['shards'], strict=True):
        tf.io.gfile.rename(path, os.path.join(output_dir, name), overwrite=True)
    files.write_json(description_path(output_dir, split), description)
    return description


def _write_shards(
    made: Iterable[Any],
    output_dir: str,
    split: str,
    categories: Sequence[Mapping[str, Any]],
    num_shards: int,
    found: problems.ProblemList,
    bar: progress.Progress,
) -> dict[str, Any]:
    """Writes the temporary shards and returns what is in them; whatever goes wrong, none is left behind."""
    collected = statistics.Statistics(num_shards)
    paths = [_temporary(output_dir, _shard_name(split, i, num_shards)) for i in range(num_shards)]
    try:
        with contextlib.ExitStack() as stack:
            writers = [stack.enter_context(tf.io.TFRecordWriter(path)) for path in paths]
            for item in made:
                outcome = item if isinstance(item, problems.Made) else problems.Made(item)
                found.add(*outcome.problems)
                if outcome.record is not None:
                    shard = collected.add(outcome.record)
                    writers[shard].write(records.to_example(outcome.record))
                bar.update()
        found.check()
        return describe(collected, output_dir, split, categories)
    except BaseException:
        for path in paths:
            if tf.io.gfile.exists(path):
                tf.io.gfile.remove(path)
        raise


def describe(
    collected: statistics.Statistics, output_dir: str, split: str, categories: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Returns the description's fields that depend on what the records are.

    Raises:
        UserError: there is no record.
    """
    if not collected.num_images:
        raise errors.UserError(f"no image is left to write for split '{split}' in '{output_dir}'.")
    return collected.description(categories)


def description_path(output_dir: str, split: str) -> str:
    """Where the description of a split lies."""
    return os.path.join(output_dir, f'{split}.json')


def _shard_name(split: str, index: int, count: int) -> str:
    return f'{split}-{index:05d}-of-{count:05d}.tfrecord'


def _temporary(output_dir: str, name: str) -> str:
    return os.path.join(output_dir, f'.{name}.tmp')  # hidden: no pattern of a reader matches it


def complete(output_dir: str, split: str, inputs_hash: str) -> dict[str, Any] | None:
    """Returns the description if the set made from these inputs is there, whole; says so on the screen."""
    path = description_path(output_dir, split)
    if not inputs_hash or not tf.io.gfile.exists(path):
        return None
    try:
        description = load_description(path)
    except errors.UserError:
        return None
    if description.get('inputs_hash') != inputs_hash:
        return None
    sys.stderr.write(f"'{path}' is complete and made from the same inputs: nothing to do.\n")
    return description


def _check_room(output_dir: str, split: str, overwrite: bool) -> None:
    """Refuses to replace a described set unasked; removes the temporary files of an interrupted run."""
    tf.io.gfile.makedirs(output_dir)
    path = description_path(output_dir, split)
    if tf.io.gfile.exists(path) and not overwrite:
        raise errors.UserError(
            f"'{path}' describes a data set made from other inputs. Choose another --output_dir or --split, "
            'or replace it with --overwrite.'
        )
    for name in tf.io.gfile.listdir(output_dir):
        match = _SHARD_NAME.match(name.removeprefix('.').removesuffix('.tmp'))
        if match and match['split'] == split and name.endswith('.tmp'):
            tf.io.gfile.remove(os.path.join(output_dir, name))


def _remove_old(output_dir: str, split: str) -> None:
    """Removes the set that is being replaced; its description first, so that nothing looks complete."""
    path = description_path(output_dir, split)
    if tf.io.gfile.exists(path):
        tf.io.gfile.remove(path)
    for name in tf.io.gfile.listdir(output_dir):
        match = _SHARD_NAME.match(name)
        if (match and match['split'] == split) or name == f'{split}-skipped.jsonl':
            tf.io.gfile.remove(os.path.join(output_dir, name))


def load_description(path_or_pattern: str) -> dict[str, Any]:
    """Returns the description that belongs to shards.

    Args:
        path_or_pattern: `dir/train.json`, a pattern of shards (`dir/train*`, `dir/train-*.tfrecord`),
            or a folder that holds one set.

    Raises:
        UserError: no such set, more than one, or an incomplete one.
    """
    path = find_description(path_or_pattern)
    description = files.read_json(path)
    needed = {'split', 'image_ids', 'shards', 'format_version'}
    if not isinstance(description, dict) or not needed <= set(description):
        raise errors.UserError(f"'{path}' is not a data set description as `prepare` writes it.")
    version = description['format_version']
    if version != FORMAT_VERSION:
        raise errors.bad_value('format_version', version, str(FORMAT_VERSION), where=path)
    folder = os.path.dirname(path)
    missing = [name for name in description['shards'] if not tf.io.gfile.exists(os.path.join(folder, name))]
    if missing:
        raise errors.UserError(
            f"'{path}' names {len(description['shards'])} shards, of which {len(missing)} are missing, "
            f"e.g. '{missing[0]}'. Prepare the data again."
        )
    return description


def find_description(path_or_pattern: str) -> str:
    """Returns the path of the description that `load_description` would read, with the same errors."""
    if path_or_pattern.endswith('.json'):
        return path_or_pattern
    if tf.io.gfile.isdir(path_or_pattern):
        folder, pattern = path_or_pattern, '*'
    else:
        folder, pattern = os.path.split(path_or_pattern)
    folder = folder or '.'
    names = tf.io.gfile.listdir(folder) if tf.io.gfile.isdir(folder) else []
    matches = [_SHARD_NAME.match(name) for name in fnmatch.filter(names, pattern)]
    splits = sorted({match['split'] for match in matches if match})
    every = sorted({match['split'] for match in map(_SHARD_NAME.match, names) if match})
    if len(splits) != 1:
        there = f"There: {', '.join(every)}." if every else 'There are no shards there.'
        problem = 'no shards match' if not splits else f"shards of several sets ({', '.join(splits)}) match"
        raise errors.UserError(f"{problem} '{path_or_pattern}'. {there}")
    path = description_path(folder, splits[0])
    if not tf.io.gfile.exists(path):
        raise errors.UserError(
            f"the shards '{path_or_pattern}' have no description '{path}': their preparation was "
            'interrupted, or something else wrote them. Prepare the data again.'
        )
    return path


def shard_paths(path_or_pattern: str) -> list[str]:
    """Returns the paths of a complete set's shards, in order; reading these can never mix two sets."""
    path = find_description(path_or_pattern)
    return [os.path.join(os.path.dirname(path), name) for name in load_description(path)['shards']]


def read(path_or_pattern: str) -> Iterator[records.Record]:
    """Yields the records of a complete set, shard by shard, in the order of its `image_ids`."""
    for path in shard_paths(path_or_pattern):
        for serialized in tf.data.TFRecordDataset(path).as_numpy_iterator():
            yield records.from_example(serialized)
