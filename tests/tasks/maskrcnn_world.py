"""Scenes with masks, the config of a tiny Mask R-CNN, and an untrained checkpoint of it that draws boxes and masks."""

import pathlib

import tensorflow as tf
import yaml

from official_rethink import registry_imports  # noqa: F401
from official_rethink.configs import parse
from official_rethink.data import scenes
from official_rethink.tasks import maskrcnn
from tests.tasks import small_maskrcnn as tiny

EXPERIMENT = 'maskrcnn_resnetfpn_gn_coco'
SPLITS = {'train': 4, 'val': 3, 'unlabelled': 6}


def make(folder: pathlib.Path, **model: object) -> tuple[maskrcnn.MaskRCNNTask, tf.keras.Model]:
    """Writes data/, params.yaml and ckpt-30; returns the task and the network of the checkpoint."""
    settings = scenes.Settings(kind='detection', height=32, width=48, difficulty=0.3, num_classes=3)
    for seed, (split, count) in enumerate(SPLITS.items()):
        scenes.write_scenes(str(folder / 'data'), split, settings, seed, count)
    values = {
        'task': {
            'model': {**tiny.SMALL, **model},
            'resizing': {'shorter_side': 0, 'longer_side': 0},
            'train_data': {'input_path': f'{folder}/data/train*', 'global_batch_size': 2, 'mask_crop_size': tiny.MASK},
            'validation_data': {'input_path': f'{folder}/data/val*', 'global_batch_size': 2},
        }
    }
    (folder / 'params.yaml').write_text(yaml.safe_dump(values))
    tf.keras.utils.set_random_seed(0)
    made = maskrcnn.MaskRCNNTask(parse.load_experiment(EXPERIMENT, [str(folder / 'params.yaml')]).task)
    network = made.build_model()
    items = {**network.checkpoint_items, 'global_step': tf.Variable(30, dtype=tf.int64)}
    tf.train.Checkpoint(**items).write(str(folder / 'ckpt-30'))
    return made, network


def arguments(folder: pathlib.Path, *more: str) -> list[str]:
    """Flags that every command on it needs."""
    return [
        f'--experiment={EXPERIMENT}',
        f'--config_file={folder}/params.yaml',
        f'--checkpoint={folder}/ckpt-30',
        *more,
    ]
