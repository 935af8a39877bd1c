"""Compares two pseudo-label stores, or two prepared sets, record by record: `python -m tools.compare_stores A B`.

Shards have to hold the same records in the same order, descriptions and lists of what was left out to be the same text,
and manifests the same values but for their date. What only one machine or only the pipeline writes (galleries, dead
letters, locks) is not compared. Exit code 0 if nothing differs, 1 if something does.
"""

import hashlib
import itertools
import json
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from official_rethink.common import entry_point, errors

_MANIFEST = 'manifest.json'
_TEXTS = ('.json', '-skipped.jsonl')
_NOT_COMPARED = ('gallery.json', 'quality.json')
_TOLD = 10


def main(argv: Sequence[str]) -> int:
    """Prints what was compared and what differs; returns 1 if anything does."""
    parser = entry_point.Parser(prog='python -m tools.compare_stores', description=__doc__)
    parser.add_argument('first', help='a folder of shards')
    parser.add_argument('second', help='another one')
    args = parser.parse_args(list(argv))
    found, counted = compare(args.first, args.second)
    for line in found[:_TOLD]:
        sys.stdout.write(f'differs: {line}\n')
    if len(found) > _TOLD:
        sys.stdout.write(f'and {len(found) - _TOLD} more\n')
    told = ', '.join(f'{count:,} {name}' for name, count in counted.items())
    sys.stdout.write(f'{"different" if found else "equal"}: {told}\n')
    return 1 if found else 0


def compare(first: str, second: str) -> tuple[list[str], dict[str, int]]:
    """Compares two folders.

    Returns:
        What differs, a line each; and how many shards, records, bytes of records and other files were compared.

    Raises:
        UserError: one of them is no folder, or holds no shard.
    """
    names = [_names(first), _names(second)]
    found = [f"'{name}' is in one of the two alone" for name in sorted(names[0] ^ names[1])]
    counted = {'shards': 0, 'records': 0, 'bytes': 0, 'other files': 0}
    for name in sorted(names[0] & names[1]):
        paths = os.path.join(first, name), os.path.join(second, name)
        if name.endswith('.tfrecord'):
            counted['shards'] += 1
            found += _records(name, *paths, counted)
        else:
            counted['other files'] += 1
            found += _texts(name, *paths)
    return found, counted


def _names(folder: str) -> set[str]:
    from tensorflow import io  # noqa: PLC0415

    if not io.gfile.isdir(folder):
        raise errors.UserError(f"'{folder}' is no folder; allowed: a folder of shards.")
    names = {name for name in io.gfile.listdir(folder) if not name.startswith('.')}
    if not any(name.endswith('.tfrecord') for name in names):
        raise errors.UserError(f"'{folder}' holds no shard (*.tfrecord).")
    return {name for name in names if name.endswith(('.tfrecord', *_TEXTS)) and name not in _NOT_COMPARED}


def _records(name: str, first: str, second: str, counted: dict[str, int]) -> Iterator[str]:
    """Yields what differs between two shards; reads them side by side, a record at a time."""
    import tensorflow as tf  # noqa: PLC0415

    streams = (tf.data.TFRecordDataset(path).as_numpy_iterator() for path in (first, second))
    for number, (ours, theirs) in enumerate(itertools.zip_longest(*streams)):
        if ours is None or theirs is None:
            yield f"'{name}': one has {number} records, the other more"
            return
        counted['records'] += 1
        counted['bytes'] += len(ours)
        if ours != theirs:
            yield f"'{name}', record {number}: {_features(ours, theirs)}"


def _features(first: bytes, second: bytes) -> str:
    """Says which features of two records differ, or that their bytes do."""
    import tensorflow as tf  # noqa: PLC0415

    ours, theirs = (tf.train.Example.FromString(one).features.feature for one in (first, second))
    # A map of messages makes what is asked for, so the keys are looked at first.
    alone = set(ours) ^ set(theirs)
    differing = sorted(alone | {key for key in set(ours) - alone if ours[key] != theirs[key]})
    hashes = ' and '.join(hashlib.sha256(one).hexdigest()[:12] for one in (first, second))
    return f'{", ".join(differing) or "the order of the bytes"} (sha256 {hashes})'


def _texts(name: str, first: str, second: str) -> Iterator[str]:
    from tensorflow import io  # noqa: PLC0415

    texts = []
    for path in (first, second):
        with io.gfile.GFile(path, 'rb') as handle:
            texts.append(handle.read())
    if name == _MANIFEST:
        values: list[Any] = [json.loads(text) | {'date': ''} for text in texts]
        yield from (
            f"'{name}', {key}" for key in sorted({*values[0], *values[1]}) if values[0].get(key) != values[1].get(key)
        )
    elif texts[0] != texts[1]:
        yield f"'{name}'"


if __name__ == '__main__':
    entry_point.run(main)
