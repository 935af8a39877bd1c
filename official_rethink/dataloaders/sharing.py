"""Which examples a worker of several reads: those of its own shards, or its own part of every batch."""

import dataclasses
import sys
from typing import Any

import tensorflow as tf

from official_rethink.common import errors
from official_rethink.configs import types

SHARDS, EXAMPLES, SERVICE = 'shards', 'examples', 'service'

# Reading side by side is by a share of the shards, not of the machine's cores as tf.data would have it: the order of
# examples hangs on it.
_SHARDS_A_STREAM, _MOST_STREAMS = 16, 16


@dataclasses.dataclass(frozen=True)
class Share:
    """A worker's part of what is read.

    Attributes:
        by: SHARDS: it reads every so many-th shard, and its stream is its own. EXAMPLES: it reads all shards, in the
            order in which one process would, and takes its part of every global batch: the batch is the one that one
            process has. SERVICE: a tf.data service gives each batch to one worker.
        workers: how many there are.
        worker: this one's number, from 0.
    """

    by: str = EXAMPLES
    workers: int = 1
    worker: int = 0

    @property
    def stream(self) -> int:
        """Number of the stream, which its augmentation is drawn for: workers on one stream share it."""
        return self.worker if self.by == SHARDS else 0


def share_of(params: types.ShardData, shards: int, input_context: tf.distribute.InputContext | None) -> Share:
    """Decides which part a worker reads.

    Training is split by shards where there are enough of them; evaluation by examples always, so that each is counted
    once and in the batches of one process. The first worker says on standard error what is worth knowing.

    Args:
        params: the data config; `sharding` False asks for splitting by examples.
        shards: how many there are.
        input_context: None: one worker.

    Raises:
        UserError: examples have to be split, but their order is not to be fixed.
    """
    workers = input_context.num_input_pipelines if input_context else 1
    worker = input_context.input_pipeline_id if input_context else 0
    if params.is_training and params.enable_tf_data_service:
        return Share(SERVICE, workers, worker)
    if workers == 1:
        return Share()
    by_shards = params.is_training and params.sharding and shards >= workers
    if not by_shards:
        _check_order(params, shards, workers)
    if params.is_training and worker == 0:
        _remark(params, shards, workers)
    return Share(SHARDS if by_shards else EXAMPLES, workers, worker)


def _check_order(params: types.ShardData, shards: int, workers: int) -> None:
    if params.deterministic:
        return
    raise errors.UserError(
        f"'{params.input_path}' has to be split by examples over {workers} workers ({shards} shards), but "
        f'deterministic is {params.deterministic}: each worker would read in another order, so that some examples '
        'were read twice and others never. Set deterministic to true, or write as many shards as there are workers.'
    )


def _remark(params: types.ShardData, shards: int, workers: int) -> None:
    if not params.sharding:
        return
    text = ''
    if shards < workers:
        text = (
            f'each worker reads all of them and takes its part of every batch, so that the data is read {workers} '
            f'times over. Batches are those of one process. Write {workers} shards or more (prepare has --num_shards) '
            'to have each read by one worker, or set sharding to false to keep it so.'
        )
    elif shards % workers:
        text = (
            f'some read {shards // workers} in a pass and others {-(-shards // workers)}, and the examples of fewer '
            f'come round more often. Which these are changes from pass to pass. Write a multiple of {workers} shards, '
            'or set sharding to false, to have all examples equally often.'
        )
    if text:
        sys.stderr.write(f"warning: '{params.input_path}' has {shards} shards for {workers} workers: {text}\n")


def streams(shards: int) -> int:
    """Shards that are read side by side unless the config says so: one of every 16, from 1 to 16."""
    return max(1, min(_MOST_STREAMS, shards // _SHARDS_A_STREAM))


def own(dataset: tf.data.Dataset, batch_size: int, drop_remainder: bool, share: Share, mirrored: bool = False) -> Any:
    """Keeps a worker's part of every global batch.

    Args:
        dataset: of single examples, still encoded; the same on every worker.
        batch_size: of the global batch, a multiple of the number of workers.
        drop_remainder: whether a last batch that is not full is left out, on all workers.
        share: which part.
        mirrored: also keep the part that lies opposite in the batch; see `places`.

    Returns:
        A dataset of single examples.
    """
    if share.by != EXAMPLES or share.workers == 1:
        return dataset
    parts = _parts(batch_size, share, mirrored)

    def take(*values: Any) -> Any:
        taken = tf.nest.map_structure(
            lambda value: tf.concat([value[start:end] for start, end in parts], axis=0), values
        )
        return taken if len(taken) > 1 else taken[0]

    return dataset.batch(batch_size, drop_remainder=drop_remainder).map(take).unbatch()


def _parts(batch_size: int, share: Share, mirrored: bool) -> list[tuple[int, int]]:
    size = batch_size // share.workers
    numbers = {share.worker, share.workers - 1 - share.worker} if mirrored else {share.worker}
    return [(number * size, number * size + size) for number in sorted(numbers)]


@dataclasses.dataclass(frozen=True)
class Places:
    """Where the examples a worker mixes stand in the batch that is mixed as a whole.

    Attributes:
        total: examples of the whole batch.
        read: the places of those the worker reads, which with each hold the one opposite it.
        kept: from which to which of `read` are the worker's own.
    """

    total: int
    read: tuple[int, ...]
    kept: tuple[int, int]


def places(batch_size: int, share: Share) -> Places:
    """The places of `own`'s mirrored parts; of a worker with a stream of its own, all of its batch."""
    if share.by != EXAMPLES:
        size = batch_size // share.workers
        return Places(size, tuple(range(size)), (0, size))
    parts = _parts(batch_size, share, mirrored=True)
    size = batch_size // share.workers
    first = next(number for number, (start, _) in enumerate(parts) if start == share.worker * size) * size
    read = tuple(place for start, end in parts for place in range(start, end))
    return Places(batch_size, read, (first, first + size))
