"""PASCAL VOC's boxes to records: images, an XML file for each, and lists of names, of one year or of several.

Read are a year's folder (JPEGImages, Annotations, ImageSets/Main), the VOCdevkit above it with several years, and any
two folders of images and XML files of the same names.
"""

import dataclasses
import functools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from official_rethink.common import errors, files
from official_rethink.data import image_folder, imagenet, images, problems, voc, voc_layout, voc_xml
from official_rethink.data.coco_checks import Defect

_IMAGES, _ANNOTATIONS, _LISTS = 'JPEGImages', 'Annotations', 'ImageSets/Main'
_XML = '.xml'


@dataclasses.dataclass(slots=True)
class Item:
    """One image on its way to a record: where it, its XML file and its name in a list are."""

    image: str
    annotation: str
    filename: str
    record: str


@dataclasses.dataclass(frozen=True)
class Year:
    """The images of one folder that are wanted.

    Attributes:
        layout: its folders; that of the annotations stands where label maps would.
        names: name -> where it is listed, in the order of the lists.
        image_files: name -> the files of that name: path, path below the folder, size and time.
        xml_files: the same of annotations.
    """

    layout: voc_layout.Layout
    names: Mapping[str, str]
    image_files: Mapping[str, list[list[Any]]]
    xml_files: Mapping[str, list[list[Any]]]


@dataclasses.dataclass(frozen=True)
class Source:
    """What is to be read: years, classes as a description lists them, names listed twice, how many were left out."""

    years: Sequence[Year]
    categories: list[dict[str, Any]]
    problems: Sequence[problems.Problem]
    left_out: int


def find(root: str, images_dir: str = '', annotations_dir: str = '') -> dict[str, voc_layout.Layout]:
    """Finds the folders.

    Args:
        root: a year (with JPEGImages), a VOCdevkit (with years), or '' if both folders are given.
        images_dir: takes JPEGImages' place; a folder below the root, or a path.
        annotations_dir: the same for Annotations.

    Returns:
        Year's folder -> its layout; of a single one, '' -> its layout.

    Raises:
        UserError: a folder is not there.
    """
    if not root:
        missing = [flag for flag, path in (('--images', images_dir), ('--annotations', annotations_dir)) if not path]
        if missing:
            allowed = 'a folder, or both --images and --annotations'
            raise errors.UserError(f'--voc is missing, and so is {" and ".join(missing)}; allowed: {allowed}.')
    elif not files.is_folder(root):
        raise errors.UserError(f"--voc is '{root}', which is no folder.")
    inside = os.path.join(root, _IMAGES)
    if images_dir or not root or files.is_folder(inside):
        return {'': _layout(root, images_dir, annotations_dir)}
    names = voc_layout._folders(root)
    years = [name for name in names if files.is_folder(os.path.join(root, name, _IMAGES))]
    if not years:
        held = f'it holds the folders {", ".join(names[:8])}' if names else 'it holds no folder'
        raise errors.UserError(
            f"--voc is '{root}', which has neither {_IMAGES} (a year of VOC) nor folders that have it (VOCdevkit); "
            f'{held}. Other layouts: name the folders with --images and --annotations.'
        )
    return {name: _layout(os.path.join(root, name), '', annotations_dir) for name in years}


def _layout(root: str, images_dir: str, annotations_dir: str) -> voc_layout.Layout:
    image_dir = voc_layout._folder(root, images_dir, _IMAGES, '--images')
    xml_dir = voc_layout._folder(root, annotations_dir, _ANNOTATIONS, '--annotations')
    return voc_layout.Layout(image_dir, (xml_dir,), os.path.join(root, _LISTS) if root else '', of_boxes=True)


def open_source(
    layouts: Mapping[str, voc_layout.Layout], lists: str = '', exclude: str = '', classes: str = ''
) -> Source:
    """Finds out what is there; no image and no annotation is read.

    Args:
        layouts: see `find`.
        lists: names of lists or their files, with commas between, as one; of several years each behind its year's
            folder, as in VOC2007/trainval,VOC2012/train. '' takes every XML file where there are no lists.
        exclude: lists whose names are left out.
        classes: a file with a class a line, from id 1 on, or a description of another set; '' is VOC's 20.

    Raises:
        UserError: a list or the class file is missing, empty or unreadable, or there is nothing to read.
    """
    described = classes.endswith('.json')
    categories = imagenet.read_classes(classes) if described else voc.read_classes(classes, of_boxes=True)
    named, twice = _read_lists(layouts, lists, '--list') if lists else (_every(layouts), [])
    out = _read_lists(layouts, exclude, '--exclude')[0] if exclude else {}
    years, left_out = [], 0
    for key, names in named.items():
        kept = {name: where for name, where in names.items() if name not in out.get(key, {})}
        left_out += len(names) - len(kept)
        listed = [
            voc._by_name(folder, flag, suffixes)
            for folder, flag, suffixes in (
                (layouts[key].images, '--images', image_folder.SUFFIXES),
                (layouts[key].masks[0], '--annotations', (_XML,)),
            )
        ]
        chosen = [{name: one for name, one in every.items() if name in kept} for every in listed]
        years.append(Year(layouts[key], kept, *chosen))
    if not any(year.names for year in years):
        searched = ', '.join(layout.masks[0] for layout in layouts.values())
        why = f'all {left_out} names are excluded' if left_out else f"'{searched}' holds no {_XML} file"
        raise errors.UserError(f'there is no image to prepare: {why}.')
    return Source(years, categories, twice, left_out)


def _every(layouts: Mapping[str, voc_layout.Layout]) -> dict[str, dict[str, str]]:
    """Every XML file of a folder that has no lists."""
    for key, layout in layouts.items():
        if layout.list_names():
            known = ', '.join(os.path.join(key, name) for name in voc_layout.of_all_classes(layout.list_names()))
            raise errors.UserError(f'--list is missing; allowed: {known}, or the path of a list.')
    return {
        key: dict.fromkeys(sorted(voc._by_name(layout.masks[0], '--annotations', (_XML,))), '')
        for key, layout in layouts.items()
    }


def _read_lists(
    layouts: Mapping[str, voc_layout.Layout], wanted: str, flag: str
) -> tuple[dict[str, dict[str, str]], list[problems.Problem]]:
    """Reads lists; returns year -> name -> where it stands, and a problem for each name that stands twice in one."""
    per_year: dict[str, list[str]] = {}
    for one in wanted.split(','):
        key, name = _year_of(layouts, one.strip(), flag)
        per_year.setdefault(key, []).append(name)
    named, twice = {}, []
    for key, names in per_year.items():
        named[key], found = voc_layout.read_lists(layouts[key], ','.join(names), flag)
        twice += found
    return named, twice


def _year_of(layouts: Mapping[str, voc_layout.Layout], one: str, flag: str) -> tuple[str, str]:
    if len(layouts) == 1:
        (key,) = layouts
        return key, one.removeprefix(f'{key}/') if key else one
    year, slash, name = one.partition('/')
    if slash and year in layouts and name:
        return year, name
    near = errors.nearest(year, layouts) if slash else ''
    hint = f" Did you mean '{near}/{name}'?" if near else ''
    first = next(iter(layouts))
    raise errors.UserError(
        f"{flag} is '{one}', but --voc holds {', '.join(layouts)}; allowed: a list behind its year's folder, such as "
        f'{first}/trainval.{hint}'
    )


def read(source: Source, found: problems.ProblemList) -> list[Item]:
    """Returns one item a name; what is listed twice, in two years or not there is a problem."""
    found.add(*source.problems)
    items: dict[str, Item] = {}
    for year in source.years:
        for name, where in year.names.items():
            tell = functools.partial(problems.Problem, record=where, field='')
            image = voc._only(year.image_files, name, year.layout.images, 'image', '.jpg', tell, found)
            xml = voc._only(year.xml_files, name, year.layout.masks[0], 'annotation', _XML, tell, found)
            if not image or not xml:
                continue
            if name in items:
                other = items[name].image
                text = f"is there as '{other}' too; ids are made of names, so each image of a set needs its own."
                found.add(tell(kind='two images of a name', file=image, message=text))
                continue
            items[name] = Item(image, xml, year.image_files[name][0][1], where)
    found.check()
    return list(items.values())


def make(source: Source) -> Callable[[Item], problems.Made]:
    """Returns the function from item to record that worker processes run."""
    return functools.partial(_make, labels={category['name']: category['id'] for category in source.categories})


def _make(item: Item, labels: Mapping[str, int]) -> problems.Made:
    def problem(defect: Defect, what: str = '') -> problems.Problem:
        record = ', '.join(part for part in (item.record, what) if part)
        return problems.Problem(defect.kind, item.annotation, record, defect.field, defect.message)

    try:
        found = voc_xml.parse(images.read_bytes(item.annotation), labels)
    except Defect as defect:
        return problems.Made(None, [problem(defect)])
    except images.BadImage as error:
        return problems.Made(None, [problem(Defect(error.kind.replace('image', 'annotation'), '', str(error)))])
    wrong = [problem(defect, what) for what, defect in found.defects]
    try:
        stored = images.load(item.image, (found.height, found.width), f"its annotation '{item.annotation}' says")
    except images.BadImage as error:
        return problems.Made(None, [*wrong, problems.Problem(error.kind, item.image, item.record, '', str(error))])
    return problems.Made(image_folder.record_of(item.filename, stored, annotations=found.annotations), wrong)


def inputs_hash(source: Source, **options: Any) -> str:
    """Returns the hash of names, sizes and times of the files, of the classes, and of the options."""
    years = [
        [
            [[name, *(entry[1:] for entry in entries)] for name, entries in sorted(found.items())]
            for found in (year.image_files, year.xml_files)
        ]
        + [list(year.names)]
        for year in source.years
    ]
    twice = [problem.record for problem in source.problems]
    return files.hash_of(['voc_detection', 1, years, twice, source.categories, options])
