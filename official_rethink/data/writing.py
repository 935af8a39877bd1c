"""What the commands of `prepare` have in common: the flags of writing, the hash of the inputs, who writes the set."""

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from official_rethink.common import errors

# `shards.write`, or what takes its arguments, and `work_hash` (see `inputs_hash`), and leaves the same set.
Writer = Callable[..., dict[str, Any]]
_MAX_PROCESSES = 8


def add_flags(parser: argparse.ArgumentParser, split: str) -> None:
    """Adds the flags of every command that writes a set; `split` is the default's name, '' if it is the list's."""
    parser.add_argument('--output_dir', required=True, help='folder for the shards and the description')
    parser.add_argument('--split', default=split, help=f'name of the shards (default: {split or "the list"})')
    parser.add_argument('--num_shards', type=int, help='(default: one per 512 images, up to 256)')
    parser.add_argument('--processes', type=int, help='that read images (default: one per core, up to 8)')
    parser.add_argument(
        '--on_error',
        default='stop',
        choices=('stop', 'skip'),
        help='stop: tell up to 20 problems at once; skip: leave them out, listed in SPLIT-skipped.jsonl',
    )
    parser.add_argument('--overwrite', action='store_true', help='replace another set of the same name')


def processes(args: argparse.Namespace, images: int) -> int:
    """How many processes read so many images."""
    if args.processes is not None:
        if args.processes < 1:
            raise errors.bad_value('processes', args.processes, 'a whole number from 1', where='--processes')
        return int(args.processes)
    # A process takes about as long to start as a hundred images to read.
    return max(min(os.cpu_count() or 1, _MAX_PROCESSES, images // 200), 1)


def inputs_hash(args: argparse.Namespace, hash_of: Callable[..., str], **options: Any) -> str:
    """Returns the hash of what is read and how it is written.

    For another writer `args.work_hash` becomes the same without what does not change a single record: what is begun
    with one --on_error or --num_shards may be finished with another.

    Args:
        args: the command's.
        hash_of: of the options.
        **options: further ones.
    """
    given = {**options, 'num_shards': args.num_shards, 'on_error': args.on_error}
    if args.writer is not None:
        args.work_hash = hash_of(**given | {'num_shards': None, 'on_error': ''})
    return hash_of(**given)


def write(
    args: argparse.Namespace, items: Any, categories: Sequence[Mapping[str, Any]], total: int | None, **more: Any
) -> dict[str, Any]:
    """Writes a set, by `args.writer` if there is one; see `shards.write`."""
    from official_rethink.data import shards

    write_set: Writer = shards.write
    if args.writer is not None:
        write_set, more = args.writer, {**more, 'work_hash': args.work_hash}
    return write_set(
        items,
        args.output_dir,
        args.split,
        categories,
        total=total,
        processes=processes(args, total or 0),
        overwrite=args.overwrite,
        **{'num_shards': args.num_shards} | more,
    )
