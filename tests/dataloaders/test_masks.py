"""Tests of masks on their way to the network: cut to their boxes, augmented with the image, padded."""

import numpy as np
import tensorflow as tf

from official_rethink.configs import maskrcnn as configs
from official_rethink.data import masks, records
from official_rethink.dataloaders import detection, instance_masks


def test_a_cut_mask_is_sampled_at_the_centres_of_its_cells():
    mask = np.zeros([1, 8, 8], np.uint8)
    mask[0, 2:6, 2:4] = 1
    # Four cells of one pixel each: the mask itself. Two cells of two pixels: means of pixel pairs.
    boxes = tf.constant([[2.0, 2.0, 6.0, 6.0]])
    np.testing.assert_array_equal(instance_masks.crop_masks(mask, boxes, 4)[0], np.tile([255, 255, 0, 0], [4, 1]))
    np.testing.assert_array_equal(instance_masks.crop_masks(mask, boxes, 2)[0], [[255, 0], [255, 0]])
    shifted = tf.constant([[2.0, 3.0, 6.0, 5.0]])
    np.testing.assert_array_equal(instance_masks.crop_masks(mask, shifted, 2)[0], [[255, 0], [255, 0]])


def test_no_mask_and_one_pixel():
    assert instance_masks.crop_masks(np.zeros([0, 8, 8], np.uint8), tf.zeros([0, 4]), 4).shape == [0, 4, 4]
    one = instance_masks.crop_masks(np.ones([1, 1, 1], np.uint8), tf.constant([[0.0, 0.0, 1.0, 1.0]]), 2)
    assert one.shape == [1, 2, 2] and one.numpy().max() == 255


def _example():
    """An image of 16 x 16 with an object in its left half, its upper part alone."""
    mask = np.zeros([16, 16], np.uint8)
    mask[0:4, 0:8] = 1
    objects = [
        records.Annotation(box=(0.0, 0.0, 8.0, 8.0), label=2, area=32.0, mask_png=masks.to_png(mask)),
        records.Annotation(box=(8.0, 8.0, 16.0, 16.0), label=1, area=9.0, mask_png=masks.to_png(1 - mask)),
    ]
    objects[1].is_crowd = True
    image = masks.to_png(np.zeros([16, 16], np.uint8))
    return records.to_example(records.Record('1', image, 'png', 16, 16, annotations=objects))


def test_an_example_has_the_masks_of_its_boxes_in_graph_and_eagerly():
    params = configs.DataConfig(is_training=True, max_num_instances=3)
    params.augmentation.override({'policy': 'S1', 'scale_min': 1.0, 'scale_max': 1.0, 'flip_probability': 1.0})
    parser = detection.DetectionParser(params, (32, 32), mask_size=4)

    def parse(record):
        return parser.train(parser.decode(record), tf.constant([1, 2], tf.int64))

    _, labels = parse(tf.constant(_example()))
    (graph,) = tf.data.Dataset.from_tensors(_example()).map(parse)
    np.testing.assert_array_equal(labels['boxes'][0], [0, 16, 16, 32])  # mirrored; the crowd is left out
    np.testing.assert_array_equal(labels['masks'][0], np.repeat([[255], [255], [0], [0]], 4, axis=1))
    assert labels['masks'].shape == [3, 4, 4] and not labels['masks'][1:].numpy().any()
    np.testing.assert_array_equal(labels['masks'], graph[1]['masks'])
