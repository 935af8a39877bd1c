"""Views of an image: their pixels are a plain reading's at that size, and boxes go there and back."""

import numpy as np
import pytest
import tensorflow as tf

from official_rethink.augment import fitting, pipeline
from official_rethink.configs import maskrcnn as configs
from official_rethink.modeling import views


def _config(size, resizing=(0, 0), **inference):
    config = configs.MaskRCNNTask()
    config.override({'model': {'input_size': [*size, 3], 'max_level': 4}, 'inference': inference})
    config.override({'resizing': {'shorter_side': resizing[0], 'longer_side': resizing[1]}})
    return config


def test_the_papers_assumed_views():
    """Detectron's sample: shorter sides of 400 to 1200 with their mirror images, the longer at most 2000."""
    scales = [0.5, 0.625, 0.75, 0.875, 1.0, 1.125, 1.25, 1.375, 1.5]
    config = _config((1344, 1344), (800, 1333), scales=scales, flip=True)
    found = views.of(config)
    assert [view.fit.resizing.shorter_side for view in found[::2]] == [400, 500, 600, 700, 800, 900, 1000, 1100, 1200]
    assert [view.mirrored for view in found] == [False, True] * 9
    assert found[-1].fit.resizing.longer_side == 2000 and found[-1].padded == (2000, 2000)
    assert found[8].padded == (1344, 1344) and found[0].padded == (672, 672)
    reading = views.reading(config)
    assert reading == fitting.Fit((2000, 2000), fitting.square(2000))


def test_one_look_is_the_plain_reading():
    for config in (_config((64, 64)), _config((64, 96), (48, 60))):
        assert not views.augmented(config)
        assert views.reading(config) == views.plain(config)
    for change in ({'flip': True}, {'scales': [0.5]}, {'box_voting_threshold': 0.9}, {'soft_nms_sigma': 0.5}):
        assert views.augmented(_config((64, 64), **change))


@pytest.mark.parametrize('resizing', [(0, 0), (48, 60)], ids=['square', 'shorter side'])
@pytest.mark.parametrize('scale', [0.5, 1.0, 1.5])
def test_a_views_pixels_are_those_of_a_network_of_its_size(resizing, scale):
    config = _config((64, 64), resizing, scales=[scale, 1.25], flip=True)
    generator = np.random.default_rng(0)
    originals = [generator.integers(0, 256, size, np.uint8) for size in ((30, 50, 3), (40, 17, 3), (1, 1, 3))]
    read = [pipeline.fit(tf.constant(image), views.reading(config)) for image in originals]
    images, info = (tf.stack(parts) for parts in zip(*read, strict=True))
    assert all(shown.numpy().tolist() == [1.0, 1.0] for shown in info[:, 2])  # none is larger than the largest view
    view, mirror = (one for one in views.of(config) if one.fit == views._at(config, scale).fit)
    seen, placed = views.read(view, images, info)
    flipped, _ = views.read(mirror, images, info)
    for row, image in enumerate(originals):
        for found, source in ((seen, image), (flipped, image[:, ::-1])):
            expected, about = pipeline.resize_and_pad(
                tf.constant(source.copy()), view.fit.size, view.padded, view.fit.resizing
            )
            np.testing.assert_array_equal(found[row], expected)
            np.testing.assert_allclose(placed[row], about)


def test_boxes_there_and_back():
    config = _config((64, 64), (48, 60), scales=[0.5, 1.0], flip=True)
    image = tf.zeros([30, 50, 3], tf.uint8)
    read, info = (value[tf.newaxis] for value in pipeline.fit(image, views.reading(config)))
    boxes = tf.constant([[[2.0, 5.0, 20.0, 45.0], [0.0, 0.0, 30.0, 50.0], [7.0, 7.0, 7.0, 7.0]]])
    for view in views.of(config):
        _, placed = views.read(view, read, info)
        there = views.to_view(view, boxes, placed)
        np.testing.assert_allclose(views.to_original(view, there, placed), boxes, atol=1e-4)
    # By hand: 50 becomes 60 at scale 1, by the longer side; mirrored, columns 5 to 45 are again 5 to 45.
    np.testing.assert_allclose(there[0, 0], [2.4, 6.0, 24.0, 54.0], rtol=1e-5)
    outside = views.to_original(views.of(config)[2], tf.constant([[[-5.0, -5.0, 99.0, 99.0]]]), placed)
    np.testing.assert_allclose(outside[0, 0], [0, 0, 30, 50])


def test_a_larger_image_is_shrunk_to_the_largest_view_first():
    config = _config((64, 64), scales=[0.5, 1.0])
    read, info = pipeline.fit(tf.zeros([128, 256, 3], tf.uint8), views.reading(config))
    assert read.shape == (64, 64, 3) and info[2].numpy().tolist() == [0.25, 0.25]
    _, placed = views.read(views.of(config)[0], read[tf.newaxis], info[tf.newaxis])
    np.testing.assert_allclose(placed[0], [[128, 256], [32, 32], [0.125, 0.125], [0, 0]])
