"""Input pipeline against Model Garden's, CPU seconds an image: record in, training example out; and the floor."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from official.vision.configs import common
from official.vision.dataloaders import maskrcnn_input, retinanet_input, tf_example_decoder

from benchmarks import measure, scenery
from official_rethink.augment import policies
from official_rethink.configs import types
from official_rethink.data import masks, records
from official_rethink.dataloaders import detection

SIZE = (640, 640)
HEIGHT, WIDTH, BOXES = scenery.HEIGHT, scenery.WIDTH, 10
MASK_SIZE = 112  # Model Garden's, for the masks that a two-stage detector learns
TARGET = 3.0

Parse = Callable[[tf.Tensor, tf.Tensor], Any]


def record(with_masks: bool = False) -> bytes:
    """A serialized record of one picture with ten boxes, each with an elliptic mask if asked for."""
    annotations = [
        records.Annotation(box=tuple(box), label=1 + row % 5, mask_png=_ellipse(box) if with_masks else None)
        for row, box in enumerate(scenery.boxes(count=BOXES).tolist())
    ]
    return records.to_example(
        records.Record(
            source_id='1',
            encoded=scenery.jpeg(),
            image_format='jpeg',
            height=HEIGHT,
            width=WIDTH,
            annotations=annotations,
        )
    )


def _ellipse(box: list[float]) -> bytes:
    top, left, bottom, right = box
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    across = (y - (top + bottom) / 2) / (bottom - top), (x - (left + right) / 2) / (right - left)
    inside = (across[0] ** 2 + across[1] ** 2 <= 0.25).astype(np.uint8)
    return masks.to_png(inside)


def ours(name: str, mask_size: int = 0) -> Parse:
    """Our parser of training examples under a policy."""
    params = types.DataConfig(is_training=True, augmentation=types.Augmentation(policy=name))
    parser = detection.DetectionParser(params, SIZE, mask_size)
    return lambda index, record: parser.train(parser.decode(record), tf.stack([tf.constant(1, tf.int64), index]))


def _augmentation(policy: policies.Policy, with_masks: bool) -> common.Augmentation | None:
    if policy.autoaugment:
        # Model Garden's parser of masks hands its policies no boxes, which those of detection do not survive.
        name = 'v0' if with_masks else 'detection_v0'
        return common.Augmentation(type='autoaug', autoaug=common.AutoAugment(augmentation_name=name))
    if policy.randaugment_layers:
        layers, magnitude = policy.randaugment_layers, policy.randaugment_magnitude
        return common.Augmentation(
            type='randaug', randaug=common.RandAugment(num_layers=layers, magnitude=magnitude)
        )
    return None


def model_garden(name: str, mask_size: int = 0) -> Parse:
    """Model Garden's parser under the same policy; it labels anchors too.

    With masks it is the two-stage detectors', which leaves boxes and masks where they are when an operation of the
    policy moves the image, and of AutoAugment's policies runs that of images: what it does not do costs it nothing
    here.
    """
    policy = policies.get_policy(name)
    kwargs: dict[str, Any] = {
        'output_size': list(SIZE),
        'min_level': 3,
        'max_level': 7,
        'num_scales': 3,
        'aspect_ratios': [0.5, 1.0, 2.0],
        'anchor_size': 4.0,
        'aug_type': _augmentation(policy, mask_size > 0),
        'aug_rand_hflip': True,
        'aug_scale_min': policy.scale_min,
        'aug_scale_max': policy.scale_max,
        'dtype': 'float32',
    }
    if mask_size:
        kwargs |= {'min_level': 2, 'max_level': 6, 'num_scales': 1, 'anchor_size': 8.0}
        parser = maskrcnn_input.Parser(**kwargs, include_mask=True, mask_crop_size=mask_size)
    else:
        parser = retinanet_input.Parser(**kwargs)
    parse = parser.parse_fn(is_training=True)
    decode = tf_example_decoder.TfExampleDecoder(include_mask=bool(mask_size)).decode
    return lambda index, record: parse(decode(record))


def floor() -> Parse:
    """What no pipeline can leave out: the JPEG decoded, and one bilinear resampling of it to uint8."""

    def parse(index: tf.Tensor, record: tf.Tensor) -> tf.Tensor:
        del index
        wanted = {'image/encoded': tf.io.FixedLenFeature([], tf.string)}
        encoded = tf.io.parse_single_example(record, wanted)['image/encoded']
        image = tf.image.resize(tf.io.decode_jpeg(encoded, channels=3), SIZE)
        return tf.cast(image, tf.uint8)

    return parse


def stream(parse: Parse, serialized: bytes) -> Iterator[Any]:
    """An endless stream of examples, made in one thread."""
    options = tf.data.Options()
    # No example is made before it is asked for, as it would be while the other side is measured.
    options.autotune.enabled = False
    options.experimental_optimization.inject_prefetch = False
    options.threading.private_threadpool_size = 1
    options.threading.max_intra_op_parallelism = 1
    return iter(tf.data.Dataset.from_tensors(serialized).repeat().enumerate().map(parse).with_options(options))


def take(examples: Iterator[Any], count: int) -> Callable[[], None]:
    """Work that takes some examples from a stream."""

    def work() -> None:
        for _ in range(count):
            next(examples)

    return work


def _compared(mine: Parse, theirs: Parse, serialized: bytes, images: int, rounds: int) -> dict[str, Any]:
    ours, reference = (take(stream(parse, serialized), images) for parse in (mine, theirs))
    return measure.measures(measure.in_turn(ours, reference, rounds=rounds), per=images)


def run(images: int = 40, rounds: int = 3) -> list[dict[str, Any]]:
    """Measures Augment-S1 to S4, with boxes and with masks, against Model Garden, and S1 to S4 against the floor.

    Args:
        images: of a round.
        rounds: measured; see `measure.in_turn`.
    """
    picture = f'one thread, {HEIGHT}x{WIDTH} JPEG to {SIZE[0]}, {BOXES} objects'
    rows = []
    for mask_size, kind in ((0, 'boxes'), (MASK_SIZE, 'boxes and masks')):
        serialized = record(mask_size > 0)
        for name in policies.POLICIES:
            found = _compared(ours(name, mask_size), model_garden(name, mask_size), serialized, images, rounds)
            note = f"{picture}; Model Garden's parser, which labels anchors too"
            if mask_size:
                note += '; with masks it moves no box along, and has the policy of images for AutoAugment; the masks '
                note += 'are PNGs as `prepare` writes them'
            rows.append(
                measure.row(f'input, {name}, {kind}', found, target=TARGET, unit='s an image', note=note)
            )
    bare = functools.partial(_compared, theirs=floor(), serialized=record(), images=images, rounds=rounds)
    for name in policies.POLICIES:
        note = f'{picture}; the floor is the JPEG decoded and one bilinear resampling'
        found = bare(ours(name))
        rows.append(measure.row(f'input, {name}, to the floor', found, target=None, unit='s an image', note=note))
    return rows
