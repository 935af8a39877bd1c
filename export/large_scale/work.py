"""What is handed to workers: all that decides the labels, and a list of the shards that are left to do.

A worker sees neither the flags nor the config files of the command, only what is here: plain values.
"""

import argparse
import dataclasses
import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from official_rethink.common import errors, files
from official_rethink.data import problems
from official_rethink.pseudo_labels import counts, labelling, source, store, teacher

LIST = 'work.jsonl'  # in the store's state: one line a shard
DEAD_LETTERS = f'{store.SPLIT}-dead-letters.jsonl'
_FAILED = 'failed-'
_built: list[tuple[Any, Any]] = []  # what `Settings.build` was asked for and gave, one at most


@dataclasses.dataclass(frozen=True)
class Settings:
    """All that a worker needs to know, as plain values.

    Attributes:
        flags: the command's, with the defaults that the kind of labels fills in.
        params: the teacher's config, resolved.
        known: class list, boxes an image and key points; see `teacher.known`.
        teacher: path, kind and hashes of its files; see `teacher.Teacher`.
        num_images: of the source.
    """

    flags: Mapping[str, Any]
    params: Mapping[str, Any]
    known: Mapping[str, Any]
    teacher: Mapping[str, Any]
    num_images: int

    @property
    def stops(self) -> bool:
        """Whether an image that cannot be read ends the work."""
        return bool(self.flags['on_error'] == 'stop')

    def store(self) -> store.Store:
        """The store, as the command opened it."""
        best = max(1, round(self.known['boxes']))
        classes, points = self.known['categories'], self.known['keypoints']
        folder, size = self.flags['output_dir'], self.flags['shard_size']
        return store.Store(folder, self.num_images, size, classes, best, points)

    def build(self, here: bool = False) -> tuple[labelling.Labeller, Callable[[], dict[str, Any]]]:
        """Builds the teacher, as the single-machine command does; see `pseudo_label.build`.

        A process keeps the last one: where the pipeline runs in the process of the command, they share it.

        Args:
            here: on the CPU of the machine that hands out the work, whatever accelerators the workers have.
        """
        for asked, built in _built:
            if asked == (self, here):
                return built
        from official.core import exp_factory  # noqa: PLC0415

        from official_rethink import pseudo_label, registry_imports  # noqa: F401, PLC0415
        from official_rethink.pseudo_labels import kinds  # noqa: PLC0415

        params = exp_factory.get_exp_config(self.flags['experiment'])
        params.override(self.params, is_strict=True)
        if here:
            params.runtime.num_gpus = 0
        kind = kinds.of(params, self.flags['experiment'])
        args = argparse.Namespace(**self.flags)
        built = pseudo_label.build(args, params, kind, teacher.Teacher(**self.teacher), self.known)
        _built[:] = [((self, here), built)]
        return built


def forget_teacher() -> None:
    """Lets go of the teacher that this process built last."""
    _built.clear()


def write_list(images: source.Source, place: store.Store, left: Sequence[int]) -> str:
    """Writes the list of the shards that are left to do, and forgets why others failed before.

    Returns:
        Its path. Each line is an object with `shard`, a number, and `part`, the fields of a `source.Part`.
    """
    for shard in failed_shards(place):
        _gfile().remove(_failed_path(place, shard))
    path = place.state_path(LIST)
    size = place.shard_size
    with files.atomic_write(path) as handle:
        for shard in left:
            part = images.part(shard * size, min((shard + 1) * size, images.num_images))
            handle.write(json.dumps({'shard': shard, 'part': dataclasses.asdict(part)}) + '\n')
    return path


def read_line(line: str) -> tuple[int, source.Part]:
    """Reads a line of the list."""
    found = json.loads(line)
    return found['shard'], source.Part(**found['part'])


def write_failure(place: store.Store, shard: int, found: Sequence[problems.Problem], message: str) -> None:
    """Notes why a shard cannot be written: problems of its images, or a message."""
    told = {'message': message, 'problems': [vars(one) for one in found]}
    files.write_json(_failed_path(place, shard), told)


def failed_shards(place: store.Store) -> list[int]:
    """The shards of which `write_failure` noted something."""
    folder = os.path.dirname(place.state_path(''))
    names = _gfile().listdir(folder) if files.exists(folder) else []
    return sorted(int(name[len(_FAILED) :].split('.')[0]) for name in names if _is_failure(name))


def check_failures(place: store.Store) -> None:
    """Raises UserError that tells what went wrong, in the order of the shards; the other shards stay."""
    every, messages = problems.ProblemList('skip'), []
    for shard in failed_shards(place):
        told = files.read_json(_failed_path(place, shard))
        every.add(*(problems.Problem(**one) for one in told['problems']))
        messages += [told['message']] if told['message'] else []
    if messages:
        more = f' {len(messages)} shards failed so or in another way.' if len(messages) > 1 else ''
        raise errors.UserError(messages[0] + more)
    told_together = problems.ProblemList('stop')
    told_together.add(*every.problems)
    told_together.check()


def check_labels(parts: Sequence[Mapping[str, Any]], nothing: tuple[str, str]) -> None:
    """Refuses a teacher that finds nothing on the shards that hold the first images, or on all.

    Args:
        parts: the shards' counts, in order.
        nothing: what is missing, and what to do; see `feeding.Reading`.

    Raises:
        EmptyTeacher: so it is.
    """
    seen = 0
    for part in parts:
        if counts.num_labels(part):
            return
        seen += len(part['sizes'])
        if seen >= labelling.EMPTY_AFTER:
            break
    if seen:
        raise labelling.empty(seen, nothing, of_all=seen == sum(len(part['sizes']) for part in parts))


def write_dead_letters(place: store.Store) -> dict[str, int]:
    """Writes a line for every image that was left out; returns how many there are of each kind.

    A line is an object: `source`, the image's file or shard pattern; `id`, its place in it, '' if it is the file;
    `kind` and `reason`; `shard`, that it is missing in.
    """
    lines, kinds = [], problems.ProblemList('skip')
    for shard, part in enumerate(place.finished()):
        for one in part['skipped']:
            problem = problems.Problem(**one)
            kinds.add(problem)
            letter = {'source': problem.file, 'id': problem.record, 'kind': problem.kind, 'reason': problem.message}
            lines.append(json.dumps({**letter, 'shard': shard}) + '\n')
    if lines:
        files.write_text(place.path(DEAD_LETTERS), ''.join(lines))
    return kinds.counts()


def _is_failure(name: str) -> bool:
    return name.startswith(_FAILED) and name.endswith('.json')


def _failed_path(place: store.Store, shard: int) -> str:
    return place.state_path(f'{_FAILED}{shard:05d}.json')


def _gfile() -> Any:
    from tensorflow import io  # noqa: PLC0415

    return io.gfile
