"""Open Images' boxes to records: a CSV with a row a box, a folder of images named by their ids, a list of classes."""

import contextlib
import csv
import dataclasses
import functools
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, Any

from official_rethink.common import errors, files
from official_rethink.data import image_folder, images, problems, records
from official_rethink.data.coco_checks import Defect

_ID, _CLASS = 'ImageID', 'LabelName'
_SIDES = ('XMin', 'XMax', 'YMin', 'YMax')
_NEEDED = (_ID, _CLASS, *_SIDES)
_GROUP = 'IsGroupOf'
_FLAGS = {'IsOccluded': 'is_occluded', 'IsTruncated': 'is_truncated', _GROUP: 'is_crowd'}
_FLAG_VALUES = {'0': False, '1': True, '-1': False}  # -1: nobody looked, as at boxes that a machine drew
_HEADER = ['LabelName', 'DisplayName']  # of the class list from version 6 on; earlier ones have none


@dataclasses.dataclass(slots=True)
class Box:
    """A row that is right: sides in [0, 1] as XMin, XMax, YMin, YMax; class id; the flags that are set."""

    sides: tuple[float, float, float, float]
    label: int
    flags: tuple[str, ...]


@dataclasses.dataclass(slots=True)
class Item:
    """One image: its path, its name from the folder on, its boxes, and what is wrong with others of its rows."""

    path: str
    filename: str
    record: str
    boxes: list[Box]
    problems: list[problems.Problem]


@dataclasses.dataclass(frozen=True)
class Source:
    """What there is.

    Attributes:
        annotations: path of the CSV.
        folder: of the images.
        categories: as a description has them; `title` is the name that rows have (/m/01g317).
        names: `image_folder.listing`'s, of the folder.
        image_files: image id -> its file's name from the folder on.
        total: images with rows.
        without_rows: images of the folder that no row names.
    """

    annotations: str
    folder: str
    categories: list[dict[str, Any]]
    names: list[list[Any]]
    image_files: Mapping[str, str]
    total: int
    without_rows: int


def open_source(annotations: str, folder: str, classes: str) -> Source:
    """Reads the class list and the ids in the CSV; no image and no box is looked at.

    Args:
        annotations: such as oidv6-train-annotations-bbox.csv.
        folder: of the images, with those below it; `<image id>.jpg` each.
        classes: class-descriptions-boxable.csv.

    Raises:
        UserError: a file is missing or is none of these, an image is there twice, or the rows of an image
            do not stand together.
    """
    categories = read_classes(classes)
    names = image_folder.listing(folder)
    found: dict[str, str] = {}
    for name, *_ in names:
        stem, suffix = os.path.splitext(os.path.basename(name))
        if suffix.lower() in image_folder.SUFFIXES:
            if stem in found:
                raise errors.UserError(f"--images '{folder}' has image {stem} twice: '{found[stem]}' and '{name}'.")
            found[stem] = name
    identifiers = _identifiers(annotations)
    if not identifiers:
        raise errors.UserError(f"--annotations '{annotations}' has no row below its header.")
    without = sum(stem not in identifiers for stem in found)
    return Source(annotations, folder, categories, names, found, len(identifiers), without)


def read_classes(path: str) -> list[dict[str, Any]]:
    """Reads the class list: LabelName and DisplayName a line, ids from 1 in that order.

    Raises:
        UserError: there is no such file, it is empty, or a line has another form or repeats an earlier one.
    """
    categories: list[dict[str, Any]] = []
    taken: set[str] = set()
    with _opened(path, '--classes') as handle:
        for number, row in enumerate(csv.reader(handle), 1):
            if not row or (number == 1 and row == _HEADER):
                continue
            if len(row) != 2 or not all(map(str.strip, row)):
                allowed = "two columns, as in '/m/011k07,Tortoise'"
                raise errors.bad_value(f'line {number}', ','.join(row), allowed, f"--classes '{path}'")
            title, name = map(str.strip, row)
            if twice := {title, name} & taken:
                raise errors.UserError(f"--classes '{path}' names '{min(twice)}' twice, again in line {number}.")
            taken |= {title, name}
            identifier = len(categories) + 1
            categories.append({'id': identifier, 'name': name, 'source_id': identifier, 'title': title})
    if not categories:
        raise errors.UserError(f"--classes '{path}' is empty; allowed: LabelName,DisplayName a line.")
    return categories


@contextlib.contextmanager
def _opened(path: str, flag: str) -> Iterator[Iterable[str]]:
    """Gives a text's lines, one at a time; what cannot be read is told."""
    try:
        if files.is_remote(path):
            from tensorflow import io

            if not files.exists(path):
                raise FileNotFoundError
            with io.gfile.GFile(path, 'r') as remote:
                yield remote
            return
        local: IO[str]
        with open(path, encoding='utf-8-sig', newline='') as local:
            yield local
    except (FileNotFoundError, IsADirectoryError) as error:
        raise errors.UserError(f"{flag} is '{path}', which is no file.") from error
    except UnicodeDecodeError as error:
        raise errors.UserError(f"{flag} '{path}' is not UTF-8 text: {error.reason} at byte {error.start}.") from error
    except csv.Error as error:
        raise errors.UserError(f"{flag} '{path}' is not a CSV file: {error}.") from error


def _rows(path: str) -> Iterator[tuple[int, list[str], dict[str, int]]]:
    """Yields line number, fields, and column -> place, for every row below the header."""
    with _opened(path, '--annotations') as handle:
        reader = csv.reader(handle)
        header = next(reader, [])
        places = {name.strip(): place for place, name in enumerate(header)}
        missing = [name for name in _NEEDED if name not in places]
        if missing:
            raise errors.UserError(
                f"--annotations '{path}' has no column {', '.join(missing)} in its first line "
                f"({problems.short(','.join(header))}); allowed: Open Images' boxes, as in train-annotations-bbox.csv."
            )
        for row in reader:
            if row:
                yield reader.line_num, row, places


def _identifiers(path: str) -> set[str]:
    """The images that have rows.

    Raises:
        UserError: the rows of one do not stand together, so that it could not be converted in one go.
    """
    seen: set[str] = set()
    last = None
    for number, row, places in _rows(path):
        identifier = _identifier(row, places)
        if identifier != last:
            if identifier in seen:
                raise errors.UserError(
                    f"--annotations '{path}': image {identifier} has rows in two places, the second from line {number} "
                    "on; sort the lines below the header (`(head -n 1 f; tail -n +2 f | sort) > sorted.csv`)."
                )
            seen.add(identifier)
            last = identifier
    return seen


def _identifier(row: list[str], places: Mapping[str, int]) -> str:
    place = places[_ID]
    return row[place].strip() if place < len(row) else ''


def items(source: Source) -> Iterator[Item]:
    """Yields the images in the order of their rows; a row at a time is read, and those of one image are held."""
    labels = {category['title']: int(category['id']) for category in source.categories}
    item, last = None, None
    for number, row, places in _rows(source.annotations):
        identifier = _identifier(row, places)
        if item is None or identifier != last:
            if item is not None:
                yield item
            filename = source.image_files.get(identifier, f'{identifier}.jpg')
            record = f"image {identifier} of '{source.annotations}'"
            item, last = Item(os.path.join(source.folder, filename), filename, record, [], []), identifier
        try:
            item.boxes.append(_box(row, places, labels))
        except Defect as defect:
            record = f'line {number} (image {identifier})'
            found = problems.Problem(defect.kind, source.annotations, record, defect.field, defect.message)
            item.problems.append(found)
    if item is not None:
        yield item


def _box(row: list[str], places: Mapping[str, int], labels: Mapping[str, int]) -> Box:
    """Checks a row."""
    if len(row) != len(places):
        raise Defect('wrong row', '', f'has {len(row)} columns; allowed: {len(places)}, as the first line has.')
    if not _identifier(row, places):
        raise Defect('wrong row', _ID, 'is empty; allowed: the id of an image.')
    title = row[places[_CLASS]].strip()
    if title not in labels:
        guess = errors.nearest(title, labels)
        hint = f" Did you mean '{guess}'?" if guess else ''
        raise Defect('unknown class', _CLASS, f"is '{title}', which --classes does not list.{hint}")
    left, right, top, bottom = (_share(row[places[side]], side) for side in _SIDES)
    if right <= left or bottom <= top:
        said = f'{left:g} to {right:g}, {top:g} to {bottom:g}'
        raise Defect('box of no area', 'XMin', f'to YMax are {said}; allowed: XMin below XMax, YMin below YMax.')
    if 'Confidence' in places and _share(row[places['Confidence']], 'Confidence') == 0:
        raise Defect('box of no confidence', 'Confidence', 'is 0; allowed: above 0 to 1.')
    flags = tuple(flag for name, flag in _FLAGS.items() if name in places and _flag(row[places[name]], name))
    return Box((left, right, top, bottom), labels[title], flags)


def _share(text: str, field: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise Defect('box outside image', field, f'is {problems.short(text)}; allowed: a number from 0 to 1.')
    return value


def _flag(text: str, field: str) -> bool:
    if text.strip() not in _FLAG_VALUES:
        raise Defect('wrong type', field, f'is {problems.short(text)}; allowed: 0, 1, -1 (not known).')
    return _FLAG_VALUES[text.strip()]


def make(item: Item) -> problems.Made:
    """Turns an item into a record; its source id is a hash of its file's name, as without labels."""
    try:
        # The boxes were drawn on the pixels as they are stored, whatever a camera noted of its position.
        stored = images.load(item.path, upright=False)
    except images.BadImage as error:
        problem = problems.Problem(error.kind, item.path, item.record, '', str(error))
        return problems.Made(None, [*item.problems, problem])
    annotation = functools.partial(_annotation, height=stored.height, width=stored.width)
    annotations = [annotation(box) for box in item.boxes]
    return problems.Made(image_folder.record_of(item.filename, stored, annotations=annotations), item.problems)


def _annotation(box: Box, height: int, width: int) -> records.Annotation:
    left, right, top, bottom = box.sides
    sides = (top * height, left * width, bottom * height, right * width)
    truncated, occluded = 'is_truncated' in box.flags, 'is_occluded' in box.flags
    crowd = 'is_crowd' in box.flags
    return records.Annotation(sides, box.label, crowd, is_truncated=truncated, is_occluded=occluded)


def inputs_hash(source: Source, **options: Any) -> str:
    """Returns the hash of the CSV, of the classes, of names, sizes and times of the images, and of the options."""
    read = [files.file_hash(source.annotations), source.categories, source.names]
    return files.hash_of(['open_images', 1, *read, options])
