"""Tests that the release's whole detectors compute here what they compute there."""

import numpy as np
import pytest
import tensorflow as tf

from official_rethink.common import errors
from official_rethink.configs import parse
from official_rethink.modeling import conversion
from official_rethink.modeling.checkpoints import formats, importing, spinenet
from official_rethink.tasks import detection
from tests.modeling.checkpoints import spinenets, writers

SMALL = 'retinanet-spinenet-49'
OVERRIDE = (
    'task.model.backbone.spinenet.model_id=49-release,task.model.backbone.spinenet.stochastic_depth_drop_rate=0.0,'
    'task.model.input_size=[128,128,3],task.model.head.num_convs=1,task.model.head.num_filters=32,'
    'task.model.norm_activation.use_sync_bn=false'
)


@pytest.fixture(scope='module')
def imported(tmp_path_factory):
    """SpineNet-49 at 128 pixels in the release's layout, once through a file; the published sizes take minutes."""
    folder = tmp_path_factory.mktemp('release')
    conversion.leave_keras_alone()
    network = spinenets.Release(0, repeats=1, alpha=0.5, head_filters=32, head_convs=1)
    images = np.random.default_rng(3).integers(0, 256, [1, 128, 128, 3]).astype(np.uint8)
    features = network.backbone(images)
    wanted = {
        'features': features,
        'cls_outputs': network.head(features, 'class'),
        'box_outputs': network.head(features, 'box'),
    }
    extra = {'global_step': np.int64(231500), 'spinenet/conv2d/kernel/Momentum': np.zeros([2], np.float32)}
    writers.write_tf1(str(folder / 'model.ckpt-231500'), {**network.weights.tensors, **extra})
    patch = pytest.MonkeyPatch()
    size = spinenet._Size('49-release', head_convs=1, head_filters=32, stochastic_depth=0.0)
    patch.setitem(spinenet._SIZES, SMALL, size)
    patch.setitem(spinenet._REPEATS, 3, SMALL)
    original = spinenet.model_config

    def small_config(model):
        config = original(model)
        config.input_size = [128, 128, 3]
        config.norm_activation.use_sync_bn = False
        return config

    patch.setattr(spinenet, 'model_config', small_config)
    output = str(folder / 'out' / 'spinenet')
    report = importing.import_checkpoint('self-training-release', str(folder), output)
    patch.undo()
    count = len(network.weights.tensors)
    return {'report': report, 'output': output, 'images': images, 'wanted': wanted, 'count': count}


def relative(found, wanted):
    return float(np.max(np.abs(found - wanted)) / np.max(np.abs(wanted)))


def test_the_whole_model_is_exact_in_the_detection_task(imported):
    report = imported['report']
    assert (report['matched'], report['missing'], report['extra']) == (imported['count'], 0, 0)
    assert report['modules'] == ['backbone', 'head'] and report['model'] == SMALL
    assert sorted(group['count'] for group in report['left_out']) == [1, 1]
    config = parse.load(
        'retinanet_spinenet_coco', [], f'{OVERRIDE},task.init_checkpoint={imported["output"]}'
    ).params
    task = detection.DetectionTask(config.task)
    model = task.build_model()
    task.initialize(model)
    outputs = model(task.preprocess(tf.constant(imported['images'])), training=False, **anchors_of(task))
    features = model.backbone(task.preprocess(tf.constant(imported['images'])), training=False)
    differences = [relative(features[level], imported['wanted']['features'][level]) for level in '34567']
    # The release runs through the aspect ratios 1, 2, 0.5; the experiment through 0.5, 1, 2.
    assert list(config.task.model.anchor.aspect_ratios) == [0.5, 1.0, 2.0]
    for name in ('cls_outputs', 'box_outputs'):
        for level in '34567':
            wanted = spinenets.by_anchor(imported['wanted'][name][level])[..., [2, 0, 1], :]
            differences.append(relative(spinenets.by_anchor(outputs[name][level]), wanted))
    print(f'{report["format"]}: {report["matched"]}/0/0, {max(differences):.1e}')
    assert max(differences) < 1e-4


def anchors_of(task):
    """What a detector needs to give out raw outputs in inference."""
    from official_rethink.modeling import anchor_targets  # noqa: PLC0415

    anchors = anchor_targets.multilevel_anchors(task.task_config.model)
    tiled = {level: tf.expand_dims(boxes, 0) for level, boxes in anchors.items()}
    return {'image_shape': tf.constant([[128.0, 128.0]]), 'anchor_boxes': tiled}


def test_other_checkpoints_are_told_apart():
    release = formats.find('self-training-release')
    scope = 'spinenet/sub_policy0/scale_permuted_block_2/conv2d'
    shapes = {f'{scope}{end}/kernel': (3, 3, 4, 4) for end in ('', *(f'_{number}' for number in range(1, 12)))}
    shapes['retinanet/class_net/class-predict/kernel'] = (3, 3, 512, 819)
    assert release.recognise(shapes) == 'retinanet-spinenet-190'
    for number in (9, 10, 11):
        del shapes[f'{scope}_{number}/kernel']
    assert release.recognise(shapes) == 'retinanet-spinenet-143'
    del shapes['retinanet/class_net/class-predict/kernel']
    with pytest.raises(errors.UserError, match="it has 9 convolutions .* and no 'retinanet"):
        release.recognise(shapes)
    with pytest.raises(errors.UserError, match='models; --format=self-training-release-segmentation takes'):
        release.recognise({'efficientnet-b7/stem/conv2d/kernel': (3, 3, 3, 64)})


def test_anchors_are_put_in_the_experiments_order():
    """Two numbers for each of 3 scales x ratios 1, 2, 0.5: the number says scale, ratio and place."""
    release = [scale * 100 + ratio * 10 + place for scale in range(3) for ratio in (1, 2, 5) for place in range(2)]
    ours = [scale * 100 + ratio * 10 + place for scale in range(3) for ratio in (5, 1, 2) for place in range(2)]
    change = spinenet._in_our_order([0.5, 1.0, 2.0], 3)
    np.testing.assert_array_equal(change(np.array(release)), ours)
    np.testing.assert_array_equal(change(np.array([[release]])), [[ours]])
