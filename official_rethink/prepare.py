"""Step 1: images and annotations become shards; label fractions become split files.

python -m official_rethink.prepare coco           a COCO json and its images
python -m official_rethink.prepare open_images    Open Images' boxes: a CSV, its classes and its images
python -m official_rethink.prepare imagenet       images of one class each: a folder a class, or ImageNet's tar files
python -m official_rethink.prepare voc            images with a label map each: PASCAL VOC's folders, or SBD's
python -m official_rethink.prepare voc_detection  images with boxes: PASCAL VOC's XML files, or one's own
python -m official_rethink.prepare images         a folder of images without labels
python -m official_rethink.prepare scenes         the built-in scenes, drawn from a seed
python -m official_rethink.prepare split          label fractions, or counts, of a prepared set
"""

import argparse
import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from official_rethink.common import entry_point, errors
from official_rethink.data import voc_commands, writing

_COMMANDS = ('coco', 'open_images', 'imagenet', 'voc', 'voc_detection', 'images', 'scenes', 'split')


def main(argv: Sequence[str], writer: writing.Writer | None = None, program: str = 'prepare', about: str = '') -> int:
    """Runs one of the commands.

    Args:
        argv: the command and its flags.
        writer: writes the set, if this process shall not.
        program: what the command is called then.
        about: what its help says first.
    """
    if argv and not argv[0].startswith('-') and argv[0] not in _COMMANDS:
        raise errors.unknown_name('command', argv[0], _COMMANDS, where='prepare')
    args = _parser(argv, program, about).parse_args(list(argv))
    if not args.command:
        allowed = ', '.join(_COMMANDS)
        raise errors.UserError(f'prepare: a command is missing; allowed: {allowed}. See prepare --help.')
    commands = {
        'coco': _coco,
        'open_images': _open_images,
        'imagenet': _imagenet,
        'voc': _voc,
        'voc_detection': _voc,
        'images': _images,
        'scenes': _scenes,
        'split': _split,
    }
    if writer is not None and args.command in ('scenes', 'split'):
        allowed = ', '.join(name for name in _COMMANDS if name not in ('scenes', 'split'))
        raise errors.bad_value('the command', args.command, f'{allowed}, which read images that are there')
    args.writer = writer
    commands[args.command](args)
    return 0


def _parser(argv: Sequence[str], program: str, about: str) -> entry_point.Parser:
    parser = entry_point.Parser(prog=program, description=about or __doc__)
    commands = parser.add_subparsers(dest='command', parser_class=entry_point.Parser, metavar='COMMAND')
    coco = commands.add_parser('coco', help='a COCO json and its images', description='Converts a COCO json.')
    coco.add_argument('--annotations', required=True, help='the json file')
    coco.add_argument('--images', required=True, help='the folder that its file names start from')
    coco.add_argument('--include_masks', action='store_true', help='store instance masks too')
    coco.add_argument('--include_keypoints', action='store_true', help='store key points too')
    writing.add_flags(coco, 'train')
    boxes = commands.add_parser('open_images', help="Open Images' boxes", description="Converts Open Images' boxes.")
    boxes.add_argument('--annotations', required=True, help='the CSV of boxes, such as train-annotations-bbox.csv')
    boxes.add_argument('--classes', required=True, help='class-descriptions-boxable.csv; ids run from 1 in its order')
    boxes.add_argument('--images', required=True, help='folder of the images, with those below it')
    writing.add_flags(boxes, 'train')
    single = commands.add_parser(
        'imagenet',
        help="images of one class each: a folder a class, or ImageNet's tar files",
        description='Converts images of one class each; class ids run from 1, in the order of the folders.',
    )
    single.add_argument('--images', required=True, help='a folder or a tar a class, or ILSVRC2012_img_train.tar')
    single.add_argument(
        '--classes', default='', help="numbers the classes as a prepared set's description does, or a text, one a line"
    )
    single.add_argument('--labels', default='', help='class of each image, where no folder tells: "image class" a line')
    writing.add_flags(single, 'train')
    maps = commands.add_parser('voc', help="PASCAL VOC's folders, or SBD's", description='Converts label maps.')
    voc_commands.add_label_maps(maps)
    writing.add_flags(maps, '')
    boxes = commands.add_parser('voc_detection', help="PASCAL VOC's boxes", description="Converts VOC's XML files.")
    voc_commands.add_boxes(boxes)
    writing.add_flags(boxes, '')
    folder = commands.add_parser('images', help='a folder of images', description='Converts images.')
    folder.add_argument('--images', required=True, help='the folder, with those below it')
    writing.add_flags(folder, 'unlabelled')
    scenes = commands.add_parser('scenes', help='the built-in scenes', description='Draws scenes.')
    if 'scenes' in argv[:1]:  # the only command whose arguments need a heavy import
        from official_rethink.data import scenes as scenes_module

        scenes_module.add_arguments(scenes)
    split = commands.add_parser('split', help='label fractions', description='Writes nested label fractions.')
    split.add_argument('--input', required=True, help='description (.json), folder or shard pattern of a set')
    split.add_argument('--fractions', default='', help='above 0 to 1, with commas: 0.2,0.5,1.0')
    split.add_argument('--counts', default='', help='numbers of images, with commas: 35000,10000,3500,1000')
    split.add_argument('--seed', type=int, default=0, help='of the random order (default: 0)')
    split.add_argument('--output_dir', required=True, help='the files go to OUTPUT_DIR/splits')
    split.add_argument('--validation', default='', help='a set that must share no image with the input')
    return parser


def _coco(args: argparse.Namespace) -> None:
    from official_rethink.common import files
    from official_rethink.data import coco, problems, shards

    if not files.is_file(args.annotations):
        raise errors.UserError(f"--annotations is '{args.annotations}', which is no file.")
    options = {'include_masks': args.include_masks}
    if args.include_keypoints:  # sets prepared before there was the flag stay the same sets
        options['include_keypoints'] = True
    hash_of = functools.partial(coco.inputs_hash, args.annotations, args.images)
    inputs_hash = writing.inputs_hash(args, hash_of, **options)
    description = shards.complete(args.output_dir, args.split, inputs_hash)
    if description is None:
        found = problems.ProblemList(args.on_error)
        dataset = coco.read(args.annotations, args.images, args.include_masks, found, args.include_keypoints)
        description = writing.write(
            args,
            dataset.items,
            dataset.categories,
            len(dataset.items),
            make=coco.make(args.include_masks),
            inputs_hash=inputs_hash,
            found=found,
            fields=None if dataset.layout is None else {'keypoints': dataset.layout.described()},
        )
    _print(description, args)


def _open_images(args: argparse.Namespace) -> None:
    from official_rethink.data import imagenet, open_images, problems, shards

    source = open_images.open_source(args.annotations, args.images, args.classes)
    inputs_hash = writing.inputs_hash(args, functools.partial(open_images.inputs_hash, source))
    description = shards.complete(args.output_dir, args.split, inputs_hash)
    if description is None:
        imagenet.check_neighbours(source.categories, args.output_dir, args.split)
        description = writing.write(
            args,
            open_images.items(source),
            source.categories,
            source.total,
            make=open_images.make,
            inputs_hash=inputs_hash,
            found=problems.ProblemList(args.on_error),
        )
    _print(description, args)
    if source.without_rows:
        sys.stdout.write(f'  left out: {source.without_rows:,} images without a row\n')


def _imagenet(args: argparse.Namespace) -> None:
    from official_rethink.data import imagenet, problems, shards

    source = imagenet.open_source(args.images, args.classes, args.labels)
    inputs_hash = writing.inputs_hash(args, functools.partial(imagenet.inputs_hash, source))
    description = shards.complete(args.output_dir, args.split, inputs_hash)
    if description is None:
        imagenet.check_neighbours(source.categories, args.output_dir, args.split)
        found = problems.ProblemList(args.on_error)
        description = writing.write(
            args,
            imagenet.items(source, found, in_place=args.writer is not None),
            source.categories,
            source.total,
            make=imagenet.make,
            num_shards=args.num_shards or source.shards(),
            inputs_hash=inputs_hash,
            found=found,
        )
    _print(description, args)


def _voc(args: argparse.Namespace) -> None:
    write = voc_commands.write_boxes if args.command == 'voc_detection' else voc_commands.write_label_maps
    description, left_out = write(args)
    _print(description, args)
    if args.exclude:
        sys.stdout.write(f'  left out: {left_out:,} names that --exclude lists\n')


def _images(args: argparse.Namespace) -> None:
    from official_rethink.data import image_folder, problems, shards

    names = image_folder.listing(args.images)
    inputs_hash = writing.inputs_hash(args, functools.partial(image_folder.inputs_hash, names))
    description = shards.complete(args.output_dir, args.split, inputs_hash)
    if description is None:
        found = problems.ProblemList(args.on_error)
        items = image_folder.read(args.images, found, names)
        more: dict[str, Any] = {'make': image_folder.make, 'inputs_hash': inputs_hash, 'found': found}
        description = writing.write(args, items, (), len(items), **more)
    _print(description, args)


def _scenes(args: argparse.Namespace) -> None:
    from official_rethink.data import scenes

    _print(scenes.run(args), args)


def _print(description: Mapping[str, Any], args: argparse.Namespace) -> None:
    from official_rethink.data import summary

    sys.stdout.write(summary.text(description, args.output_dir) + '\n')


def _split(args: argparse.Namespace) -> None:
    from official_rethink.data import shards, splits

    fractions = _numbers(args.fractions, 'fractions', float, 'numbers with commas between')
    counts = _numbers(args.counts, 'counts', int, 'whole numbers with commas between')
    if not fractions and not counts:
        raise errors.UserError('prepare split: --fractions or --counts is missing, such as --fractions=0.2,0.5,1.0.')
    path = shards.find_description(args.input)
    description = shards.load_description(path)
    if args.validation:
        splits.check_disjoint(description, shards.load_description(args.validation))
    for written in splits.write(description, path, fractions, args.seed, args.output_dir, counts):
        ids = set(splits.load(written)['image_ids'])
        sys.stdout.write(f'{written}: {len(ids):,} of {description["num_images"]:,} images, ')
        sys.stdout.write(f'{_classes_in(description, ids)}\n')


def _numbers(text: str, name: str, kind: Callable[[str], Any], allowed: str) -> list[Any]:
    try:
        return [kind(part) for part in text.split(',')] if text else []
    except ValueError as error:
        raise errors.bad_value(name, text, allowed, where=f'--{name}') from error


def _classes_in(description: Mapping[str, Any], ids: set[str]) -> str:
    rows = zip(description['image_ids'], description['image_categories'], strict=True)
    seen = {label for identifier, labels in rows if identifier in ids for label in labels}
    names = [category['name'] for category in description['categories'] if category['id'] not in seen]
    total = len(description['categories'])
    text = f'{total - len(names)} of {total} classes'
    return text + (f'; without {", ".join(names[:10])}{", ..." if len(names) > 10 else ""}' if names else '')


if __name__ == '__main__':
    entry_point.run(main)
