"""A small world in which everything is right, for each case to spoil one thing in a copy of it."""

import hashlib
import json
import os
import pathlib
import struct
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from official_rethink import prepare
from official_rethink.data import problems, records, shards
from official_rethink.pseudo_labels import labelling, manifest
from tests.data import making as coco
from tests.data import voc_making
from tests.pseudo_labels import making

_MODEL = """
task:
  model:
    num_classes: 4
    input_size: [32, 32, 3]
    max_level: 4
    anchor: {num_scales: 1}
    backbone: {type: resnet, resnet: {model_id: 10, depth_multiplier: 0.25}}
    decoder: {type: fpn, fpn: {num_filters: 8}}
    head: {num_convs: 1, num_filters: 8}
    norm_activation: {activation: relu, use_sync_bn: false}
    detection_generator: {nms_version: batched, pre_nms_score_threshold: 0.02}
  train_data: {input_path: shards/train*, global_batch_size: 2}
  validation_data: {input_path: shards/val*, global_batch_size: 2}
runtime: {mixed_precision_dtype: float32}
trainer: {schedule: {base_batch_size: 2, base_train_steps: 4, base_warmup_steps: 0, evaluations: 2}}
"""
_TWO_STAGE = """
task:
  model:
    num_classes: 4
    include_mask: false
    input_size: [64, 64, 3]
    max_level: 5
    backbone: {type: resnet, resnet: {model_id: 10, depth_multiplier: 0.25}}
    decoder: {type: fpn, fpn: {num_filters: 16}}
    detection_generator: {nms_version: batched}
  resizing: {shorter_side: 0, longer_side: 0}
  train_data:
    input_path: shards/train*
    global_batch_size: 2
    augmentation: {shorter_side_min: null, shorter_side_max: null, shorter_side_step: null}
  validation_data: {input_path: shards/val*, global_batch_size: 2}
trainer:
  schedule: {base_batch_size: 2, base_train_steps: 4, base_warmup_steps: 0, evaluations: 2, base_drops_before_end: [1]}
"""
_STUDENT = 'task: {pseudo_data: {input_path: labels/pseudo*, global_batch_size: 2}}\n'
_STUDY = """
name: small
data: {labelled: shards/train*, unlabelled: shards/unlabelled*, validation: shards/val*}
supervised: {experiment: retinanet_efficientnet_coco, config_files: [model.yaml]}
self_training:
  experiment: self_training_retinanet_efficientnet_coco
  config_files: [model.yaml]
  params_override: task.pseudo_data.global_batch_size=2
budget: {teacher_steps: 4, student_steps: 4, validation_interval: 2}
baseline: supervised
arms:
- {name: supervised}
- {name: student, self_training: true, score_threshold: 0.5}
"""
_OTHER_NETWORK = 'other_network'


def build(folder: pathlib.Path) -> None:
    """Writes photos/ (COCO), voc/ and sbd/ (label maps; voc/ has boxes too), shards/, labels/, configs, weights."""
    coco.write(folder / 'photos')
    voc_making.write(folder / 'voc')
    voc_making.write_boxes(folder / 'voc')
    voc_making.write_sbd(folder / 'sbd')
    for split, first in (('train', 10), ('val', 20)):
        chosen = [making.record(number, labelled=True) for number in range(first, first + 4)]
        shards.write(chosen, str(folder / 'shards'), split, making.CATEGORIES)
    making.write(folder / 'shards', 'unlabelled', 5)
    _label(folder)
    prepare.main(
        ['split', f'--input={folder}/shards/train.json', '--fractions=0.5', f'--output_dir={folder}/shards']
    )
    texts = {'model': _MODEL, 'student': _STUDENT, 'study': _STUDY, 'two_stage': _TWO_STAGE}
    for name, text in texts.items():
        (folder / f'{name}.yaml').write_text(text)
    tf.train.Checkpoint(layer=tf.Variable([1.0, 2.0])).save(str(folder / _OTHER_NETWORK / 'ckpt'))
    (folder / 'empty').mkdir()
    (folder / 'occupied').mkdir()
    (folder / 'occupied' / 'thesis.txt').write_text('years of work')


def _label(folder: pathlib.Path) -> None:
    images = making.open_images(f'{folder}/shards/unlabelled*')
    place = making.open_store(folder / 'labels', images)
    labelling.run(images, place, making.labeller())
    counted = place.describe(making.inputs(images), problems.ProblemList())
    about = {'checkpoint': 'ckpt-7', 'files': {}, 'step': 7, 'metrics': {'AP': 0.25}}
    place.finish(manifest.build(counted, making.CATEGORIES, making.inputs(images), about, {}))


def contents(folder: pathlib.Path) -> dict[str, str]:
    """Every file below `folder` and the hash of its bytes."""
    paths = (path for path in sorted(folder.rglob('*')) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


# What a case may do to the world; the working folder is the world's.
Spoil = Callable[[], object]


def write(path: str, content: str | bytes) -> Spoil:
    """Replaces a file."""
    data = content.encode() if isinstance(content, str) else content

    def spoil() -> None:
        pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
        pathlib.Path(path).write_bytes(data)

    return spoil


def remove(path: str) -> Spoil:
    """Removes a file."""
    return lambda: os.remove(path)


def cut(path: str, end: int) -> Spoil:
    """Cuts the last bytes of a file off."""
    return lambda: pathlib.Path(path).write_bytes(pathlib.Path(path).read_bytes()[:-end])


def flip(path: str, position: int) -> Spoil:
    """Changes one byte."""

    def spoil() -> None:
        data = bytearray(pathlib.Path(path).read_bytes())
        data[position] ^= 0xFF
        pathlib.Path(path).write_bytes(bytes(data))

    return spoil


def edit(path: str, change: Callable[[Any], Any]) -> Spoil:
    """Changes a JSON file; `change` works in place."""

    def spoil() -> None:
        content = json.loads(pathlib.Path(path).read_text())
        change(content)
        pathlib.Path(path).write_text(json.dumps(content))

    return spoil


def copy(source: str, target: str) -> Spoil:
    """Copies a file over another."""
    return lambda: write(target, pathlib.Path(source).read_bytes())()


def foreign_shard(path: str, cut_off: int) -> Spoil:
    """A shard that another tool wrote, without a description, cut off at its end."""

    def spoil() -> None:
        with tf.io.TFRecordWriter(path) as writer:
            for number in range(2):
                writer.write(records.to_example(making.record(number)))
        cut(path, cut_off)()

    return spoil


def huge_png() -> bytes:
    """A PNG that says it is 60,000 by 60,000 pixels and holds next to nothing."""
    import zlib

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack('>I', len(body)) + kind + body + struct.pack('>I', zlib.crc32(kind + body))

    header = struct.pack('>IIBBBBB', 60_000, 60_000, 8, 2, 0, 0, 0)
    parts = (chunk(b'IHDR', header), chunk(b'IDAT', zlib.compress(b'')), chunk(b'IEND', b''))
    return b'\x89PNG\r\n\x1a\n' + b''.join(parts)


def labels_floor() -> Spoil:
    """The store says that it holds nothing under 0.6."""
    return edit('labels/manifest.json', lambda content: content.update(score_floor=0.6))


def other_class_name() -> Spoil:
    """The store's second class is called otherwise."""
    return edit('labels/manifest.json', lambda content: content['categories'][1].update(name='green'))


def same_images() -> Spoil:
    """The validation set is a copy of the training set."""

    def spoil() -> None:
        shard = '{}-00000-of-00001.tfrecord'
        copy('shards/' + shard.format('train'), 'shards/' + shard.format('val'))()
        content = json.loads(pathlib.Path('shards/train.json').read_text())
        content.update(split='val', shards=[shard.format('val')])
        pathlib.Path('shards/val.json').write_text(json.dumps(content))

    return spoil
