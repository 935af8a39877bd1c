"""A segmentation network small enough for tests, its task, and batches made by hand."""

import numpy as np
import tensorflow as tf

from official_rethink import registry_imports  # noqa: F401
from official_rethink.configs import segmentation as configs
from official_rethink.tasks import segmentation, self_training
from tests.tasks import small

SIZE = 32
NUM_CLASSES = 4
SUPERVISED, SELF_TRAINING = small.SUPERVISED, small.SELF_TRAINING


def params(kind=SUPERVISED, sync_bn=True, human=4, pseudo=4, **losses):
    """A task config of ResNet-10 at quarter width, DeepLabv3+ and 32 pixels; logits at stride 4."""
    config = configs.SegmentationTask() if kind == SUPERVISED else configs.SelfTrainingSegmentationTask()
    config.override(
        {
            'model': {
                'num_classes': NUM_CLASSES,
                'input_size': [SIZE, SIZE, 3],
                'min_level': 2,
                'max_level': 5,
                'backbone': {'type': 'resnet', 'resnet': {'model_id': 10, 'depth_multiplier': 0.25}},
                'decoder': {
                    'type': 'aspp',
                    'aspp': {'level': 5, 'num_filters': 8, 'dilation_rates': [1], 'dropout_rate': 0.0},
                },
                'head': {
                    'level': 5,
                    'num_convs': 1,
                    'num_filters': 8,
                    'feature_fusion': 'deeplabv3plus',
                    'low_level': 2,
                    'low_level_num_filters': 4,
                },
                'norm_activation': {'use_sync_bn': sync_bn},
                'decoder_norm_activation': {'use_sync_bn': sync_bn},
            },
            'losses': {'l2_weight_decay': 1e-4, **losses},
            'train_data': {'global_batch_size': human},
        }
    )
    if kind == SELF_TRAINING:
        config.override({'pseudo_data': {'global_batch_size': pseudo}})
    return config


def task(kind=SUPERVISED, **kwargs):
    """The task of `params`."""
    classes = {
        SUPERVISED: segmentation.SegmentationTask,
        SELF_TRAINING: self_training.SelfTrainingSegmentationTask,
    }
    return classes[kind](params(kind, **kwargs))


def batch(count=8, seed=0, void=(0.2, 0.0, 1.0, 0.7)):
    """Images of noise with label maps in blocks, of which each has a share of void; one is void all over."""
    generator = np.random.default_rng(seed)
    blocks = generator.integers(0, NUM_CLASSES, [count, SIZE // 4, SIZE // 4])
    label_map = np.kron(blocks, np.ones([1, 4, 4])).astype(np.uint8)
    shares = np.array([void[index % len(void)] for index in range(count)])
    label_map[generator.uniform(size=label_map.shape) < shares[:, np.newaxis, np.newaxis]] = 255
    valid = (label_map != 255).sum(axis=(1, 2))
    labels = {
        'label_map': label_map,
        'valid_pixels': valid.astype(np.int32),
        'num_regions': np.array([len(set(np.unique(one)) - {0, 255}) for one in label_map], np.int32),
        'image_info': np.tile(np.float32([[SIZE, SIZE], [SIZE, SIZE], [1, 1], [0, 0]]), [count, 1, 1]),
        'coverage': (valid / SIZE**2).astype(np.float32),
        'kept_pixels': valid.astype(np.float32),
        'score_sum': (valid * 0.75).astype(np.float32),
    }
    images = generator.integers(0, 256, [count, SIZE, SIZE, 3], np.uint8)
    return tf.constant(images), {name: tf.constant(value) for name, value in labels.items()}
