"""A joint task small enough for tests, and batches made by hand."""

import numpy as np
import tensorflow as tf

from official_rethink.configs import joint as configs
from official_rethink.tasks import joint_training
from tests.tasks import small

SIZE, CLASSES = 24, 5
JOINT, SELF_TRAINING_JOINT = 'joint', 'self_training_joint'


def params(kind=JOINT, sync_bn=True, **joint):
    """The small detector's config, with images of 24 pixels to classify."""
    student = kind == SELF_TRAINING_JOINT
    base = small.small_params(small.SELF_TRAINING if student else small.SUPERVISED, sync_bn=sync_bn)
    made = configs.SelfTrainingJointDetectionTask() if student else configs.JointDetectionTask()
    made.override(base.as_dict())
    made.override({'joint': {'num_classes': CLASSES, 'input_size': [SIZE, SIZE, 3], **joint}})
    made.override({'classification_data': {'global_batch_size': 4}})
    return made


def task(kind=JOINT, **kwargs):
    """The task of `params`."""
    student = kind == SELF_TRAINING_JOINT
    made = joint_training.SelfTrainingJointDetectionTask if student else joint_training.JointDetectionTask
    return made(params(kind, **kwargs))


def classified(count=4, seed=7):
    """Images of noise of one class each."""
    generator = np.random.default_rng(seed)
    label = generator.integers(1, CLASSES + 1, [count]).astype(np.int32)
    labels = {
        'label': tf.constant(label),
        'targets': tf.one_hot(label - 1, CLASSES),
        'confidence': tf.ones([count]),
    }
    return tf.constant(generator.integers(0, 256, [count, SIZE, SIZE, 3], np.uint8)), labels


def batch(**kwargs):
    """Both streams of a step, 8 images to detect on and 4 to classify."""
    images, labels = small.batch(**kwargs)
    others, classes = classified()
    return {'detection': images, 'classification': others}, {'detection': labels, 'classification': classes}
