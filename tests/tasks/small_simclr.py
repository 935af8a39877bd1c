"""A contrastive model small enough for tests, its task, and views made by hand."""

import numpy as np
import tensorflow as tf

from official_rethink import registry_imports  # noqa: F401
from official_rethink.configs import simclr as configs
from official_rethink.tasks import simclr
from tests.tasks import small

SIZE = 32


def params(sync_bn=True, batch=8):
    """A task config of the small detector's backbone."""
    task = configs.SimClrTask()
    task.override(
        {
            'model': {
                'input_size': [SIZE, SIZE, 3],
                'backbone': small.small_params().model.backbone.as_dict(),
                'norm_activation': {'use_sync_bn': sync_bn},
                'projection_head': {'output_width': 16},
            },
            'temperature': 0.5,
            'l2_weight_decay': 1e-4,
            'train_data': {'global_batch_size': batch},
        }
    )
    return task


def task(**kwargs):
    """The task of `params`."""
    return simclr.SimClrTask(params(**kwargs))


def views(count=8, seed=0):
    """Pairs of noise, the second of a pair its first with other noise upon it: uint8 [count, 2, H, W, 3]."""
    generator = np.random.default_rng(seed)
    first = generator.integers(0, 200, [count, 1, SIZE, SIZE, 3])
    return tf.constant(np.concatenate([first, first + generator.integers(0, 50, first.shape)], axis=1), tf.uint8)
