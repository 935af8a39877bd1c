"""Bad inputs of two-stage detection and its studies: VOC's XML, key points, sizes, cascades, searches, less data."""

import pathlib

from tests.bad_inputs import commands, world
from tests.bad_inputs.commands import Case, override
from tests.data import voc_making

_FIRST, _SECOND = voc_making.NAMES[:2]
_XML = f'voc/Annotations/{_FIRST}.xml'
_LISTED = "line 1 of 'voc/ImageSets/Main/train.txt'"
_BOXES = ('prepare', 'voc_detection', '--voc=voc', '--list=train', '--output_dir=out')
_MASKRCNN = '--experiment=maskrcnn_resnetfpn_gn_coco'
_KEYPOINTS = '--experiment=keypointrcnn_resnetfpn_gn_coco'
_FILE = '--config_file=two_stage.yaml'
_DESCRIBE = ('describe', _MASKRCNN, _FILE)
_TRAIN = ('train', _MASKRCNN, _FILE, '--mode=train_and_eval', '--model_dir=out')
_DESCRIBE_POINTS = ('describe', _KEYPOINTS, _FILE)
_STUDENT = ('describe', '--experiment=self_training_maskrcnn_resnetfpn_gn_coco', _FILE, '--config_file=student.yaml')
_POINTS = (*commands.COCO, '--include_keypoints')


def replaced(path: str, old: str, new: str) -> world.Spoil:
    """Changes a text in a file."""

    def spoil() -> None:
        text = pathlib.Path(path).read_text()
        assert old in text, text
        pathlib.Path(path).write_text(text.replace(old, new))

    return spoil


def added(path: str, text: str) -> world.Spoil:
    """Adds to the end of a file."""
    return lambda: pathlib.Path(path).write_text(pathlib.Path(path).read_text() + text)


def grid(**changed: str) -> world.Spoil:
    """A search in the study's file, of which something is changed; '' takes a key out."""
    keys = {'name': 'rates', 'arm': 'supervised', 'carried_to': '[student]', 'steps': '2'}
    keys['values'] = '{trainer.schedule.base_learning_rate: [0.01, 0.02]}'
    shown = ', '.join(f'{key}: {value}' for key, value in (keys | changed).items() if value)
    return added('study.yaml', f'grids:\n- {{{shown}}}\n')


VOC = (
    Case(
        'VOC XML without a size',
        _BOXES,
        (_XML, _LISTED, "field 'size': is missing", 'a <size> with <width> and <height>'),
        replaced(_XML, 'size>', 'sizes>'),
    ),
    Case(
        'VOC box outside its image',
        _BOXES,
        (_XML, "object 1 ('cat'), field 'bndbox'", 'x 11 to 300, y 9 to 24', '48 x 64', 'pixels count from 1'),
        replaced(_XML, '<xmax>30<', '<xmax>300<'),
    ),
    Case(
        'VOC class misspelt',
        _BOXES,
        (_XML, "object 1 ('cta'), field 'name'", "is 'cta'", "Did you mean 'cat'", '--classes'),
        replaced(_XML, '>cat<', '>cta<'),
    ),
    Case('VOC XML cut off', _BOXES, (_XML, 'is not valid XML', 'line'), world.cut(_XML, 20)),
    Case(
        'VOC XML of another image',
        _BOXES,
        (f'JPEGImages/{_FIRST}.jpg', 'is 48 x 64', f"'{_XML}' says 37 x 51"),
        world.copy(f'voc/Annotations/{_SECOND}.xml', _XML),
    ),
    Case(
        'VOC list of one class',
        ('prepare', 'voc_detection', '--voc=voc', '--list=cat_train', '--output_dir=out'),
        ('ImageSets/Main/cat_train.txt', 'line 1', 'a list of one class', 'trainval'),
    ),
    Case(
        'VOC object without a box, skipped',
        (*_BOXES, '--on_error=skip'),
        (),
        replaced(_XML, 'bndbox>', 'box>'),
        skipped=('boxes: 1 ', 'skipped: 2 (2 x missing box)'),
    ),
    Case(
        'more images than the set has',
        (*commands.SPLIT, '--counts=2,5'),
        ('count is 5', '--counts', "1 to 4, the images of the set 'train'"),
    ),
    Case(
        'protocol misspelt',
        override(_DESCRIBE, 'task.evaluation_protocols=[coco,voc-12]'),
        ("'voc-12'", '--params_override', "Did you mean 'voc12'", 'coco, voc07, voc12'),
    ),
    Case(
        'best checkpoint by what is not measured',
        override(_DESCRIBE, 'trainer.best_checkpoint_eval_metric=VOC12_mAP'),
        ("'VOC12_mAP'", 'trainer.best_checkpoint_eval_metric', 'AP, AP50'),
    ),
    Case(
        'nothing but difficult objects',
        _TRAIN,
        ("task.train_data ('shards/train.json')", 'is difficult', 'task.train_data.skip_difficult'),
        world.edit('shards/train.json', lambda content: content.update(num_difficult=content['num_instances'])),
    ),
)

KEYPOINTS = (
    Case(
        'key points without visibility',
        _POINTS,
        (commands.JSON, 'annotation 1', "field 'keypoints'", '[12, 9, 0, 0]', '2 points', 'x y v'),
        world.edit(commands.JSON, lambda content: content['annotations'][0].update(keypoints=[12, 9, 0, 0])),
    ),
    Case(
        'key points that no category names',
        _POINTS,
        (commands.JSON, 'no category', 'names key points', '--include_keypoints'),
        world.edit(commands.JSON, lambda content: content['categories'][1].pop('keypoints')),
    ),
    Case(
        'object without its key points',
        _POINTS,
        (commands.JSON, 'annotation 1', "field 'keypoints'", 'is missing', 'each of its 2 points'),
        world.edit(commands.JSON, lambda content: content['annotations'][0].pop('keypoints')),
    ),
    Case(
        'set without key points',
        ('train', _KEYPOINTS, *_TRAIN[2:]),
        ('task.train_data', 'key points', 'task.model.include_keypoints is true'),
    ),
    Case(
        'more key-point regions than regions',
        override(_DESCRIBE_POINTS, 'task.model.keypoint_sampler.num_sampled_keypoints=600'),
        ('task.model.keypoint_sampler.num_sampled_keypoints is 600', 'the first may be at most the second'),
    ),
    Case(
        'images left out for key points that nobody learns',
        override(_DESCRIBE, 'task.train_data.keep_images_without_keypoints=false'),
        ('task.train_data.keep_images_without_keypoints', 'only a training of key points can leave out'),
    ),
    Case(
        'threshold of key points that nobody finds',
        ('pseudo_label', _MASKRCNN, _FILE, '--input=shards/unlabelled*', '--checkpoint=empty', '--output_dir=out',
         '--keypoint_threshold=0.2'),
        ('--keypoint_threshold is 0.2', 'finds no key points', 'Leave the flag out'),
    ),
    Case(
        'threshold of key points over 1',
        ('pseudo_label', _KEYPOINTS, _FILE, '--input=shards/unlabelled*', '--checkpoint=empty', '--output_dir=out',
         '--keypoint_threshold=1.5'),
        ('keypoint_threshold is 1.5', '--keypoint_threshold', '0 to 1'),
    ),
)  # fmt: skip

MODELS = (
    Case(
        'masks to learn, and none in the set',
        override(_TRAIN, 'task.model.include_mask=true'),
        ("task.train_data ('shards/train.json')", 'have no masks', 'prepare coco --include_masks'),
    ),
    Case(
        'input that cannot hold the longer side',
        override(_DESCRIBE, 'task.resizing.shorter_side=40,task.resizing.longer_side=100'),
        ('task.model.input_size is [64, 64, 3]', 'task.resizing.longer_side is 100', 'sides of 128 or more'),
    ),
    Case(
        'shorter side without the longer',
        override(_DESCRIBE, 'task.resizing.shorter_side=40'),
        ('task.resizing.shorter_side is 40', 'task.resizing.longer_side is 0', 'set both'),
    ),
    Case(
        'steps that do not meet the greatest side',
        override(
            _DESCRIBE,
            'task.resizing.shorter_side=40,task.resizing.longer_side=64,task.train_data.augmentation.shorter_side_min=32,'
            'task.train_data.augmentation.shorter_side_max=42,task.train_data.augmentation.shorter_side_step=4',
        ),
        ('task.train_data.augmentation', 'shorter_side_step is 4', 'from 32 to 42'),
    ),
    Case(
        'shorter side drawn for label maps',
        override(
            ('describe', '--experiment=seg_deeplabv3plus_resnet_pascal'),
            'task.train_data.augmentation.shorter_side_min=32,task.train_data.augmentation.shorter_side_max=40',
        ),
        ('task.train_data.augmentation.shorter_side_min is 32', 'only detectors resize images by their shorter side'),
    ),
    Case(
        'scale that is a size in pixels',
        override(_DESCRIBE, 'task.inference.scales=[400,800]'),
        ('task.inference.scales is [400', 'each from 0.1 to 4'),
    ),
    Case(
        'cascade whose boxes are of classes',
        override(_DESCRIBE, 'task.model.roi_sampler.cascade_iou_thresholds=[0.6,0.7]'),
        ('task.model.roi_sampler.cascade_iou_thresholds', 'task.model.detection_head.class_agnostic_bbox_pred', 'true'),
    ),
    Case(
        'later stages that do not exist',
        override(_DESCRIBE, 'task.cascade.base_steps_before_end=2'),
        ('task.cascade.base_steps_before_end is 2', 'no further stages', 'name their IoU'),
    ),
    Case(
        'pseudo masks of another size',
        override(_STUDENT, 'task.model.include_mask=true,task.pseudo_data.mask_crop_size=28'),
        ('task.pseudo_data.mask_crop_size is 28', 'task.train_data.mask_crop_size is 112', 'equal'),
    ),
    Case(
        'masks to give out, of a network without',
        override(_DESCRIBE, 'task.export_config.output_image_masks=true'),
        ('task.export_config.output_image_masks is True', 'task.model.include_mask is False'),
    ),
)

SEARCHES = (
    Case(
        'search with an unknown field',
        commands.STUDY,
        ("unknown key 'grids[0].step'", "Did you mean 'grids[0].steps'"),
        grid(steps='', step='2'),
    ),
    Case(
        'search over an unknown key',
        commands.STUDY,
        ("'trainer.schedule.base_learing_rate'", "grid 'rates'", "'trainer.schedule.base_learning_rate'"),
        grid(values='{trainer.schedule.base_learing_rate: [0.1]}'),
    ),
    Case(
        'search without values',
        commands.STUDY,
        ('grids[0].values', "grid 'rates'", 'at least one value'),
        grid(values='{trainer.schedule.base_learning_rate: []}'),
    ),
    Case(
        'search on an arm that is none',
        commands.STUDY,
        ("'supervisd'", 'grids[0].arm', "Did you mean 'supervised'"),
        grid(arm='supervisd'),
    ),
    Case(
        "search over what is the study's",
        commands.STUDY,
        ('grids[0].values', 'task.seed is [1, 2]', 'seeds decides it'),
        grid(values='{task.seed: [1, 2]}'),
    ),
    Case(
        "arm that sets what is the study's",
        override(commands.STUDY, 'arms.supervised.params_override=trainer.train_steps=9'),
        ('params_override', "arm 'supervised'", 'trainer.train_steps is 9', 'budget decides it'),
    ),
    Case(
        'arm shorter than what is between two evaluations',
        override(commands.STUDY, 'arms.supervised.steps=1'),
        ('budget.validation_interval is 2', 'at most 1', "arm 'supervised'"),
    ),
    Case(
        'page of something else',
        ('page', '--results=shards/train.json', '--output=page.html'),
        ("'shards/train.json' is not the result of a study",),
    ),
    Case(
        'arm with more labels than there are',
        override(commands.STUDY, 'arms.supervised.label_count=5'),
        ('label_count', "arm 'supervised'", 'is 5', 'at most 4'),
    ),
    Case(
        'arm of a length of its own that self-trains',
        override(commands.STUDY, 'arms.student.steps=2'),
        ('.steps', "arm 'student'", 'is 2', '0 where self_training is true'),
    ),
)
