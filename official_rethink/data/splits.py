"""Label fractions and counts as files: nested, seeded, with every class in them, the same on every machine.

A seed puts all images of a set in one order, and a fraction, or a number of images, is a beginning of it; so the
20 % lie inside the 50 %, and the 1,000 inside the 3,500. The order depends on the images' ids and classes and the
seed, on nothing else: not on the order of the records, the number of shards or the fractions and counts asked for.
"""

import hashlib
import itertools
import os
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from official_rethink.common import errors, files

FORMAT_VERSION = 1
_CANDIDATES = 10  # more hardly even the classes out further
_NO_CLASS = 0  # images without an instance are a class of their own


def order(image_ids: Sequence[str], image_categories: Sequence[Sequence[int]], seed: int) -> list[str]:
    """Returns all ids so that every beginning of the list is a stratified sample.

    Place after place goes to the class that is furthest behind its share: of the next images of that
    class in the seed's random order, to the one whose classes together are furthest behind. A class
    with C of N images has its first image among the first N // C places, as far as the places suffice:
    so it occurs in every fraction in which its expected number of images is at least one.

    Args:
        image_ids: distinct.
        image_categories: the classes that occur in each image, crowds left out.
        seed: of the random order.
    """
    number = len(image_ids)
    shuffled = sorted(range(number), key=lambda i: hashlib.sha256(f'{seed}:{image_ids[i]}'.encode()).digest())
    classes = [sorted(set(labels)) or [_NO_CLASS] for labels in image_categories]
    members: dict[int, list[int]] = {}
    for i in shuffled:
        for label in classes[i]:
            members.setdefault(label, []).append(i)
    labels = sorted(members)
    column = {label: j for j, label in enumerate(labels)}
    counts = np.array([len(members[label]) for label in labels], np.float64)
    # Classes not seen yet, the one that must come first in front.
    unseen = sorted(labels, key=lambda label: (-len(members[label]), label))
    latest = _latest(unseen, members, number)
    waiting = {label: iter(members[label]) for label in labels}
    next_up: dict[int, list[int]] = {label: [] for label in labels}
    taken, have, result = np.zeros(number, bool), np.zeros(len(labels)), []
    for place in range(number):
        behind = counts * (place + 1) / number - have
        if unseen and place >= latest:
            label = unseen[0]
        else:
            label = labels[int(np.argmax(np.where(have < counts, behind, -np.inf)))]
        candidates = [i for i in next_up[label] if not taken[i]]
        fresh = (i for i in waiting[label] if not taken[i])
        candidates += itertools.islice(fresh, _CANDIDATES - len(candidates))
        next_up[label] = candidates
        image = max(candidates, key=lambda i: sum(behind[column[other]] for other in classes[i]))
        taken[image] = True
        result.append(image_ids[image])
        new = [other for other in classes[image] if not have[column[other]]]
        for other in classes[image]:
            have[column[other]] += 1
        if new:
            unseen = [other for other in unseen if other not in new]
            latest = _latest(unseen, members, number)
    return result


def _latest(unseen: Sequence[int], members: Mapping[int, Sequence[int]], number: int) -> int:
    """Returns the place from which on only unseen classes may come, for each to come in time."""
    dues = (max(number // len(members[label]), 1) - position for position, label in enumerate(unseen, 1))
    return min(dues, default=number)


def make(description: Mapping[str, Any], fraction: float, seed: int) -> list[str]:
    """Returns the image ids of a fraction of a described set.

    Raises:
        UserError: the fraction is not in (0, 1], or has no image, or the seed is negative.
    """
    return _take(_ordered(description, seed), _checked(fraction))


def make_count(description: Mapping[str, Any], count: int, seed: int) -> list[str]:
    """Returns the ids of `count` images of a described set; a fraction of as many images has the same.

    Raises:
        UserError: the set has fewer images, the count is under 1, or the seed is negative.
    """
    return _ordered(description, seed)[: _checked_count(count, description)]


def _ordered(description: Mapping[str, Any], seed: int) -> list[str]:
    if type(seed) is not int or seed < 0:
        raise errors.bad_value('seed', seed, 'a whole number from 0', where='--seed')
    if 'image_categories' not in description:
        raise errors.UserError(f"the description of '{description.get('split')}' lacks 'image_categories'.")
    return order(description['image_ids'], description['image_categories'], seed)


def _checked(fraction: float) -> float:
    if not 0 < fraction <= 1:
        raise errors.bad_value('fraction', fraction, 'above 0, up to 1', where='--fractions')
    return float(fraction)


def _checked_count(count: int, description: Mapping[str, Any]) -> int:
    images = len(description['image_ids'])
    if type(count) is not int or not 1 <= count <= images:
        allowed = f"1 to {images}, the images of the set '{description.get('split')}'"
        raise errors.bad_value('count', count, allowed, where='--counts')
    return count


def _take(ordered: list[str], fraction: float) -> list[str]:
    # Half up, where round() would go to even numbers: a larger fraction never has fewer images.
    number = int(fraction * len(ordered) + 0.5)
    if not number:
        least = f'at least {0.5 / len(ordered):.3g}, for one of the {len(ordered)} images'
        raise errors.bad_value('fraction', fraction, least, where='--fractions')
    return ordered[:number]


def split_path(output_dir: str, fraction: float, seed: int) -> str:
    """Returns `<output_dir>/splits/fraction_<f>_seed_<s>.json`; 'splits' is not doubled."""
    return os.path.join(_folder(output_dir), f'fraction_{float(fraction)!r}_seed_{seed}.json')


def count_path(output_dir: str, count: int, seed: int) -> str:
    """Returns `<output_dir>/splits/count_<n>_seed_<s>.json`; 'splits' is not doubled."""
    return os.path.join(_folder(output_dir), f'count_{count}_seed_{seed}.json')


def _folder(output_dir: str) -> str:
    folder = output_dir.rstrip('/')
    return folder if os.path.basename(folder) == 'splits' else os.path.join(folder, 'splits')


def source_hash(description: Mapping[str, Any]) -> str:
    """Returns a hash of which images with which classes a set holds, whatever its shards."""
    return files.hash_of(sorted(zip(description['image_ids'], description['image_categories'], strict=True)))


def write(
    description: Mapping[str, Any],
    source: str,
    fractions: Sequence[float],
    seed: int,
    output_dir: str,
    counts: Sequence[int] = (),
) -> list[str]:
    """Writes one file a fraction and one a count, and returns their paths.

    Args:
        description: of the labelled set.
        source: the path of the description; its last part goes into the file.
        fractions: distinct.
        seed: of all of them.
        output_dir: see `split_path`.
        counts: numbers of images, distinct; give these, fractions, or both.

    Raises:
        UserError: neither fractions nor counts, one twice, or one that the set cannot give; nothing is written then.
    """
    wanted = [_checked(fraction) for fraction in fractions]
    numbers = [_checked_count(count, description) for count in counts]
    for name, values in (('fractions', wanted), ('counts', numbers)):
        if len(set(values)) != len(values) or not (wanted or numbers):
            raise errors.bad_value(name, values, 'one or more, each once', where=f'--{name}')
    ordered, digest = _ordered(description, seed), source_hash(description)
    chosen = {split_path(output_dir, fraction, seed): (fraction, _take(ordered, fraction)) for fraction in wanted}
    chosen |= {count_path(output_dir, n, seed): (n / len(ordered), ordered[:n]) for n in numbers}
    for path, (fraction, image_ids) in chosen.items():
        content = {
            'format_version': FORMAT_VERSION,
            'fraction': fraction,
            'seed': seed,
            'source': os.path.basename(source),
            'source_hash': digest,
            'image_ids': image_ids,
        }
        files.write_json(path, content)
    return list(chosen)


def load(path: str, description: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Reads a split file.

    Args:
        path: of the file.
        description: of the set that is to be read with it; the split must have been made from it.

    Raises:
        UserError: no split file, or one of another set.
    """
    split = files.read_json(path)
    needed = {'format_version', 'fraction', 'seed', 'source', 'source_hash', 'image_ids'}
    if not isinstance(split, dict) or not needed <= set(split):
        raise errors.UserError(f"'{path}' is not a split file as `prepare split` writes it.")
    if split['format_version'] != FORMAT_VERSION:
        raise errors.bad_value('format_version', split['format_version'], str(FORMAT_VERSION), where=path)
    if description is not None and split['source_hash'] != source_hash(description):
        strange = len(set(split['image_ids']) - set(description['image_ids']))
        raise errors.UserError(
            f"'{path}' was made from another data set (of {split['source']}) than '{description['split']}': "
            f'{strange} of its {len(split["image_ids"])} images are not in that set, or classes have '
            'changed. Make it again with `prepare split`.'
        )
    return split


def check_disjoint(
    a: Mapping[str, Any],
    b: Mapping[str, Any],
    ids_of_a: Collection[str] | None = None,
    names: tuple[str, str] = ('training', 'validation'),
) -> None:
    """Checks that two described sets share no picture.

    Pictures are told by their content: two sets converted from files that both count from 1 share
    ids without sharing a picture, and a copied picture has another id. Descriptions without content
    hashes are compared by id.

    Args:
        a: a description.
        b: a description.
        ids_of_a: only these images of `a`, e.g. of a split file; None: all.
        names: what the user calls `a` and `b`.

    Raises:
        UserError: they share pictures; the text gives the number and the first ids.
    """
    key = 'image_hashes' if 'image_hashes' in a and 'image_hashes' in b else 'image_ids'
    in_b = dict(zip(b[key], b['image_ids'], strict=True))
    chosen = None if ids_of_a is None else set(ids_of_a)
    shared = [
        (identifier, in_b[value])
        for identifier, value in zip(a['image_ids'], a[key], strict=True)
        if value in in_b and (chosen is None or identifier in chosen)
    ]
    if shared:
        examples = ', '.join(f'{first} = {second}' for first, second in sorted(shared)[:5])
        count = f'{len(shared)} image{"s" if len(shared) > 1 else ""}'
        raise errors.UserError(
            f"the {names[0]} set '{a.get('split')}' and the {names[1]} set '{b.get('split')}' share {count} "
            f'(ids {examples}{", ..." if len(shared) > 5 else ""}). Results on such a set would mean '
            'nothing: take them out of one of the two and prepare it again.'
        )
