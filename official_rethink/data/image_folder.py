"""A folder of images without labels to records; and what lies in a folder, for hashes."""

import dataclasses
import os
from typing import Any

from official_rethink.common import errors, files
from official_rethink.data import images, problems, records

SUFFIXES = ('.jpg', '.jpeg', '.jpe', '.png')
# Images that are not stored; they are told, so that nobody wonders where they went.
OTHER_SUFFIXES = ('.gif', '.webp', '.bmp', '.tif', '.tiff', '.heic', '.avif', '.jp2')


@dataclasses.dataclass(slots=True)
class Item:
    """One file: its path, and its name from the folder on, with '/'."""

    path: str
    filename: str


def listing(folder: str, flag: str = '--images') -> list[list[Any]]:
    """Returns name, size and time of every file in a folder and below, sorted by name, without hidden ones.

    Remote folders give names alone, since sizes would cost a request each.

    Args:
        folder: a path.
        flag: that named it.

    Raises:
        UserError: there is no such folder.
    """
    remote = files.is_remote(folder)
    if remote:
        import tensorflow as tf

        walk, is_folder = tf.io.gfile.walk(folder), tf.io.gfile.isdir(folder)
    else:
        walk, is_folder = os.walk(folder), os.path.isdir(folder)
    if not is_folder:
        raise errors.UserError(f"{flag} is '{folder}', which is no folder.")
    found: list[list[Any]] = []
    for base, folders, names in walk:
        folders[:] = [name for name in folders if not name.startswith('.')]
        for name in names:
            if name.startswith('.'):
                continue
            path = os.path.join(base, name)
            relative = os.path.relpath(path, folder).replace(os.sep, '/')
            if remote:
                found.append([path.removeprefix(folder).lstrip('/')])
            elif os.path.exists(path):
                status = os.stat(path)
                found.append([relative, status.st_size, status.st_mtime_ns])
    return sorted(found)


def read(folder: str, found: problems.ProblemList, names: list[list[Any]] | None = None) -> list[Item]:
    """Returns one item per image file, sorted by name; other formats are problems, other files ignored.

    Args:
        folder: searched with the folders below it.
        found: takes the problems.
        names: what `listing` gave, if it was called before.

    Raises:
        UserError: no image there.
    """
    items = []
    names = listing(folder) if names is None else names
    for name, *_ in names:
        suffix = os.path.splitext(name)[1].lower()
        path = os.path.join(folder, name)
        if suffix in SUFFIXES:
            items.append(Item(path, name))
        elif suffix in OTHER_SUFFIXES:
            text = f"is of format '{suffix}'; allowed: JPEG, PNG."
            found.add(problems.Problem('not an image', path, '', '', text))
    found.check()
    if not items:
        raise errors.UserError(
            f"'{folder}' holds {len(names)} files, none of which is named like an image "
            f'({", ".join(SUFFIXES)}).'
        )
    return items


def record_of(filename: str, stored: images.StoredImage, **labels: Any) -> records.Record:
    """Returns the record of an image that its file names, whatever is known of it.

    By the one id, labelled images are the truth of the same ones prepared without labels.

    Args:
        filename: in its folder.
        stored: the image.
        labels: further fields of the record.
    """
    return records.Record(
        # Never the number in a name: '7.jpg' here and image 7 of a COCO file are different pictures.
        source_id=records.numeric_id('file ' + filename),
        encoded=stored.encoded,
        image_format=stored.image_format,
        height=stored.height,
        width=stored.width,
        filename=filename,
        **labels,
    )


def make(item: Item) -> problems.Made:
    """Turns a file into a record; its source id is a hash of its name from the folder on."""
    try:
        stored = images.load(item.path)
    except images.BadImage as error:
        return problems.Made(None, [problems.Problem(error.kind, item.path, '', '', str(error))])
    return problems.Made(record_of(item.filename, stored))


def inputs_hash(names: list[list[Any]], **options: Any) -> str:
    """Returns the hash of names, sizes and times of the files, and of the options."""
    return files.hash_of(['images', 1, names, options])
