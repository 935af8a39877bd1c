"""A detector small enough for tests, its task, and batches made by hand."""

import numpy as np
import tensorflow as tf

from official_rethink import registry_imports  # noqa: F401
from official_rethink.configs import detection as configs
from official_rethink.tasks import detection, self_training

SIZE = 32
NUM_CLASSES = 4
SUPERVISED, SELF_TRAINING = 'supervised', 'self_training'


def small_params(kind=SUPERVISED, sync_bn=True, human=4, pseudo=4):
    """A task config of ResNet-10 at half width and 32 pixels."""
    params = configs.DetectionTask() if kind == SUPERVISED else configs.SelfTrainingDetectionTask()
    params.override(
        {
            'model': {
                'num_classes': NUM_CLASSES,
                'input_size': [SIZE, SIZE, 3],
                'min_level': 3,
                'max_level': 4,
                'anchor': {'num_scales': 1},
                'backbone': {'type': 'resnet', 'resnet': {'model_id': 10, 'depth_multiplier': 0.25}},
                'decoder': {'type': 'fpn', 'fpn': {'num_filters': 16}},
                'head': {'num_convs': 1, 'num_filters': 16},
                'norm_activation': {'use_sync_bn': sync_bn},
                'detection_generator': {'nms_version': 'batched'},
            },
            'losses': {'l2_weight_decay': 1e-4},
            'train_data': {'global_batch_size': human},
        }
    )
    if kind == SELF_TRAINING:
        params.override({'pseudo_data': {'global_batch_size': pseudo}})
    return params


def small_task(kind=SUPERVISED, **kwargs):
    """The task of `small_params`."""
    classes = {
        SUPERVISED: detection.DetectionTask,
        SELF_TRAINING: self_training.SelfTrainingDetectionTask,
    }
    return classes[kind](small_params(kind, **kwargs))


def batch(count=8, seed=0, boxes_per_image=(2, 1, 0, 3)):
    """Images of noise with boxes, one of them without any; the counts repeat over the images."""
    generator = np.random.default_rng(seed)
    length = max(boxes_per_image)
    boxes = np.full([count, length, 4], -1.0, np.float32)
    classes = np.full([count, length], -1, np.int32)
    numbers = np.array([boxes_per_image[index % len(boxes_per_image)] for index in range(count)], np.int32)
    for index, number in enumerate(numbers):
        corner = generator.uniform(0, SIZE - 12, [number, 2])
        boxes[index, :number] = np.concatenate([corner, corner + generator.uniform(6, 12, [number, 2])], axis=1)
        classes[index, :number] = generator.integers(1, NUM_CLASSES, number)
    images = generator.integers(0, 256, [count, SIZE, SIZE, 3], np.uint8)
    labels = {
        'boxes': boxes,
        'classes': classes,
        'num_instances': numbers,
        'num_candidates': numbers + 1,
        'num_kept': numbers,
        'score_sum': (numbers * 0.75).astype(np.float32),
        'image_info': np.tile(np.float32([[SIZE, SIZE], [SIZE, SIZE], [1, 1], [0, 0]]), [count, 1, 1]),
    }
    return tf.constant(images), {name: tf.constant(value) for name, value in labels.items()}


def take(values, indices):
    """Picks examples of a batch."""
    return tf.nest.map_structure(lambda value: tf.gather(value, indices), values)
