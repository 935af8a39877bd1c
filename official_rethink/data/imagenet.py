"""Images of one class each to records: a folder a class, ImageNet's tar files, or a list of labels."""

import dataclasses
import functools
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from official_rethink.common import errors, files
from official_rethink.data import class_tar, image_folder, images, problems

_BYTES_PER_SHARD = 64 << 20  # of a tar, whose images nobody has counted: some 500 of ImageNet's
_TOLD = 4


@dataclasses.dataclass(slots=True)
class Item:
    """One image on its way to a record.

    Attributes:
        filename: from the folder or tar on, with '/'.
        label: class id from 1; 0 if it has none.
        path: where its bytes are, if `data` is None.
        data: its bytes, if they came out of a tar.
        problem: of a tar's member.
        place: of its bytes in the tar at `path`, as `class_tar.find` tells; None: the file is the image.
    """

    filename: str
    label: int
    path: str = ''
    data: bytes | None = None
    problem: problems.Problem | None = None
    place: tuple[int, int] | None = None


@dataclasses.dataclass(frozen=True)
class Source:
    """Where the images are and what class each has.

    Attributes:
        path: a folder, or a tar.
        categories: id, name (the folder's), source_id, and 'title' where a class file gives one.
        labels: file name (its last part, without suffix) to class name; None: the folder names the class.
        names: `image_folder.listing`'s, of a folder of images; None of tars.
        tars: the tars, in order; each but a single one is named after its class.
    """

    path: str
    categories: list[dict[str, Any]]
    labels: dict[str, str] | None
    names: list[list[Any]] | None
    tars: tuple[str, ...] = ()

    @property
    def total(self) -> int | None:
        """Number of images, if it is known beforehand."""
        return None if self.names is None else len(_images(self.names))

    def shards(self) -> int | None:
        """How many shards a tar should give; None leaves it to the number of images."""
        if self.names is not None:
            return None
        size = sum(class_tar.fingerprint(path)[1] for path in self.tars)
        return max(1, min(256, -(-size // _BYTES_PER_SHARD)))

    def folder_of(self, tar: str) -> str:
        """The folder that the members of a tar count as in, with its '/'; '' for a single tar."""
        if tar == self.path:
            return ''
        name = os.path.basename(tar)
        return next(name[: -len(suffix)] for suffix in class_tar.SUFFIXES if name.lower().endswith(suffix)) + '/'


def open_source(path: str, classes: str = '', labels: str = '') -> Source:
    """Finds out what is there, before an image is read.

    Args:
        path: a folder with a folder a class, or with a tar a class; or a tar of either.
        classes: a file that numbers the classes: a description that `prepare` wrote (train.json), or a text
            with one class a line, its folder's name first; '' numbers the folders by name.
        labels: a text with the class of each image, where the folders do not tell; see `read_labels`.

    Raises:
        UserError: nothing is there, or no class is known.
    """
    is_tar = class_tar.is_tar(path)
    names = None if is_tar else image_folder.listing(path)
    tars: tuple[str, ...] = (path,) if is_tar else ()
    if is_tar:
        class_tar.fingerprint(path)
    elif names and not _images(names) and (packed := [name for name, *_ in names if class_tar.is_tar(name)]):
        names, tars = None, tuple(os.path.join(path, name) for name in packed)
    known = read_labels(labels, names) if labels else None
    if classes:
        return Source(path, read_classes(classes), known, names, tars)
    found = set(known.values()) if known is not None else _folders(Source(path, [], None, names, tars))
    if not found:
        raise errors.UserError(
            f"'{path}' has no folder a class (such as {path}/n01440764/x.JPEG); name the class of each image "
            'with --labels, or use `prepare images` for images without labels.'
        )
    return Source(path, _numbered([(name, '') for name in sorted(found)]), known, names, tars)


def _folders(source: Source) -> set[str]:
    path, names = source.path, source.names
    if names is None:
        if source.tars == (path,):
            return class_tar.folders(path)
        return {source.folder_of(tar)[:-1] for tar in source.tars}
    found = {_class_of(name) for name, *_ in names} - {''}
    if not files.is_remote(path):  # a class without an image is a class
        found |= {entry.name for entry in os.scandir(path) if entry.is_dir() and not entry.name.startswith('.')}
    return found


def _class_of(name: str) -> str:
    return name.split('/')[0] if '/' in name else ''


def _numbered(names: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    return [
        {'id': number, 'name': name, 'source_id': number, **({'title': title} if title else {})}
        for number, (name, title) in enumerate(names, 1)
    ]


def read_classes(path: str) -> list[dict[str, Any]]:
    """Reads the class list out of a description or a text.

    Raises:
        UserError: it is missing, holds no class, or names one twice.
    """
    if path.endswith('.json'):
        content = files.read_json(path)
        categories = content.get('categories') if isinstance(content, dict) else None
        if not categories:
            raise errors.UserError(f"--classes '{path}' is no description with classes, as `prepare` writes it.")
        return [dict(category) for category in categories]
    lines = [re.split(r'[\s,]+', line, maxsplit=1) for line in _lines(path, '--classes')]
    names = [(line[0], line[1].strip() if len(line) > 1 else '') for line in lines]
    twice = sorted(name for name, count in Counter(name for name, _ in names).items() if count > 1)
    if twice or not names:
        what = f"names the class '{twice[0]}' twice" if twice else 'is empty'
        raise errors.UserError(f"--classes '{path}' {what}; allowed: one class a line.")
    return _numbered(names)


def read_labels(path: str, names: list[list[Any]] | None) -> dict[str, str]:
    """Reads image name -> class name.

    Two forms: image and class on each line, separated by space or comma (what follows is ignored, as the
    boxes in LOC_val_solution.csv); or the class alone, for the images in the order of their names
    (imagenet_2012_validation_synset_labels.txt), which a tar cannot use.

    Raises:
        UserError: neither of these, or of another length than the images.
    """
    rows = [re.split(r'[\s,]+', line) for line in _lines(path, '--labels')]
    if rows and rows[0][:2] == ['ImageId', 'PredictionString']:
        rows = rows[1:]
    if not rows:
        raise errors.UserError(f"--labels '{path}' is empty.")
    if all(len(row) > 1 for row in rows):
        return {_stem(row[0]): row[1] for row in rows}
    if any(len(row) > 1 for row in rows) or names is None:
        allowed = 'image and class on each line' + ('' if names is None else ', or the class alone on each')
        raise errors.UserError(f"--labels '{path}' has lines with the class alone; allowed: {allowed}.")
    found = _images(names)
    if len(found) != len(rows):
        raise errors.UserError(f"--labels '{path}' has {len(rows)} lines for {len(found)} images.")
    return {_stem(name): row[0] for name, row in zip(sorted(found, key=_stem), rows, strict=True)}


def _lines(path: str, flag: str) -> list[str]:
    if not files.exists(path):
        raise errors.UserError(f"{flag} is '{path}', which is no file.")
    import tensorflow as tf

    with tf.io.gfile.GFile(path, 'r') as handle:
        return [line.strip() for line in handle.read().splitlines() if line.strip()]


def _stem(name: str) -> str:
    return os.path.splitext(os.path.basename(name))[0]


def _images(names: list[list[Any]]) -> list[str]:
    return [name for name, *_ in names if os.path.splitext(name)[1].lower() in image_folder.SUFFIXES]


def items(source: Source, found: problems.ProblemList, in_place: bool = False) -> Iterator[Item]:
    """Yields the images with their classes.

    Args:
        source: from `open_source`.
        found: takes other image formats in a folder, which are not stored.
        in_place: of tars only the headers are read, and `make` reads an image; the records are the same.

    Raises:
        UserError: a tar is no whole one, or is compressed and was to be read in place.
    """
    ids = {category['name']: int(category['id']) for category in source.categories}
    for tar in source.tars:
        folder = source.folder_of(tar)
        for member in class_tar.find(tar) if in_place else class_tar.read(tar):
            name = folder + member.name
            suffix = os.path.splitext(name)[1].lower()
            if member.problem or suffix in (*image_folder.SUFFIXES, *image_folder.OTHER_SUFFIXES):
                label = _label(name, ids, source.labels)
                yield Item(name, label, tar, member.data, member.problem, member.place)
    if source.names is None:
        return
    for item in image_folder.read(source.path, found, source.names):
        yield Item(item.filename, _label(item.filename, ids, source.labels), item.path)


def _label(name: str, ids: Mapping[str, int], labels: Mapping[str, str] | None) -> int:
    return ids.get(_class_of(name) if labels is None else labels.get(_stem(name), ''), 0)


def make(item: Item) -> problems.Made:
    """Turns an item into a record; its source id is a hash of its name from the folder or tar on."""
    tell = functools.partial(problems.Problem, file=item.path, record=item.filename, field='')
    if item.problem:
        return problems.Made(None, [item.problem])
    if not item.label:
        text = 'has no class: neither its folder nor --labels names one of the classes.'
        return problems.Made(None, [tell(kind='no class', message=text)])
    try:
        data = class_tar.read_at(item.path, *item.place) if item.place else item.data
        stored = images.load(item.path) if data is None else images.store(data)
    except images.BadImage as error:
        return problems.Made(None, [tell(kind=error.kind, message=str(error))])
    return problems.Made(image_folder.record_of(item.filename, stored, class_label=item.label))


def inputs_hash(source: Source, **options: Any) -> str:
    """Returns the hash of what is read and how."""
    prints: list[Any] = [class_tar.fingerprint(tar) for tar in source.tars]
    # A single tar is written as before there were folders of them, so that sets prepared then stay the same sets.
    read = (prints[0] if source.tars == (source.path,) else prints) if source.names is None else source.names
    return files.hash_of(['imagenet', 1, read, source.categories, source.labels, options])


def check_neighbours(categories: Sequence[Mapping[str, Any]], output_dir: str, split: str) -> None:
    """Refuses to number classes otherwise than the sets of single-class images beside it.

    A validation folder that lacks one class would else shift the ids of all that follow.

    Raises:
        UserError: another set in the folder has other classes.
    """
    from tensorflow import io

    ours = {category['id']: category['name'] for category in categories}
    for name in sorted(io.gfile.listdir(output_dir)) if io.gfile.isdir(output_dir) else []:
        path = os.path.join(output_dir, name)
        if not name.endswith('.json') or name == f'{split}.json':
            continue
        content = files.read_json(path)
        if not isinstance(content, dict) or not content.get('categories') or 'shards' not in content:
            continue
        theirs = {category['id']: category['name'] for category in content['categories']}
        if ours != theirs:
            differing = [str(i) for i in sorted(ours.keys() | theirs.keys()) if ours.get(i) != theirs.get(i)]
            raise errors.UserError(
                f"the classes of '{split}' are not numbered as those of '{path}': {len(differing)} ids differ, "
                f'e.g. {", ".join(differing[:_TOLD])}. Number both alike with --classes={path}, or choose another '
                '--output_dir.'
            )
