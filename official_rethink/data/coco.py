"""COCO json (boxes, masks, crowds, key points) to records, with everything checked that can be wrong."""

import contextlib
import dataclasses
import functools
import json
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from official_rethink.common import errors, files
from official_rethink.data import coco_checks, image_folder, images, keypoints, masks, problems, records

_KEPT_KEYS = (
    'id', 'image_id', 'category_id', 'bbox', 'area', 'iscrowd', 'keypoints', 'num_keypoints', 'segmentation',
)  # fmt: skip

_Check = Callable[[dict[str, Any], set[Any]], None]


@dataclasses.dataclass(slots=True)
class Item:
    """One image of the file with its checked annotations, on its way to a process that reads the pixels."""

    source_id: str
    record: str
    path: str
    filename: str
    height: int
    width: int
    instances: list[coco_checks.Instance]


@dataclasses.dataclass
class Dataset:
    """A checked file: `categories` as a description has them, items in the file's order, key points or None."""

    categories: list[dict[str, Any]]
    items: list[Item]
    layout: keypoints.Layout | None = None


def class_ids(category_ids: list[int]) -> dict[int, int]:
    """Returns the class id of each category id.

    Ids that are already like class ids stay (COCO's 80 classes are numbered within 1 to 90, and
    published numbers of classes, 91, count on that); others become 1..K in the order of the ids.
    """
    ordered = sorted(category_ids)
    if ordered and ordered[0] >= 1 and ordered[-1] <= 2 * len(ordered) + 20:
        return {i: i for i in ordered}
    return {identifier: position for position, identifier in enumerate(ordered, 1)}


def read(
    annotations: str,
    images_dir: str,
    include_masks: bool,
    found: problems.ProblemList,
    include_keypoints: bool = False,
) -> Dataset:
    """Reads and checks a COCO file; pixels are not looked at.

    Args:
        annotations: path of the json.
        images_dir: folder that its file names start from.
        include_masks: keep segmentations; they are neither kept nor checked otherwise.
        found: takes the problems. Where it skips, an image is left without the annotations that
            cannot be right, and an image that cannot be right is left out with its annotations. A
            category that cannot be right always stops, since every class id depends on the list.
        include_keypoints: keep key points, which every object of a category that names them must have.

    Raises:
        UserError: the file cannot be read as COCO at all, or problems that are not skipped.
    """
    content = _load(annotations, include_masks)
    if not isinstance(content, dict):
        raise errors.UserError(f"'{annotations}' holds a JSON {_kind(content)}; allowed: an object.")
    for key in ('images', 'annotations', 'categories'):
        if not isinstance(content.get(key), list):
            said = f'is a {_kind(content[key])}' if key in content else 'is missing'
            hint = ' For images without labels use `prepare images`.' if key == 'annotations' else ''
            raise errors.UserError(f"'{annotations}': key '{key}' {said}; allowed: a list of objects.{hint}")
    reader = _Reader(annotations, images_dir, include_masks, found, include_keypoints)
    categories = reader.categories(content['categories'])
    layout = reader.keypoint_layout(content['categories']) if include_keypoints else None
    reader.images(content['images'])
    reader.annotations(content.pop('annotations'))
    found.check()
    return Dataset(categories, list(reader.items.values()), layout)


def _kind(value: Any) -> str:
    names = {dict: 'object', list: 'list', str: 'text', type(None): 'null'}
    return names.get(type(value), type(value).__name__)


def _load(path: str, include_masks: bool) -> Any:
    """Parses the file, packing its bulk on the way: as lists, COCO's outlines take gigabytes."""

    def slim(entry: dict[str, Any]) -> dict[str, Any]:
        if 'bbox' not in entry:
            return entry
        kept = {key: entry[key] for key in _KEPT_KEYS if key in entry}
        if 'segmentation' in kept:
            if include_masks:
                kept['segmentation'] = masks.compact(kept['segmentation'])
            else:
                del kept['segmentation']
        return kept

    try:
        return json.loads(images.read_bytes(path).decode('utf-8'), object_hook=slim)
    except images.BadImage as error:
        raise errors.UserError(f"annotations '{path}': {error}") from error
    except json.JSONDecodeError as error:
        where = f'line {error.lineno}, column {error.colno}'
        raise errors.UserError(f"'{path}' is not valid JSON: {error.msg} at {where}.") from error
    except UnicodeDecodeError as error:
        where = f'{error.reason} at byte {error.start}'
        raise errors.UserError(f"'{path}' is not UTF-8 text: {where}.") from error
    except (RecursionError, ValueError) as error:  # nested too deep; a number of thousands of digits
        raise errors.UserError(f"'{path}' is not a COCO file: {error}.") from error


class _Reader:
    """Checks the three lists, in the order in which they refer to each other."""

    def __init__(
        self, path: str, images_dir: str, include_masks: bool, found: problems.ProblemList, include_keypoints: bool
    ):
        self.path, self.images_dir, self.include_masks, self.found = path, images_dir, include_masks, found
        self.include_keypoints = include_keypoints
        self._fatal = problems.ProblemList('stop')
        self.items: dict[int | str, Item] = {}
        self._labels: dict[Any, int] = {}
        self._points: dict[Any, int] = {}

    @contextlib.contextmanager
    def _reported(self, record: str, found: problems.ProblemList) -> Iterator[None]:
        try:
            yield
        except coco_checks.Defect as defect:
            problem = problems.Problem(defect.kind, self.path, record, defect.field, defect.message)
            found.add(problem)

    def _each(self, what: str, entries: Iterable[Any], check: _Check) -> None:
        """Calls `check(entry, ids so far)` for every entry; its name is its id or else its position."""
        taken: set[Any] = set()
        found = self._fatal if what == 'category' else self.found
        for position, entry in enumerate(entries):
            is_object = isinstance(entry, dict)
            has_id = is_object and 'id' in entry
            name = f'{what} {entry["id"]!r}' if has_id else f'{what} at position {position}'
            if is_object and 'image_id' in entry:
                name += f' (image {entry["image_id"]!r})'
            with self._reported(name, found):
                if not is_object:
                    text = f'is {problems.short(entry)}; allowed: an object.'
                    raise coco_checks.Defect('wrong type', '', text)
                check(entry, taken)

    @staticmethod
    def _unique(entry: dict[str, Any], taken: set[Any], what: str) -> Any:
        identifier = coco_checks.identifier(entry, 'id')
        if identifier in taken:
            raise _duplicate(what, 'id', identifier)
        taken.add(identifier)
        return identifier

    def categories(self, entries: list[Any]) -> list[dict[str, Any]]:
        """Returns the categories as a description has them, and remembers the class id of each."""
        names: dict[int, str] = {}

        def check(entry: dict[str, Any], taken: set[Any]) -> None:
            if type(entry.get('id', 0)) is not int:
                text = f'is {entry["id"]!r}; allowed: a whole number from 0.'
                raise coco_checks.Defect('wrong type', 'id', text)
            identifier = self._unique(entry, taken, 'category')
            name = coco_checks.get(entry, 'name', 'a text', lambda v: isinstance(v, str) and bool(v.strip()))
            if name in names.values():
                raise _duplicate('category', 'name', name)
            names[identifier] = name
            if isinstance(entry.get('keypoints'), list):
                self._points[identifier] = len(entry['keypoints'])

        self._each('category', entries, check)
        self._fatal.check()
        self._labels = class_ids(list(names))
        order = sorted(names)
        return [{'id': self._labels[i], 'name': names[i], 'source_id': i} for i in order]

    def keypoint_layout(self, entries: list[Any]) -> keypoints.Layout:
        """The key points that checked categories name."""
        return keypoints.of_categories({self._labels[entry['id']]: entry for entry in entries}, self.path)

    def images(self, entries: list[Any]) -> None:
        """Makes an item of every image."""
        sources: set[str] = set()

        def check(entry: dict[str, Any], taken: set[Any]) -> None:
            identifier = self._unique(entry, taken, 'image')
            source_id = records.numeric_id(identifier)
            if source_id in sources:  # 7 and '7' are one id to every reader of the shards
                raise _duplicate('image', 'id', identifier)
            sources.add(source_id)
            name = coco_checks.get(entry, 'file_name', 'a text', lambda v: isinstance(v, str) and bool(v))
            height, width = coco_checks.side(entry, 'height'), coco_checks.side(entry, 'width')
            path = os.path.join(self.images_dir, name)
            record = f"image {identifier!r} of '{self.path}'"
            self.items[identifier] = Item(source_id, record, path, name, height, width, [])

        self._each('image', entries, check)
        if not entries:
            raise errors.UserError(f"'{self.path}': 'images' is an empty list.")
        found = (entry.get('id') for entry in entries if isinstance(entry, dict))
        self._named = {identifier for identifier in found if isinstance(identifier, (int, str))}

    def annotations(self, entries: list[Any]) -> None:
        """Adds every annotation to its image's item; empties the list, for its memory.

        Raises:
            UserError: masks are asked for, and there are none.
        """
        masked = (isinstance(entry, dict) and 'segmentation' in entry for entry in entries)
        if self.include_masks and entries and not any(masked):
            raise errors.UserError(
                f"no annotation of '{self.path}' has a mask ('segmentation'), but --include_masks asks for them; leave "
                'the flag out, and train with task.model.include_mask=false.'
            )

        def check(entry: dict[str, Any], taken: set[Any]) -> None:
            self._unique(entry, taken, 'annotation')
            image = coco_checks.identifier(entry, 'image_id')
            item = self.items.get(image)
            if item is None:
                if image in self._named:  # left out itself, and told already
                    return
                raise coco_checks.Defect(
                    'annotation without image', 'image_id', f'is {image!r}, which no entry of images has.'
                )
            kept = self.include_masks, self.include_keypoints
            found = coco_checks.instance(entry, item.height, item.width, self._labels, self._points, *kept)
            item.instances.append(found)

        self._each('annotation', _drained(entries), check)


def _duplicate(what: str, field: str, value: Any) -> coco_checks.Defect:
    return coco_checks.Defect(f'duplicate {what} {field}', field, f'is {value!r}, as of an earlier {what}.')


def _drained(entries: list[Any]) -> Iterator[Any]:
    entries.reverse()
    while entries:
        yield entries.pop()


def make(include_masks: bool) -> Callable[[Item], problems.Made]:
    """Returns the function from item to record that worker processes run."""
    return functools.partial(_make, include_masks=include_masks)


def _make(item: Item, include_masks: bool) -> problems.Made:
    try:
        stored = images.load(item.path, (item.height, item.width))
    except images.BadImage as error:
        problem = problems.Problem(error.kind, item.path, item.record, 'file_name', str(error))
        return problems.Made(None, [problem])
    annotations = []
    for found in item.instances:
        y1, x1, y2, x2 = found.box
        mask_png, of_mask = None, (y2 - y1) * (x2 - x1)
        if include_masks:
            mask_png, of_mask = masks.encode(found.segmentation, item.height, item.width)
        annotations.append(
            records.Annotation(
                box=found.box,
                label=found.label,
                is_crowd=found.is_crowd,
                area=of_mask if found.area is None else found.area,  # Model Garden needs all areas or none
                mask_png=mask_png,
                keypoints=found.keypoints,
            )
        )
    return problems.Made(
        records.Record(
            source_id=item.source_id,
            encoded=stored.encoded,
            image_format=stored.image_format,
            height=stored.height,
            width=stored.width,
            filename=item.filename,
            annotations=annotations,
        )
    )


def inputs_hash(annotations: str, images_dir: str, **options: Any) -> str:
    """Returns the hash of the file, of names, sizes and times of the images, and of the options."""
    listing = image_folder.listing(images_dir)
    return files.hash_of(['coco', 1, files.file_hash(annotations), listing, options])
