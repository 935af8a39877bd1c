"""Detectors in several views: the same as plain with one, mirrored as the image is, masks averaged, any detector."""

import numpy as np
import pytest
import tensorflow as tf

from official_rethink.augment import pipeline
from official_rethink.modeling import looks, views
from official_rethink.tasks import detection, maskrcnn
from tests import devices
from tests.tasks import small
from tests.tasks import small_maskrcnn as tiny


def _originals(*sizes, seed=0):
    generator = np.random.default_rng(seed)
    return [generator.integers(0, 256, [*size, 3], np.uint8) for size in sizes]


def _read(config, originals):
    read = [pipeline.fit(tf.constant(image), views.reading(config)) for image in originals]
    return tuple(tf.stack(parts) for parts in zip(*read, strict=True))


def _task(params, **inference):
    config = params.replace()
    config.override({'inference': inference})
    cls = maskrcnn.MaskRCNNTask if hasattr(config.model, 'rpn_head') else detection.DetectionTask
    return cls(config)


def _inferring(task, model):
    """A function of images, traced once."""
    infer = tf.function(lambda *batch: task.infer(*batch, model))

    def of(originals):
        found = infer(*_read(task.task_config, originals))
        return {name: value.numpy() for name, value in found.items() if name != 'raw'}

    return of


@pytest.fixture(scope='module')
def two_stage():
    """A random Mask R-CNN."""
    tf.keras.utils.set_random_seed(3)
    params = tiny.params()
    return params, maskrcnn.MaskRCNNTask(params).build_model()


def test_one_view_is_plain_inference(two_stage):
    params, model = two_stage
    originals = _originals((20, 32), (40, 40))
    plain = _task(params)
    inputs = _read(params, originals)
    expected, found = plain.predict(*inputs, model), plain.infer(*inputs, model)
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)
    # The same boxes through the suppression over views; squares, whose regions no padding can hold.
    originals = _originals((32, 32), (20, 20))
    expected = plain.predict(*_read(params, originals), model)
    found = _inferring(_task(params, soft_nms_sigma=0.0), model)(originals)
    assert found['num_detections'].min() > 0
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=1e-4, err_msg=name)


@pytest.mark.slow
def test_a_mirrored_image_has_mirrored_answers_and_masks_are_means(two_stage):
    params, model = two_stage
    task = _task(params, scales=[1.5], flip=True, box_voting_threshold=0.9)
    originals = _originals((24, 32), (32, 20))
    infer = _inferring(task, model)
    found, mirrored = infer(originals), infer([image[:, ::-1].copy() for image in originals])
    for row, image in enumerate(originals):
        count, width = found['num_detections'][row], image.shape[1]
        assert count == mirrored['num_detections'][row] > 0
        np.testing.assert_allclose(found['scores'][row], mirrored['scores'][row], atol=1e-4)
        boxes = mirrored['boxes'][row, :count]
        turned = np.stack([boxes[:, 0], width - boxes[:, 3], boxes[:, 2], width - boxes[:, 1]], 1)
        np.testing.assert_allclose(found['boxes'][row, :count], turned, atol=1e-2)
        np.testing.assert_allclose(
            found['masks'][row, :count], mirrored['masks'][row, :count, :, ::-1], atol=1e-3
        )
    _check_means(task, model, originals, found)


def _check_means(task, model, originals, found):
    """Masks are the mean of what each view says of the final boxes."""
    inputs = _read(task.task_config, originals)
    shares = []
    for view in views.of(task.task_config):
        seen, info = views.read(view, *inputs)
        boxes = views.to_view(view, tf.constant(found['boxes']), info)
        look = looks.regions(model, task.preprocess(seen), boxes, tf.constant(found['classes']))
        shares.append(look[looks.MASKS].numpy()[..., :: -1 if view.mirrored else 1])
    assert len(shares) == 2 and not np.allclose(shares[0], shares[1], atol=1e-3)
    np.testing.assert_allclose(found['masks'], np.mean(shares, axis=0), atol=1e-4)


def test_mirrored_heat_maps_trade_left_and_right():
    maps = tf.random.stateless_uniform([1, 2, 4, 4, 3], [1, 2])
    back = looks.turned_back({looks.MAPS: maps}, [1, 0, 2])[looks.MAPS].numpy()
    np.testing.assert_array_equal(back[..., 0], maps.numpy()[:, :, :, ::-1, 1])
    np.testing.assert_array_equal(back[..., 2], maps.numpy()[:, :, :, ::-1, 2])


def test_a_one_stage_detector_and_its_loss():
    tf.keras.utils.set_random_seed(3)
    params = small.small_params(sync_bn=False)
    # Random weights score every box alike, about 0.01.
    params.override({'model': {'detection_generator': {'pre_nms_score_threshold': 0.0}}})
    plain, several = _task(params), _task(params, scales=[1.0, 1.5], flip=True)
    model = plain.build_model()
    images, labels = small.batch(2, boxes_per_image=(2, 1))
    labels['groundtruths'] = {}
    expected = plain.validation_step((images, labels), model)
    square = [image.numpy() for image in images]
    read, info = _read(several.task_config, square)
    found = several.validation_step((read, {**labels, 'image_info': info}), model)
    np.testing.assert_allclose(found['loss'], expected['loss'], rtol=1e-5)
    assert found['detections']['num_detections'].numpy().min() > 0
    turned = _inferring(several, model)([image[:, ::-1].copy() for image in square])
    np.testing.assert_allclose(turned['scores'], found['detections']['scores'], atol=1e-4)


@pytest.mark.slow
def test_key_points_of_a_mirrored_image_trade_places(monkeypatch):
    model = {
        'include_mask': False,
        'include_keypoints': True,
        'keypoint_head': {'num_keypoints': 3, 'num_convs': 1, 'num_filters': 8, 'upsample_factor': 2},
        'keypoint_sampler': {'num_sampled_keypoints': 4},
        'keypoint_roi_aligner': {'crop_size': 4},
    }
    task = _task(tiny.params('keypointrcnn_resnetfpn_gn_coco', model), flip=True)
    monkeypatch.setattr(task, 'flip_order', lambda: [1, 0, 2])
    tf.keras.utils.set_random_seed(3)
    originals = _originals((32, 32))
    infer = _inferring(task, task.build_model())
    found, mirrored = infer(originals), infer([image[:, ::-1].copy() for image in originals])
    turned = mirrored['keypoints'][..., [1, 0, 2], :] * [1, -1, 1] + [0, 32, 0]
    count = found['num_detections'][0]
    assert count > 0 and found['keypoints'].shape[2:] == (3, 3)
    # Maps of random weights are nearly even, so that rounding moves a top now and then.
    near = np.abs(found['keypoints'][0, :count] - turned[0, :count]) < 0.05
    assert near.all(axis=-1).mean() > 0.9


@pytest.mark.slow
def test_on_two_devices_one_of_them_without_an_image():
    strategy = devices.two_devices()
    task = _task(small.small_params(), flip=True)
    with strategy.scope():
        tf.keras.utils.set_random_seed(3)
        model = task.build_model()
    inputs = _read(task.task_config, _originals((24, 32), (32, 20)))
    parts = strategy.experimental_distribute_values_from_function
    images, info = (
        parts(lambda context, value=value: value[: 2 * (1 - context.replica_id_in_sync_group)]) for value in inputs
    )
    found = tf.function(lambda *batch: strategy.run(lambda *one: task.infer(*one, model), args=batch))(images, info)
    local = strategy.experimental_local_results(found['boxes'])
    assert [len(part) for part in local] == [2, 0]
