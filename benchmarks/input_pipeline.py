"""Input pipeline against Model Garden's, CPU seconds an image: record in, training example out.

Run as `python -m benchmarks.input_pipeline [--images=N]`, or with the others through `make bench`.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from official.vision.configs import common
from official.vision.dataloaders import retinanet_input, tf_example_decoder

from official_rethink.augment import policies
from official_rethink.configs import types
from official_rethink.data import records
from official_rethink.dataloaders import decoder, detection

SIZE = (640, 640)
HEIGHT, WIDTH, BOXES = 480, 640, 10
_WARM_UP = 8


def _record() -> bytes:
    """A smooth picture with some noise, which costs a JPEG decoder what a photograph does; ten boxes."""
    generator = np.random.default_rng(0)
    coarse = generator.uniform(0, 255, [HEIGHT // 32, WIDTH // 32, 3])
    picture = tf.image.resize(coarse, [HEIGHT, WIDTH], method='bicubic').numpy()
    picture = np.clip(picture + generator.normal(0, 8, picture.shape), 0, 255).astype(np.uint8)
    corners = generator.uniform(0, 0.7, [BOXES, 2]) * [HEIGHT, WIDTH]
    sizes = generator.uniform(0.05, 0.3, [BOXES, 2]) * [HEIGHT, WIDTH]
    boxes = np.concatenate([corners, corners + sizes], axis=1).tolist()
    annotations = [
        records.Annotation(box=(y1, x1, y2, x2), label=1 + row % 5) for row, (y1, x1, y2, x2) in enumerate(boxes)
    ]
    return records.to_example(
        records.Record(
            source_id='1',
            encoded=tf.io.encode_jpeg(picture, quality=90).numpy(),
            image_format='jpeg',
            height=HEIGHT,
            width=WIDTH,
            annotations=annotations,
        )
    )


def _ours(name: str) -> Callable[[tf.Tensor, tf.Tensor], Any]:
    params = types.DataConfig(is_training=True, augmentation=types.Augmentation(policy=name))
    parser, decode = detection.DetectionParser(params, SIZE), decoder.RecordDecoder().decode
    return lambda index, record: parser.train(decode(record), tf.stack([tf.constant(1, tf.int64), index]))


def _model_garden(name: str) -> Callable[[tf.Tensor, tf.Tensor], Any]:
    policy = policies.get_policy(name)
    augmentation = None
    if policy.autoaugment:
        augmentation = common.Augmentation(
            type='autoaug', autoaug=common.AutoAugment(augmentation_name='detection_v0')
        )
    elif policy.randaugment_layers:
        augmentation = common.Augmentation(
            type='randaug',
            randaug=common.RandAugment(num_layers=policy.randaugment_layers, magnitude=policy.randaugment_magnitude),
        )
    parse = retinanet_input.Parser(
        output_size=list(SIZE),
        min_level=3,
        max_level=7,
        num_scales=3,
        aspect_ratios=[0.5, 1.0, 2.0],
        anchor_size=4.0,
        aug_type=augmentation,
        aug_rand_hflip=True,
        aug_scale_min=policy.scale_min,
        aug_scale_max=policy.scale_max,
        dtype='float32',
    ).parse_fn(is_training=True)
    decode = tf_example_decoder.TfExampleDecoder().decode
    return lambda index, record: parse(decode(record))


def _seconds(parse: Callable[[tf.Tensor, tf.Tensor], Any], record: bytes, images: int) -> float:
    """CPU seconds an image, one thread, tracing and the first images left out."""
    options = tf.data.Options()
    options.threading.private_threadpool_size = 1
    options.threading.max_intra_op_parallelism = 1
    dataset = tf.data.Dataset.from_tensors(record).repeat().enumerate().map(parse).with_options(options)
    iterator = iter(dataset)
    for _ in range(_WARM_UP):
        next(iterator)
    start = time.process_time()
    for _ in range(images):
        next(iterator)
    return (time.process_time() - start) / images


def run(images: int = 100) -> list[dict[str, Any]]:
    """Measures Augment-S1 to S4, ours and Model Garden's in turn.

    Args:
        images: images a measurement, after the warm-up.

    Returns:
        A row a policy: name, ours_seconds, reference_seconds, ratio (over 1: ours is faster), note.
    """
    record = _record()
    rows = []
    for name in policies.POLICIES:
        ours = _seconds(_ours(name), record, images)
        reference = _seconds(_model_garden(name), record, images)
        rows.append(
            {
                'name': f'input pipeline, {name}',
                'ours_seconds': ours,
                'reference_seconds': reference,
                'ratio': reference / ours,
                'note': f"CPU seconds an image, {HEIGHT}x{WIDTH} JPEG to {SIZE[0]}; Model Garden's labels anchors too",
            }
        )
    return rows


def main() -> None:
    """Prints the rows; --images shrinks the run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--images', type=int, default=100)
    for row in run(parser.parse_args().images):
        print(row)


if __name__ == '__main__':
    main()
