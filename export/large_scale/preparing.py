"""Preparing a set as two pipelines, where `official_rethink.prepare` has one process: parts, then shards of them.

Each is a list of numbers that are left to do -> Reshuffle -> make -> counts.
"""

import functools
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from export.large_scale import beam, parts, watch
from official_rethink.common import entry_point, errors
from official_rethink.data import problems, statistics

NAMESPACE = 'prepare_at_scale'
_COUNTED = ('parts', 'images', 'left_out', 'problems', 'failed_parts', 'shards', 'records')


class _Work(beam.DoFn):  # type: ignore[misc]
    """Does a part or a shard after the other, and counts what was done."""

    def __init__(self, does: Callable[[int], dict[str, int]]):
        """Args: does the one of a number; returns what is to be counted."""
        super().__init__()
        self._does = does

    def setup(self) -> None:
        """Silences TensorFlow, and makes the counters."""
        from apache_beam import metrics  # noqa: PLC0415

        entry_point.quieten()
        self._counters = {name: metrics.Metrics.counter(NAMESPACE, name) for name in _COUNTED}

    def process(self, number: int) -> Iterator[int]:
        """Works; gives the number."""
        for name, count in self._does(number).items():
            self._counters[name].inc(count)
        yield number


def _make_part(state: parts.State, make: Callable[[Any], Any], number: int) -> dict[str, int]:
    """Makes a part's images to its records, or notes why it cannot be done."""
    try:
        return state.make_part(number, make)
    except errors.UserError as error:
        state.note_failure(number, str(error))
        return {'failed_parts': 1}


def _make_shard(state: parts.State, num_shards: int, count: int, number: int) -> dict[str, int]:
    """Puts a shard of `num_shards` together out of `count` parts."""
    return state.make_shard(number, num_shards, count)


class Writer:
    """Writes a set as `shards.write` does, by pipelines; what is done already when it is killed is not done again."""

    def __init__(self, chosen: Any):
        """Args: see `options.choose`."""
        self._chosen = chosen

    def __call__(
        self,
        items: Iterable[Any],
        output_dir: str,
        split: str,
        categories: Sequence[Mapping[str, Any]],
        *,
        make: Callable[[Any], Any],
        found: problems.ProblemList,
        inputs_hash: str,
        work_hash: str,
        total: int | None = None,
        num_shards: int | None = None,
        processes: int = 1,
        overwrite: bool = False,
        fields: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Args: see `shards.write`; `work_hash`, of all that decides a record. The processes are Beam's."""
        from official_rethink.data import shards  # noqa: PLC0415

        del processes
        _, num_shards = shards.begin(items, output_dir, split, total, num_shards, overwrite)
        state = parts.State(os.path.join(output_dir, f'.preparing-{split}'))
        work = state.begun(work_hash) or state.begin(work_hash, items, found)
        found.problems[:] = [problems.Problem(**one) for one in work['problems']]
        count = work['parts']
        state.failures(count)  # of a run that was killed before it could tell
        self._run('part', state, 'pickle', count, functools.partial(_make_part, state, make))
        counted = statistics.Statistics(num_shards)
        for part in state.parts(count):
            found.add(*part.found)
            counted.merge([part.counted])
        found.check()
        collected = shards.describe(counted, output_dir, split, categories)
        name = state.shard_name(num_shards)
        make_shard = functools.partial(_make_shard, state, num_shards, count)
        self._run(name, state, 'tfrecord', num_shards, make_shard)
        paths = parts.all_paths(state, num_shards)
        description = shards.publish(collected | dict(fields or {}), paths, output_dir, split, inputs_hash, found)
        state.forget()
        return description

    def _run(
        self, name: str, state: parts.State, suffix: str, count: int, does: Callable[[int], dict[str, int]]
    ) -> None:
        """Makes those of `count` numbered files that are missing; `does` makes one, and says what is to be counted.

        Raises:
            UserError: one could not be made.
        """
        left = state.missing(name, suffix, count)
        if not left:
            return
        import apache_beam  # noqa: PLC0415

        what = name.partition('-')[0] + 's'
        done = f', {count - len(left):,} are done already' if len(left) < count else ''
        sys.stderr.write(f'{len(left):,} {what} to make by {self._chosen.runner}{done}\n')
        with watch.watch(f'making {what}', len(left), lambda: len(state.missing(name, suffix, count)), what):
            pipeline = apache_beam.Pipeline(options=self._chosen.options)
            numbers = pipeline | 'List' >> apache_beam.Create(left, reshuffle=False)
            _ = numbers | 'Spread' >> apache_beam.Reshuffle() | 'Make' >> apache_beam.ParDo(_Work(does))
            ended = beam.run(pipeline)
        if told := state.failures(count):
            more = f' {len(told)} parts failed so or in another way.' if len(told) > 1 else ''
            raise errors.UserError(told[0] + more)
        if missing := state.missing(name, suffix, count):
            raise errors.UserError(
                f'the pipeline ended ({ended}) with {len(missing):,} of {count:,} {what} not made; start the same '
                'command again, and it goes on.'
            )
