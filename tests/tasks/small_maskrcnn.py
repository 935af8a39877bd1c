"""A Mask R-CNN small enough for tests, its task, and batches with masks."""

import numpy as np
import tensorflow as tf

from official_rethink import registry_imports  # noqa: F401
from official_rethink.configs import maskrcnn as configs
from official_rethink.configs import parse
from official_rethink.tasks import maskrcnn
from tests.tasks import small

SIZE, NUM_CLASSES, MASK = small.SIZE, small.NUM_CLASSES, 14
SMALL = {
    'num_classes': NUM_CLASSES,
    'input_size': [SIZE, SIZE, 3],
    'min_level': 2,
    'max_level': 5,
    'anchor': {'anchor_size': 2.0},
    'backbone': {'type': 'resnet', 'resnet': {'model_id': 10, 'depth_multiplier': 0.25, 'stem_type': 'torch'}},
    'decoder': {'type': 'fpn', 'fpn': {'num_filters': 16}},
    'norm_activation': {'num_groups': 2},
    'rpn_head': {'num_filters': 16},
    'detection_head': {'num_convs': 1, 'num_filters': 16, 'fc_dims': 32},
    'mask_head': {'num_convs': 1, 'num_filters': 16},
    'mask_roi_aligner': {'crop_size': 7},
    'roi_generator': {
        'num_proposals': 30,
        'test_num_proposals': 30,
        'pre_nms_top_k': 60,
        'test_pre_nms_top_k': 60,
    },
    'roi_sampler': {'num_sampled_rois': 16},
    'mask_sampler': {'num_sampled_masks': 4},
    'detection_generator': {'max_num_detections': 10, 'nms_version': 'batched'},
}


def params(experiment='maskrcnn_resnetfpn_gn_coco', model=None, human=4):
    """A task config of ResNet-10 at a quarter of the width and 32 pixels."""
    config: configs.MaskRCNNTask = parse.load(experiment, (), '').params.task.replace()
    config.override({'resizing': {'shorter_side': 0, 'longer_side': 0}})
    config.override({'model': SMALL, 'train_data': {'global_batch_size': human, 'mask_crop_size': MASK}})
    config.override({'matching': {'num_samples': 300}})  # all, so that every level learns
    if model:
        config.override({'model': model})
    return config


def task(**kwargs):
    """The task of `params`."""
    return maskrcnn.MaskRCNNTask(params(**kwargs))


def batch(count=4, seed=0, boxes_per_image=(2, 1, 0, 3)):
    """As `small.batch`, with masks: the upper half of every box."""
    images, labels = small.batch(count, seed, boxes_per_image)
    masks = np.zeros([*labels['boxes'].shape[:2], MASK, MASK], np.uint8)
    masks[:, :, : MASK // 2] = 255
    return images, {**labels, 'masks': tf.constant(masks)}


def empty_batch(count=2):
    """A batch without any object."""
    images, labels = batch(count, boxes_per_image=(1,))
    padding = {name: -tf.ones_like(labels[name]) for name in ('boxes', 'classes')}
    nothing = {name: tf.zeros_like(labels[name]) for name in ('num_instances', 'masks')}
    return images, {**labels, **padding, **nothing}
