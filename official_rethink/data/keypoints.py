"""What is known of a set's key points: their names, which trade places in a mirror, how exactly each is placed.

`P` is the number of key points of an object. A description carries it as `keypoints`:
`{"names": [P], "flip_pairs": [[i, j], ...], "sigmas": [P], "skeleton": [[i, j], ...], "categories": [class ids]}`,
indices from 0.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from official_rethink.common import errors
from official_rethink.data import problems

FIELD = 'keypoints'
COCO_NAMES = (
    'nose', 'left_eye', 'right_eye', 'left_ear', 'right_ear', 'left_shoulder', 'right_shoulder', 'left_elbow',
    'right_elbow', 'left_wrist', 'right_wrist', 'left_hip', 'right_hip', 'left_knee', 'right_knee', 'left_ankle',
    'right_ankle',
)  # fmt: skip
# COCO's deviations of annotators from each other, as shares of the square root of an object's area.
COCO_SIGMAS = (
    0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089,
    0.089,
)  # fmt: skip
DEFAULT_SIGMA = 0.067
"""Of points that COCO has not measured: the mean of its seventeen."""


@dataclasses.dataclass(frozen=True)
class Layout:
    """The key points of a set's objects.

    Attributes:
        names: of the points [P].
        flip_pairs: indices that trade places when the image is mirrored.
        sigmas: of object key-point similarity [P]; as in COCO, the tolerance is twice that.
        skeleton: indices of points to draw a line between.
        categories: ids of the classes whose objects have these points; others have none.
    """

    names: tuple[str, ...]
    flip_pairs: tuple[tuple[int, int], ...] = ()
    sigmas: tuple[float, ...] = ()
    skeleton: tuple[tuple[int, int], ...] = ()
    categories: tuple[int, ...] = ()

    def flip_order(self) -> list[int]:
        """For each point, which one it is after mirroring."""
        order = list(range(len(self.names)))
        for first, second in self.flip_pairs:
            order[first], order[second] = second, first
        return order

    def described(self) -> dict[str, Any]:
        """The description's field."""
        return {name: _plain(value) for name, value in dataclasses.asdict(self).items()}


def _plain(value: Any) -> Any:
    return [_plain(one) for one in value] if isinstance(value, (tuple, list)) else value


def flip_pairs_of(names: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Pairs of names that differ in left and right alone, as `left_hand` and `right_hand`."""
    places = {name: place for place, name in enumerate(names)}
    mirrored = {name: name.replace('left', 'right', 1) for name in names if 'left' in name}
    return tuple((places[name], places[other]) for name, other in mirrored.items() if other in places)


def make(
    names: Sequence[str],
    categories: Sequence[int],
    flip_pairs: Sequence[Sequence[int]] | None = None,
    sigmas: Sequence[float] | None = None,
    skeleton: Sequence[Sequence[int]] = (),
) -> Layout:
    """Fills in what is not given.

    Args:
        names: of the points.
        categories: class ids.
        flip_pairs: None: by the names' left and right.
        sigmas: None: COCO's of points that it names, `DEFAULT_SIGMA` of others.
        skeleton: lines.
    """
    known = dict(zip(COCO_NAMES, COCO_SIGMAS, strict=True)) if set(names) <= set(COCO_NAMES) else {}
    pairs = flip_pairs_of(names) if flip_pairs is None else flip_pairs
    return Layout(
        tuple(names),
        tuple((int(first), int(second)) for first, second in pairs),
        tuple(known.get(name, DEFAULT_SIGMA) for name in names) if sigmas is None else tuple(map(float, sigmas)),
        tuple((int(first), int(second)) for first, second in skeleton),
        tuple(int(number) for number in categories),
    )


def of_categories(entries: Mapping[int, Mapping[str, Any]], path: str) -> Layout:
    """The key points that a COCO file's categories name.

    Beside COCO's `keypoints` and `skeleton` (indices from 1), a category may have `sigmas` (a number a point) and
    `flip_pairs` (indices from 0).

    Args:
        entries: class id to the file's category.
        path: of the file, for errors.

    Raises:
        UserError: no category names any, two name different ones, or an entry that cannot be right.
    """
    found = {number: entry for number, entry in entries.items() if entry.get(FIELD)}
    if not found:
        raise errors.UserError(
            f"no category of '{path}' names key points, but --include_keypoints asks for them; a category has them "
            'as "keypoints": ["nose", ...]. Leave the flag out, or take the person_keypoints file.'
        )
    layouts = [_of_category(entry, f"category '{entry.get('name')}' of '{path}'") for entry in found.values()]
    first = layouts[0]
    for entry, layout in zip(found.values(), layouts, strict=True):
        if layout != first:
            named = next(iter(found.values()))['name']
            raise errors.UserError(
                f"categories '{named}' and '{entry['name']}' of '{path}' differ in their key points; one head learns "
                'one list of points: make a file of one of them, or leave --include_keypoints out.'
            )
    return dataclasses.replace(first, categories=tuple(sorted(found)))


def _of_category(entry: Mapping[str, Any], where: str) -> Layout:
    names = entry[FIELD]
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise errors.bad_value(FIELD, problems.short(names), 'a list of names', where)
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise errors.bad_value(FIELD, twice, 'each name once', where)
    skeleton = [[i - 1, j - 1] for i, j in _pairs(entry, 'skeleton', 1, len(names), where) or ()]
    pairs = _pairs(entry, 'flip_pairs', 0, len(names) - 1, where)
    if pairs is not None and len({i for pair in pairs for i in pair}) < 2 * len(pairs):
        raise errors.bad_value('flip_pairs', problems.short(pairs), 'each point once', where)
    sigmas = entry.get('sigmas')
    if sigmas is not None:
        right = isinstance(sigmas, list) and len(sigmas) == len(names)
        if not right or not all(problems.is_number(value) and value > 0 for value in sigmas):
            raise errors.bad_value('sigmas', problems.short(sigmas), f'{len(names)} numbers above 0', where)
    return make(names, (), pairs, sigmas, skeleton)


def _pairs(entry: Mapping[str, Any], field: str, low: int, high: int, where: str) -> list[list[int]] | None:
    value = entry.get(field)
    if value is None:
        return None

    def right(pair: Any) -> bool:
        return isinstance(pair, list) and len(pair) == 2 and all(type(i) is int and low <= i <= high for i in pair)

    if not isinstance(value, list) or not all(map(right, value)):
        raise errors.bad_value(field, problems.short(value), f'pairs of indices from {low} to {high}', where)
    return value


def of_description(description: Mapping[str, Any]) -> Layout | None:
    """Reads a description's field; None: its objects have no key points."""
    field = description.get(FIELD)
    if not field:
        return None
    return make(
        field['names'], field.get('categories', ()), field['flip_pairs'], field['sigmas'], field.get('skeleton', ())
    )
