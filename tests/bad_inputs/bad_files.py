"""Bad files: annotations, images, splits, shards, checkpoints, manifests."""

from typing import Any

from tests.bad_inputs import commands, world
from tests.bad_inputs.commands import Case


def annotation(**changed: Any) -> world.Spoil:
    return world.edit(commands.JSON, lambda content: content['annotations'][2].update(changed))


def image(**changed: Any) -> world.Spoil:
    return world.edit(commands.JSON, lambda content: content['images'][0].update(changed))


ANNOTATIONS = (
    Case(
        'JSON cut off',
        commands.COCO,
        (commands.JSON, 'not valid JSON', 'line 1'),
        world.cut(commands.JSON, 40),
    ),
    Case(
        'JSON of another kind',
        commands.COCO,
        (commands.JSON, 'list'),
        world.write(commands.JSON, '[1, 2]'),
    ),
    Case(
        'no annotations',
        commands.COCO,
        (commands.JSON, "'annotations'", 'missing', 'prepare images'),
        world.edit(commands.JSON, lambda content: content.pop('annotations')),
    ),
    Case(
        'box outside its image',
        commands.COCO,
        (commands.JSON, 'annotation 3 (image 5)', "'bbox'", '[50, 2, 30, 4]', '48 x 64'),
        annotation(bbox=[50, 2, 30, 4]),
    ),
    Case(
        'box of no area',
        commands.COCO,
        ('annotation 3', "'bbox'", 'above 0'),
        annotation(bbox=[1, 2, 0, 4]),
    ),
    Case(
        'box of NaN',
        commands.COCO,
        ('annotation 3', "'bbox'", 'finite'),
        annotation(bbox=[1, float('nan'), 3, 4]),
    ),
    Case(
        'box of three numbers',
        commands.COCO,
        ('annotation 3', "'bbox'", 'four'),
        annotation(bbox=[1, 2, 3]),
    ),
    Case(
        'unknown category',
        commands.COCO,
        ("'category_id'", 'is 8', 'categories 3, 7'),
        annotation(category_id=8),
    ),
    Case(
        'annotation without an image',
        commands.COCO,
        ('annotation 3', "'image_id'", '99'),
        annotation(image_id=99),
    ),
    Case('two images of one id', commands.COCO, (commands.JSON, "'id'", '5'), image(id=5)),
    Case(
        'mask of another size',
        (*commands.COCO, '--include_masks'),
        ('annotation 3', "'segmentation'"),
        annotation(segmentation={'size': [4, 4], 'counts': [0, 16]}),
    ),
    Case(
        'three bad boxes, skipped',
        (*commands.COCO, '--on_error=skip'),
        (),
        world.edit(commands.JSON, lambda content: [item.update(bbox=[0, 0, 0, 0]) for item in content['annotations']]),
        skipped=('skipped: 3 (3 x box of no area)',),
    ),
)

IMAGES = (
    Case(
        'image that is not there',
        commands.COCO,
        ('a.jpg', 'image 11', 'no such file'),
        world.remove('photos/images/a.jpg'),
    ),
    Case(
        'JPEG cut off',
        commands.COCO,
        ('a.jpg', 'image 11', 'truncated'),
        world.cut('photos/images/a.jpg', 300),
    ),
    Case(
        'PNG with a flipped bit',
        commands.COCO,
        ('b.png', 'corrupt', 'checksum'),
        world.flip('photos/images/sub/b.png', 60),
    ),
    Case('empty file', commands.FOLDER, ('a.jpg', 'empty'), world.write('photos/images/a.jpg', b'')),
    Case(
        'error page saved as an image',
        commands.FOLDER,
        ('a.jpg', 'HTML'),
        world.write('photos/images/a.jpg', '<html><body>404</body></html>'),
    ),
    Case('image of another size than annotated', commands.COCO, ('a.jpg', '48', '100'), image(width=100)),
    Case(
        'PNG of 3.6 gigapixels',
        commands.FOLDER,
        ('big.png',),
        world.write('photos/images/big.png', world.huge_png()),
    ),
    Case(
        'GIF',
        commands.FOLDER,
        ('x.gif', "'.gif'", 'JPEG, PNG'),
        world.write('photos/images/x.gif', b'GIF89a'),
    ),
    Case(
        'folder without images',
        ('prepare', 'images', '--images=empty', '--output_dir=out'),
        ("'empty'", 'none'),
    ),
    Case(
        'folder that is not there', ('prepare', 'images', '--images=no', '--output_dir=out'), ("'no'", 'no folder')
    ),
    Case(
        'truncated image, skipped',
        (*commands.FOLDER, '--on_error=skip'),
        (),
        world.cut('photos/images/a.jpg', 300),
        skipped=('2 images', 'skipped: 1 (1 x truncated image)'),
    ),
)

SPLITS = (
    Case('fraction of 0', (*commands.SPLIT, '--fractions=0'), ('fraction is 0.0', '--fractions', 'above 0')),
    Case('fraction in percent', (*commands.SPLIT, '--fractions=20'), ('fraction is 20.0', 'up to 1')),
    Case(
        'fraction of less than an image',
        (*commands.SPLIT, '--fractions=0.01'),
        ('fraction is 0.01', '--fractions'),
    ),
    Case('fractions in words', (*commands.SPLIT, '--fractions=half'), ("'half'", 'numbers')),
    Case(
        'validation set that shares images',
        (*commands.SPLIT, '--fractions=0.5', '--validation=shards/train.json'),
        ('share 4 images',),
    ),
    Case(
        'split of another set',
        commands.override(commands.TRAIN, 'task.train_data.split_file=shards/splits/fraction_0.5_seed_0.json'),
        ('fraction_0.5_seed_0.json', "'999'", 'another data set'),
        world.edit('shards/splits/fraction_0.5_seed_0.json', lambda content: content.update(image_ids=['999'])),
    ),
    Case(
        'split that is no split',
        commands.override(commands.TRAIN, 'task.train_data.split_file=shards/train.json'),
        ("'shards/train.json'", 'no split file'),
        world.edit('shards/train.json', lambda content: content.update(image_ids={})),
    ),
)

SHARDS = (
    Case(
        'pattern that matches nothing',
        commands.override(commands.TRAIN, 'task.train_data.input_path=shard/train*'),
        ("task.train_data.input_path is 'shard/train*'", "no folder 'shard'"),
    ),
    Case(
        'shard gone',
        commands.TRAIN,
        ("task.validation_data.input_path is 'shards/val*'", 'model.yaml', 'a pattern that matches shards'),
        world.remove('shards/val-00000-of-00001.tfrecord'),
    ),
    Case(
        'more classes than the model',
        commands.override(commands.TRAIN, 'task.model.num_classes=3'),
        ('task.model.num_classes is 3', 'class ids up to 3', 'set it to 4'),
    ),
    Case(
        'validated on what was trained on',
        commands.TRAIN,
        ('task.train_data', 'task.validation_data', 'share'),
        world.same_images(),
    ),
    Case(
        'shard cut off',
        (*commands.LABEL, '--checkpoint=other_network', '--input=foreign.tfrecord'),
        ('foreign.tfrecord', 'damaged or cut off: truncated record'),
        world.foreign_shard('foreign.tfrecord', 30),
    ),
    Case(
        'description of another program',
        commands.TRAIN,
        ('shards/train.json',),
        world.write('shards/train.json', '{"a": 1}'),
    ),
    Case(
        'set of the same name in the way',
        ('prepare', 'images', '--images=photos/images', '--output_dir=shards', '--split=train'),
        ('shards/train.json', '--overwrite'),
    ),
)

CHECKPOINTS = (
    Case(
        'checkpoint to start from is not there',
        commands.override(commands.TRAIN, 'task.init_checkpoint=gone/ckpt-1'),
        ("task.init_checkpoint is 'gone/ckpt-1'", 'a folder with checkpoints'),
    ),
    Case(
        'folder without a checkpoint',
        (*commands.FIND, '--checkpoint=empty'),
        ("no checkpoint in the folder 'empty'",),
    ),
    Case(
        'checkpoint that is not there',
        (*commands.FIND, '--checkpoint=a/ckpt-1'),
        ("no checkpoint at 'a/ckpt-1'",),
    ),
    Case(
        'checkpoint of random bytes',
        (*commands.FIND, '--checkpoint=junk'),
        ("'junk' is not a readable checkpoint",),
        world.write('junk.index', b'\x07' * 200),
    ),
    Case(
        'checkpoint of another network',
        (*commands.FIND, '--checkpoint=other_network', '--skip_teacher_evaluation'),
        ("checkpoint 'other_network/ckpt-1' does not fit the model", "no module 'backbone'", 'it has: layer'),
        left=('out/.labelling/inputs.json',),
    ),
)

MANIFESTS = (
    Case(
        'no manifest',
        commands.STUDENT,
        ("'labels/manifest.json'", 'pseudo_label'),
        world.remove('labels/manifest.json'),
    ),
    Case(
        'manifest cut off',
        commands.STUDENT,
        ('labels/manifest.json', 'not valid JSON', 'line'),
        world.cut('labels/manifest.json', 9),
    ),
    Case(
        'manifest of something else',
        commands.STUDENT,
        ('not a manifest',),
        world.write('labels/manifest.json', '{}'),
    ),
    Case(
        'teacher of other classes',
        commands.STUDENT,
        ('id 3', "'green'", "'blue'"),
        world.other_class_name(),
    ),
    Case(
        'threshold under the floor',
        commands.STUDENT,
        ('score_threshold is 0.5', '0.6', '--score_floor'),
        world.labels_floor(),
    ),
    Case(
        'threshold over every score',
        commands.override(commands.STUDENT, 'task.pseudo_data.score_threshold=0.9'),
        ('no pseudo box', '0.9', 'the best lie between 0.75'),
    ),
    Case(
        'pseudo-labelled images among the validation images',
        commands.override(commands.STUDENT, 'task.validation_data.input_path=shards/unlabelled*'),
        ('labels/manifest.json', 'task.validation_data', 'share 5 images'),
    ),
    Case(
        'pseudo shard gone',
        commands.STUDENT,
        ("task.pseudo_data.input_path is 'labels/pseudo*'", 'student.yaml', 'a pattern that matches shards'),
        world.remove('labels/pseudo-00000-of-00001.tfrecord'),
    ),
)
