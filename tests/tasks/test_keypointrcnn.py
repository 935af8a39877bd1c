"""Key points in the steps: two devices equal one, every weight learns, nothing labelled, places in the images."""

import json
import re

import numpy as np
import pytest
import tensorflow as tf

from official_rethink import train
from official_rethink.common import errors
from official_rethink.configs import parse
from official_rethink.data import scenes
from official_rethink.modeling import keypoint_head
from tests import devices
from tests.tasks import small
from tests.tasks import small_maskrcnn as tiny

POINTS = 3
MODEL = {
    'include_mask': False,
    'include_keypoints': True,
    'keypoint_head': {'num_keypoints': POINTS, 'num_convs': 1, 'num_filters': 8, 'upsample_factor': 2},
    'keypoint_sampler': {'num_sampled_keypoints': 4},
    'keypoint_roi_aligner': {'crop_size': 4},
}
EXPERIMENT = 'keypointrcnn_resnetfpn_gn_coco'


def _batch(**kwargs):
    """As `tiny.batch`, with points spread over every box, the last one not labelled."""
    images, labels = tiny.batch(**kwargs)
    boxes = labels['boxes'].numpy()
    shares = np.array([[0.2, 0.3], [0.7, 0.5], [0.9, 0.9]])
    places = boxes[:, :, None, :2] + shares * (boxes[:, :, None, 2:] - boxes[:, :, None, :2])
    visible = np.tile([2.0, 1.0, 0.0], [*boxes.shape[:2], 1])[..., None] * (boxes[:, :, :1, None] >= 0)
    keypoints = np.concatenate([places * (visible > 0), visible], axis=-1)
    return images, {**labels, 'keypoints': tf.constant(keypoints, tf.float32)}


def _task(**model):
    return tiny.task(experiment=EXPERIMENT, model={**MODEL, **model})


@pytest.fixture(scope='module')
def built():
    """A task and its model."""
    tf.keras.utils.set_random_seed(3)
    task = _task()
    return task, task.build_model()


def _gradients(task, model, inputs):
    with tf.GradientTape() as tape:
        named = task.named_losses(*inputs, model)
    return named, tape.gradient(named['model_loss'], model.trainable_variables)


def test_every_weight_learns(built):
    named, gradients = _gradients(*built, _batch())
    for variable, gradient in zip(built[1].trainable_variables, gradients, strict=True):
        assert np.abs(tf.convert_to_tensor(gradient)).max() > 0, variable.name
    # Before it has learnt anything a map is nearly even over its 16 x 16 cells.
    assert float(named['keypoint_loss']) == pytest.approx(np.log(256), rel=0.1)
    weights = built[0].task_config.losses
    parts = [getattr(weights, f'{name}_weight') * named[f'{loss}_loss'] for name, loss in (
        ('rpn_score', 'rpn_score'), ('rpn_box', 'rpn_box'), ('frcnn_class', 'frcnn_cls'), ('frcnn_box', 'frcnn_box'),
        ('keypoint', 'keypoint'))]  # fmt: skip
    np.testing.assert_allclose(named['model_loss'], sum(parts), rtol=1e-5)
    kernels = sum(variable.shape.rank >= 2 for variable in built[1].trainable_variables)
    assert len(built[1].losses) == kernels and 'keypoint_head' in built[1].checkpoint_items


def test_nothing_labelled(built):
    """No object; and objects whose points are not labelled: boxes learn, points do not, nothing is NaN."""
    images, labels = _batch()
    points = tf.zeros_like(labels['keypoints'])
    nobody = {'boxes': -tf.ones_like(labels['boxes']), 'classes': -tf.ones_like(labels['classes'])}
    for changed in ({'keypoints': points}, {'keypoints': points, **nobody}):
        named, gradients = _gradients(*built, (images, {**labels, **changed}))
        assert named['keypoint_loss'] == 0.0 and named['rpn_score_loss'] > 0
        assert all(np.isfinite(tf.convert_to_tensor(gradient)).all() for gradient in gradients)


def test_places_in_the_original_image(built):
    """An image enlarged 2 x 4 times: heat maps are read off in its own pixels."""
    task, model = built
    images, labels = _batch()
    info = tf.tile(tf.constant([[[16.0, 8.0], [32.0, 32.0], [2.0, 4.0], [0.0, 0.0]]]), [4, 1, 1])
    found = task.predict(images, info, model)
    assert found['keypoints'].shape == [4, 10, POINTS, 3]
    low, high = found['boxes'][..., None, :2].numpy(), found['boxes'][..., None, 2:].numpy()
    places = found['keypoints'][..., :2].numpy()
    assert ((places >= low - 1e-3) & (places <= high + 1e-3)).all()
    assert ((found['keypoints'][..., 2] > 0) & (found['keypoints'][..., 2] <= 1)).numpy().all()
    raw = model(task.preprocess(images), image_shape=info[:, 1], anchor_boxes=task._anchors(4), training=False)
    maps = model.keypoint_maps(raw['decoder_features'], raw['detection_boxes'])
    again = keypoint_head.find(maps, raw['detection_boxes'])[..., :2] / [2.0, 4.0]
    np.testing.assert_allclose(places, again, atol=1e-3)


@pytest.mark.slow
def test_beside_masks_on_a_cascade():
    """All branches at once: masks and points are learnt in the last stage's regions, and found for its boxes."""
    cascade = {'roi_sampler': {'cascade_iou_thresholds': [0.6, 0.7]}}
    task = _task(include_mask=True, detection_head={'class_agnostic_bbox_pred': True}, **cascade)
    model = task.build_model()
    inputs = _batch()
    named, gradients = _gradients(task, model, inputs)
    assert named['mask_loss'] > 0 and named['keypoint_loss'] > 0
    assert all(np.abs(tf.convert_to_tensor(gradient)).max() > 0 for gradient in gradients)
    images, labels = inputs
    found = task.predict(images, labels['image_info'], model)
    assert found['masks'].shape[:2] == found['keypoints'].shape[:2] == [4, 10]


@pytest.mark.slow
def test_two_devices_equal_one(built):
    named = built[0].named_losses(*_batch(), built[1])
    strategy = devices.two_devices()
    with strategy.scope():
        task = _task()
        model = task.build_model()
    for variable, value in zip(model.variables, built[1].variables, strict=True):
        variable.assign(value)
    inputs = _batch()
    values = strategy.experimental_distribute_values_from_function(
        lambda context: small.take(inputs, [[0, 1], [2, 3]][context.replica_id_in_sync_group])
    )

    @tf.function
    def step():
        logs = strategy.run(lambda batch: task.named_losses(*batch, model), args=(values,))
        return {name: strategy.reduce('MEAN', value, axis=None) for name, value in logs.items()}

    for name, value in step().items():
        if name != 'instances':
            np.testing.assert_allclose(value, named[name], rtol=1e-3, err_msg=name)


_SMALL = (
    'task.model.num_classes=2,task.model.input_size=[64,64,3],task.model.max_level=5,'
    'task.resizing.shorter_side=0,task.resizing.longer_side=0,task.train_data.augmentation.shorter_side_min=null,'
    'task.train_data.augmentation.shorter_side_max=null,task.train_data.augmentation.shorter_side_step=null,'
    'task.model.backbone.resnet.model_id=10,task.model.backbone.resnet.depth_multiplier=0.25,'
    'task.model.decoder.fpn.num_filters=16,task.model.rpn_head.num_filters=16,task.model.detection_head.num_convs=1,'
    'task.model.detection_head.num_filters=16,task.model.detection_head.fc_dims=32,'
    'task.model.keypoint_head.num_keypoints=5,task.model.keypoint_head.num_convs=1,'
    'task.model.keypoint_head.num_filters=8,task.model.keypoint_sampler.num_sampled_keypoints=4,'
    'task.model.keypoint_roi_aligner.crop_size=4,'
    'task.model.roi_generator.num_proposals=50,task.model.roi_sampler.num_sampled_rois=16,'
    'task.model.detection_generator.nms_version=batched,'
    'task.train_data.global_batch_size=2,task.validation_data.global_batch_size=2,'
    'trainer.schedule.base_batch_size=2,trainer.schedule.base_train_steps=2,trainer.schedule.base_warmup_steps=1,'
    'trainer.schedule.base_drops_before_end=[1],trainer.best_checkpoint_eval_metric=keypoint_AP'
)


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """Walkers to train and to measure on, and scenes of two classes."""
    folder = tmp_path_factory.mktemp('keypoints')
    for seed, (split, count, classes) in enumerate([('train', 4, 1), ('val', 3, 1), ('mixed', 3, 2)]):
        settings = scenes.Settings(height=64, width=64, num_classes=classes)
        scenes.write_scenes(str(folder), split, settings, seed, count)
    return folder


def _override(data, train_split='train', **changes):
    """`_SMALL` on the data, with other values or further keys; __ stands for the dot."""
    text = f'{_SMALL},task.train_data.input_path={data}/{train_split}*,task.validation_data.input_path={data}/val*'
    for name, value in changes.items():
        key = name.replace('__', '.')
        text = re.sub(rf'(^|,){re.escape(key)}=[^,]*', '', text) + f',{key}={value}'
    return text.lstrip(',')


@pytest.mark.slow
def test_the_experiment_trains_and_measures_through_its_command(data, tmp_path):
    flags = [f'--experiment={EXPERIMENT}', '--mode=train_and_eval', f'--model_dir={tmp_path / "run"}']
    assert train.main([*flags, f'--params_override={_override(data)}']) == 0
    measured = json.loads((tmp_path / 'run' / 'test.json').read_text())['metrics']
    assert {'AP', 'keypoint_AP', 'keypoint_AP50', 'keypoint_ARl'} <= set(measured)


_MODEL = 'task__model__'
MISTAKES = {
    'several classes': ('mixed', {f'{_MODEL}num_classes': 3}, 'have no key points, or those of each class are others'),
    'how many': ('train', {f'{_MODEL}keypoint_head__num_keypoints': 17}, '5, as many as the objects of task.train'),
    'regions': (
        'train', {f'{_MODEL}keypoint_sampler__num_sampled_keypoints': 600}, 'the first may be at most the second'
    ),
    'filters': ('train', {f'{_MODEL}keypoint_head__num_filters': 0}, '1 or more'),
    'not wanted': (
        'train', {f'{_MODEL}include_keypoints': 'false', 'trainer__best_checkpoint_eval_metric': 'AP'},
        'only a training of key points can leave out',
    ),
    'module': ('train', {'task__init_checkpoint': 'x', 'task__init_checkpoint_modules': '[keypoint_haed]'},
               "'keypoint_head'"),
}  # fmt: skip


@pytest.mark.parametrize('name', MISTAKES)
def test_mistakes_are_named(data, name):
    split, changes, words = MISTAKES[name]
    with pytest.raises(errors.UserError, match=words):
        train.main([f'--experiment={EXPERIMENT}', '--mode=train', '--model_dir=nowhere',
                    f'--params_override={_override(data, split, **changes)}'])  # fmt: skip


def test_sets_with_other_points_are_named(data):
    """The same number of points under other names: what the head learns on one it cannot find on the other."""
    path = data / 'val.json'
    written = path.read_text()
    path.write_text(written.replace('"head"', '"hat"'))
    try:
        with pytest.raises(errors.UserError, match=r'task.validation_data .* are not those of task.train_data'):
            train.main([f'--experiment={EXPERIMENT}', '--mode=train', '--model_dir=nowhere',
                        f'--params_override={_override(data)}'])  # fmt: skip
    finally:
        path.write_text(written)


def test_the_experiment_is_that_of_the_paper_and_detectron():
    config = parse.load(EXPERIMENT, (), '').params
    model, data = config.task.model, config.task.train_data
    assert (model.keypoint_head.num_convs, model.keypoint_head.num_filters, model.keypoint_side) == (8, 512, 56)
    jitter = data.augmentation
    assert (jitter.shorter_side_min, jitter.shorter_side_max, jitter.shorter_side_step) == (640, 800, 32)
    assert config.trainer.train_steps == 180_000 and model.norm_activation.normalization == 'group'
