"""PASCAL VOC's layout to records: images, a label map for each, and lists of names.

Read are VOC itself (JPEGImages, SegmentationClass, ImageSets/Segmentation), SBD (img, cls, train.txt), and any two
folders of images and label maps of the same names. A label map is a palette or 8-bit grey PNG, or SBD's .mat.
"""

import dataclasses
import functools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from official_rethink.common import errors, files
from official_rethink.data import image_folder, images, label_maps, problems, sbd, voc_layout

PASCAL_CLASSES = (
    'aeroplane', 'bicycle', 'bird', 'boat', 'bottle', 'bus', 'car', 'cat', 'chair', 'cow', 'diningtable', 'dog',
    'horse', 'motorbike', 'person', 'pottedplant', 'sheep', 'sofa', 'train', 'tvmonitor',
)  # fmt: skip
"""Ids 1 to 20, as VOC numbers them; 0 is background."""
_BACKGROUND = ('background', '_background_', '__background__')
_MASK_SUFFIXES = ('.png', sbd.SUFFIX)
_TOLD = 4


@dataclasses.dataclass(slots=True)
class Item:
    """One image on its way to a record: where it, its label map ('' for none) and its name in a list are."""

    image: str
    label_map: str
    filename: str
    record: str


@dataclasses.dataclass(frozen=True)
class Source:
    """What is to be read.

    Attributes:
        layout: the folders.
        names: name -> where it is listed, in the order of the lists.
        image_files: name -> the files of that name: path, path below the folder, size and time.
        mask_files: the same of label maps, from the first folder that has one; None: they are not wanted.
        categories: id, name and source_id; empty if label maps are not wanted.
        pascal: the classes are VOC's own, so that a palette's colours mean something.
        problems: names that stand twice in a list.
        left_out: how many names `exclude` took away.
    """

    layout: voc_layout.Layout
    names: Mapping[str, str]
    image_files: Mapping[str, list[list[Any]]]
    mask_files: Mapping[str, list[list[Any]]] | None
    categories: list[dict[str, Any]]
    pascal: bool
    problems: Sequence[problems.Problem]
    left_out: int


def open_source(
    layout: voc_layout.Layout, lists: str = '', exclude: str = '', classes: str = '', labelled: bool = True
) -> Source:
    """Finds out what is there; no image is read.

    Args:
        layout: the folders; see `voc_layout.find`.
        lists: names of lists, or their files, with commas between, as one; '' takes every label map (every image,
            if not `labelled`) where the layout has no lists.
        exclude: lists whose names are left out.
        classes: a file with a class a line, from id 1 on; '' is VOC's.
        labelled: label maps are wanted.

    Raises:
        UserError: a list or the class file is missing, empty or unreadable.
    """
    categories = read_classes(classes) if labelled else []
    image_files = _by_name(layout.images, '--images', image_folder.SUFFIXES)
    mask_files: dict[str, list[list[Any]]] | None = {} if labelled else None
    for folder in reversed(layout.masks if labelled else ()):
        mask_files = (mask_files or {}) | _by_name(folder, '--masks', _MASK_SUFFIXES)
    if lists:
        names, twice = voc_layout.read_lists(layout, lists, '--list')
    elif layout.list_names():
        raise errors.UserError(f'--list is missing; allowed: {", ".join(layout.list_names())}, or the path of a list.')
    else:
        every = image_files if mask_files is None else mask_files
        names, twice = {name: '' for name in sorted(every)}, []
    out = set(voc_layout.read_lists(layout, exclude, '--exclude')[0]) if exclude else set()
    kept = {name: where for name, where in names.items() if name not in out}
    if not kept:
        searched = ', '.join(layout.masks if labelled else [layout.images])
        why = f'every one of the {len(names)} names is excluded' if names else f"'{searched}' holds no such file"
        raise errors.UserError(f'there is no image to prepare: {why}.')
    chosen = [{name: one for name, one in every.items() if name in kept} for every in (image_files, mask_files or {})]
    left_out = len(names) - len(kept)
    masks = chosen[1] if labelled else None
    return Source(layout, kept, chosen[0], masks, categories, not classes, twice, left_out)


def _by_name(folder: str, flag: str, suffixes: Sequence[str]) -> dict[str, list[list[Any]]]:
    """Files by their path below the folder without suffix; several differ in the suffix alone."""
    found: dict[str, list[list[Any]]] = {}
    for entry in image_folder.listing(folder, flag):
        stem, suffix = os.path.splitext(entry[0])
        if suffix.lower() in suffixes:
            found.setdefault(stem, []).append([os.path.join(folder, entry[0]), *entry])
    return found


def read_classes(path: str, of_boxes: bool = False) -> list[dict[str, Any]]:
    """Returns the classes as a description lists them.

    Args:
        path: a text with a class a line, the first of id 1, a line 'background' before it not counted; '' is VOC's.
        of_boxes: no label map has to hold the ids, so there may be any number.

    Raises:
        UserError: the file is missing, or is empty, names a class twice, background in its midst, or too many.
    """
    names = list(PASCAL_CLASSES)
    if path:
        where = f"--classes '{path}'"
        names = voc_layout.lines(path, '--classes')
        if names and names[0].lower() in _BACKGROUND:
            names = names[1:]
        if not names:
            raise errors.UserError(f'{where} names no class; allowed: one class a line, without background.')
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise errors.UserError(f"{where} names the class '{twice[0]}' twice; allowed: one class a line.")
        later = [name for name in names if name.lower() in _BACKGROUND]
        if later:
            line = names.index(later[0]) + 1
            raise errors.UserError(f"{where} has '{later[0]}' as class {line}; it is id 0 and need not be listed.")
        if len(names) >= label_maps.MAX_CLASSES and not of_boxes:
            most = f'1 to {label_maps.MAX_CLASSES - 1}, since 0 is background and 255 void'
            raise errors.bad_value('the number of classes', len(names), most, where=where)
    return [{'id': number, 'name': name, 'source_id': number} for number, name in enumerate(names, 1)]


def read(source: Source, found: problems.ProblemList) -> list[Item]:
    """Returns one item a name; what is listed twice or not there is a problem."""
    found.add(*source.problems)
    items = []
    for name, where in source.names.items():
        tell = functools.partial(problems.Problem, record=where, field='')
        image = _only(source.image_files, name, source.layout.images, 'image', '.jpg', tell, found)
        mask = ''
        if image and source.mask_files is not None:
            mask = _only(source.mask_files, name, source.layout.masks[0], 'label map', '.png', tell, found)
        if image and (mask or source.mask_files is None):
            relative = source.image_files[name][0][1]
            items.append(Item(image, mask, relative, where))
    found.check()
    return items


def _only(
    listed: Mapping[str, list[list[Any]]],
    name: str,
    folder: str,
    what: str,
    suffix: str,
    tell: Callable[..., problems.Problem],
    found: problems.ProblemList,
) -> str:
    """Returns the path of the one file of a name; '' if there is none, or more."""
    entries = listed.get(name, [])
    if len(entries) == 1:
        return str(entries[0][0])
    path = os.path.join(folder, name + suffix)
    if entries:
        both = ' and '.join(entry[1] for entry in entries)
        message = f'is there as {both}; which is meant cannot be told.'
        found.add(tell(kind=f'two {what}s of a name', file=path, message=message))
    else:
        found.add(tell(kind=f'missing {what}', file=path, message=f"there is no {what} of the name '{name}'."))
    return ''


def make(source: Source) -> Callable[[Item], problems.Made]:
    """Returns the function from item to record that worker processes run."""
    return functools.partial(_make, num_classes=len(source.categories) + 1, pascal=source.pascal)


def _make(item: Item, num_classes: int, pascal: bool) -> problems.Made:
    tell = functools.partial(problems.Problem, record=item.record, field='')
    label_map = None
    if item.label_map:
        try:
            label_map = _label_map(item.label_map, num_classes, pascal)
        except images.BadImage as error:
            kind = error.kind.replace('image', 'label map') if 'label map' not in error.kind else error.kind
            return problems.Made(None, [tell(kind=kind, file=item.label_map, message=str(error))])
    try:
        expected = None if label_map is None else (int(label_map.shape[0]), int(label_map.shape[1]))
        stored = images.load(item.image, expected, f"its label map '{item.label_map}' is")
    except images.BadImage as error:
        kind = 'sizes of image and label map' if error.kind == 'wrong image size' else error.kind
        return problems.Made(None, [tell(kind=kind, file=item.image, message=str(error))])
    label_map_png = None if label_map is None else label_maps.encode(label_map)
    return problems.Made(image_folder.record_of(item.filename, stored, label_map_png=label_map_png))


def _label_map(path: str, num_classes: int, pascal: bool) -> np.ndarray:
    data = images.read_bytes(path)
    if path.lower().endswith(sbd.SUFFIX):
        label_map, colors = sbd.decode(data), None
    else:
        label_map, colors = label_maps.read(data)
    if colors is not None and pascal:
        _check_colors(label_map, colors)
    strange = label_maps.unlisted(label_map, num_classes)
    if strange:
        shown = ', '.join(f'{value} ({count:,} pixels)' for value, count in list(strange.items())[:_TOLD])
        more = f' and {len(strange) - _TOLD} more' if len(strange) > _TOLD else ''
        allowed = f'0 (background) to {num_classes - 1}, and {label_maps.IGNORE} (void)'
        raise images.BadImage('class over the list', f'has the class {shown}{more}; allowed: {allowed}.')
    return label_map


def _check_colors(label_map: np.ndarray, colors: np.ndarray) -> None:
    """Refuses a palette whose colours are VOC's under other indices: an image program has sorted it anew."""
    ids = [*range(len(PASCAL_CLASSES) + 1), label_maps.IGNORE]
    meant = {tuple(label_maps.palette()[i].tolist()): i for i in ids}
    for value in np.flatnonzero(label_maps.pixels(label_map)[: len(colors)]):
        color = tuple(colors[value].tolist())
        if meant.get(color, int(value)) != value:
            names = {0: 'background', label_maps.IGNORE: 'void'} | dict(enumerate(PASCAL_CLASSES, 1))
            text = f"shows index {value} as {color}, which is VOC's colour of {meant[color]} ({names[meant[color]]})"
            hint = 'allowed: indices that are class ids; colours alone say nothing'
            raise images.BadImage('palette of other indices', f'{text}; {hint}.')


def inputs_hash(source: Source, **options: Any) -> str:
    """Returns the hash of names, sizes and times of the files, of the classes, and of the options."""
    files_of = [
        [[name, *(entry[1:] for entry in entries)] for name, entries in sorted(found.items())]
        for found in (source.image_files, source.mask_files or {})
    ]
    twice = [problem.record for problem in source.problems]
    return files.hash_of(['voc', 1, files_of, list(source.names), twice, source.categories, source.pascal, options])
