"""Where the images, label maps and lists of PASCAL VOC's layout lie, and how lists of names are read."""

import dataclasses
import os
from collections.abc import Sequence

from official_rethink.common import errors, files
from official_rethink.data import image_folder, images, problems

# Folders of images, of label maps and of lists, below the root.
KNOWN = (
    ('JPEGImages', 'SegmentationClass', 'ImageSets/Segmentation'),
    ('img', 'cls', ''),
)
_LIST_SUFFIX = '.txt'


@dataclasses.dataclass(frozen=True)
class Layout:
    """Folders of images, of label maps (the first that has one of a name counts) and of lists ('' for none).

    Attributes:
        of_boxes: in the place of label maps lie XML files.
    """

    images: str
    masks: tuple[str, ...]
    lists: str
    of_boxes: bool = False

    def list_names(self) -> list[str]:
        """The lists of the layout's folder, without suffix."""
        names = files.names(self.lists) if self.lists else []
        return sorted(name.removesuffix(_LIST_SUFFIX) for name in names if name.endswith(_LIST_SUFFIX))


def find(root: str, images_dir: str = '', masks_dir: str = '', labelled: bool = True) -> Layout:
    """Finds the folders.

    Args:
        root: VOC2012 (with JPEGImages), SBD's dataset (with img), or '' if both folders are given.
        images_dir: takes the layout's place; a folder below the root, or a path.
        masks_dir: the same for label maps, such as SegmentationClassAug; several with commas between.
        labelled: label maps are wanted; else their folder need not be there.

    Raises:
        UserError: a folder is not there.
    """
    if not root:
        missing = [flag for flag, path in (('--images', images_dir), ('--masks', masks_dir)) if not path]
        if missing and (labelled or not images_dir):
            allowed = 'a folder, or both --images and --masks'
            raise errors.UserError(f'--voc is missing, and so is {" and ".join(missing)}; allowed: {allowed}.')
    elif not files.is_folder(root):
        raise errors.UserError(f"--voc is '{root}', which is no folder.")
    known = next((row for row in KNOWN if root and files.is_folder(os.path.join(root, row[0]))), None)
    if root and known is None and not images_dir:
        raise _unknown_layout(root)
    defaults = known or KNOWN[0]
    image_folder_ = _folder(root, images_dir, defaults[0], '--images')
    wanted = masks_dir.split(',') if labelled else []
    masks = tuple(_folder(root, one.strip(), defaults[1], '--masks') for one in wanted)
    return Layout(image_folder_, masks, os.path.join(root, defaults[2]).rstrip('/') if known else '')


def _unknown_layout(root: str) -> errors.UserError:
    below = _folders(root)
    inner = [name for name in below if files.is_folder(os.path.join(root, name, KNOWN[0][0]))]
    hint = f" Did you mean '{os.path.join(root, inner[0])}'?" if inner else ''
    held = f'it holds the folders {", ".join(below[:8])}' if below else 'it holds no folder'
    return errors.UserError(
        f"--voc is '{root}', which has neither JPEGImages (VOC) nor img (SBD); {held}.{hint} Other layouts: name the "
        'folders with --images and --masks.'
    )


def _folder(root: str, given: str, default: str, flag: str) -> str:
    tried = [os.path.join(root, given), given] if given else [os.path.join(root, default)]
    for path in tried:
        if files.is_folder(path):
            return path
    if given:
        near = errors.nearest(given, _folders(root) if root else [])
        hint = f" Did you mean '{near}'?" if near else ''
        below = f", nor one below '{root}'" if root else ''
        raise errors.UserError(f"{flag} is '{given}', which is no folder{below}.{hint}")
    raise errors.UserError(f"there is no folder '{tried[0]}'; name another with {flag}.")


def _folders(root: str) -> list[str]:
    return [name for name in files.names(root) if files.is_folder(os.path.join(root, name))]


def lines(path: str, flag: str) -> list[str]:
    """Returns a text file's lines, stripped, without empty ones.

    Raises:
        UserError: there is no such file, or it is no text.
    """
    try:
        text = images.read_bytes(path).decode('utf-8-sig')
    except images.BadImage as error:
        raise errors.UserError(f"{flag} '{path}': {error}") from error
    except UnicodeDecodeError as error:
        raise errors.UserError(f"{flag} '{path}' is no UTF-8 text: {error.reason} at byte {error.start}.") from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def read_lists(layout: Layout, wanted: str, flag: str) -> tuple[dict[str, str], list[problems.Problem]]:
    """Reads lists one after the other.

    A line is a name (2007_000032), or the paths of an image and of its label map, of which the name is taken.

    Args:
        layout: where lists are looked for.
        wanted: names of lists or their paths, with commas between.
        flag: that named them.

    Returns:
        Name -> where it stands first, in order; and a problem for each name that stands twice in one list. Several
        lists are taken as one set.

    Raises:
        UserError: there is no such list, or it is empty, or its lines are of another form.
    """
    found: dict[str, str] = {}
    twice = []
    for one in wanted.split(','):
        path = _list_path(layout, one.strip(), flag)
        rows = lines(path, flag)
        if not rows:
            raise errors.UserError(f"{flag} '{path}' is empty; allowed: the name of an image on each line.")
        here: dict[str, str] = {}
        for number, row in enumerate(rows, 1):
            name, where = _name(row, path, number, flag, layout.of_boxes), f"line {number} of '{path}'"
            if name in here:
                message = f"names '{name}' again, as {here[name]} does."
                twice.append(problems.Problem('duplicate name', path, f'line {number}', '', message))
            here.setdefault(name, where)
        found |= {name: where for name, where in here.items() if name not in found}
    return found, twice


def of_all_classes(names: Sequence[str]) -> list[str]:
    """Leaves out the lists of ImageSets/Main that are of one class, such as cat_train, unless there are no others."""
    ends = {'train', 'val', 'trainval', 'test'}
    return [name for name in names if '_' not in name or name.rpartition('_')[2] not in ends] or list(names)


def _list_path(layout: Layout, one: str, flag: str) -> str:
    names = layout.list_names()
    if one in names:
        return os.path.join(layout.lists, one + _LIST_SUFFIX)
    if one.endswith(_LIST_SUFFIX) or '/' in one:
        return one
    if not names:
        raise errors.UserError(f"{flag} is '{one}', but there is no folder of lists; allowed: the path of a .txt file.")
    raise errors.unknown_name(f"list in '{layout.lists}'", one, of_all_classes(names), where=flag)


def _name(row: str, path: str, number: int, flag: str, of_boxes: bool) -> str:
    parts = row.split()
    stems = [_stem(part) for part in parts]
    pair = len(parts) == 2 and os.path.splitext(parts[1])[1].lower() in ('.png', '.mat')
    if len(parts) == 1:
        return stems[0]
    if pair and os.path.basename(stems[0]) == os.path.basename(stems[1]):
        return os.path.basename(stems[0])
    of_main = len(parts) == 2 and parts[1] in ('-1', '0', '1')
    hint = ' Lists of ImageSets/Main are for other tasks.' if of_main else ''
    if of_main and of_boxes:
        hint = ' It is a list of one class; those of all, such as trainval, have names alone.'
    allowed = 'a name on each line' + ('' if of_boxes else ', or the paths of an image and of its label map')
    raise errors.UserError(f"{flag} '{path}', line {number}, is {problems.short(row)}; allowed: {allowed}.{hint}")


def _stem(text: str) -> str:
    stem, suffix = os.path.splitext(text)
    return stem if suffix.lower() in (*image_folder.SUFFIXES, '.mat') else text


def split_name(lists: str) -> str:
    """Returns what a set is called if nobody says: its one list's name; '' if there are none or several."""
    return '' if ',' in lists else os.path.basename(lists.strip()).removesuffix(_LIST_SUFFIX)
