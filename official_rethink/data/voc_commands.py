"""`prepare voc` and `prepare voc_detection`: arguments, and what they do. For --help nothing heavy is imported."""

import argparse
import functools
from collections.abc import Sequence
from typing import Any

_EXCLUDE = 'lists of images to leave out'


def add_label_maps(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `prepare voc`."""
    parser.add_argument('--voc', default='', help="VOC2012, with JPEGImages; or SBD's dataset, with img")
    parser.add_argument('--list', default='', help='train, val ... or the path of a list; several with commas')
    parser.add_argument('--exclude', default='', help=_EXCLUDE)
    parser.add_argument('--images', default='', help='folder of images (default: JPEGImages, or img)')
    masks_help = 'folder of .png or .mat, several with commas (default: SegmentationClass, or cls)'
    parser.add_argument('--masks', default='', help=masks_help)
    parser.add_argument('--classes', default='', help="text with a class a line, from id 1 on (default: VOC's 20)")
    parser.add_argument('--unlabelled', action='store_true', help='the images alone')


def add_boxes(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `prepare voc_detection`."""
    parser.add_argument('--voc', default='', help='VOC2012, with JPEGImages; or VOCdevkit, with years in it')
    lists_help = 'train, val ... or the path of a list; of a VOCdevkit VOC2007/trainval; several with commas'
    parser.add_argument('--list', default='', help=lists_help)
    parser.add_argument('--exclude', default='', help=_EXCLUDE)
    parser.add_argument('--images', default='', help='folder of images (default: JPEGImages)')
    parser.add_argument('--annotations', default='', help='folder of .xml files (default: Annotations)')
    classes_help = "text with a class a line, from id 1 on, or a prepared set's description (default: VOC's 20)"
    parser.add_argument('--classes', default='', help=classes_help)


def write_label_maps(args: argparse.Namespace) -> tuple[dict[str, Any], int]:
    """Writes the set that `prepare voc` is asked for.

    Args:
        args: the command's; `split` is filled in.

    Returns:
        The description, and how many names --exclude took away.
    """
    from official_rethink.data import voc, voc_layout

    labelled = not args.unlabelled
    layout = voc_layout.find(args.voc, args.images, args.masks, labelled)
    source = voc.open_source(layout, args.list, args.exclude, args.classes, labelled)
    args.split = args.split or voc_layout.split_name(args.list) or ('train' if labelled else 'unlabelled')
    return _write(args, voc, source, source.categories), source.left_out


def write_boxes(args: argparse.Namespace) -> tuple[dict[str, Any], int]:
    """Writes the set that `prepare voc_detection` is asked for; see `write_label_maps`."""
    from official_rethink.data import voc_detection, voc_layout

    source = voc_detection.open_source(
        voc_detection.find(args.voc, args.images, args.annotations), args.list, args.exclude, args.classes
    )
    args.split = args.split or voc_layout.split_name(args.list) or 'train'
    return _write(args, voc_detection, source, source.categories), source.left_out


def _write(
    args: argparse.Namespace,
    module: Any,
    source: Any,
    categories: Sequence[dict[str, Any]],
) -> dict[str, Any]:
    """Reads a source with its module and writes it, unless it is there."""
    from official_rethink.data import imagenet, problems, shards, writing

    inputs_hash = writing.inputs_hash(args, functools.partial(module.inputs_hash, source))
    description = shards.complete(args.output_dir, args.split, inputs_hash)
    if description is not None:
        return description
    if categories:
        imagenet.check_neighbours(list(categories), args.output_dir, args.split)
    found = problems.ProblemList(args.on_error)
    items = module.read(source, found)
    more: dict[str, Any] = {'make': module.make(source), 'inputs_hash': inputs_hash, 'found': found}
    return writing.write(args, items, categories, len(items), **more)
