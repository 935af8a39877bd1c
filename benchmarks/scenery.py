"""What the benchmarks share: photographs-like pictures with objects, the two detectors, and files of them on disk."""

import json
import os
from typing import Any

import numpy as np
import tensorflow as tf
from official.vision.configs import retinanet as model_garden_configs

from official_rethink.configs import detection as configs
from official_rethink.tasks import detection

NUM_CLASSES = 91
SURE = 0.9999  # the share of all anchors' classes that are under the lowest score
HEIGHT, WIDTH, OBJECTS = 480, 640, 7  # COCO's usual size and mean number of objects


def picture(seed: int = 0) -> np.ndarray:
    """A smooth picture with some noise, uint8 [480, 640, 3], which costs a JPEG decoder what a photograph does."""
    generator = np.random.default_rng(seed)
    coarse = generator.uniform(0, 255, [HEIGHT // 32, WIDTH // 32, 3])
    smooth = tf.image.resize(coarse, [HEIGHT, WIDTH], method='bicubic').numpy()
    return np.clip(smooth + generator.normal(0, 8, smooth.shape), 0, 255).astype(np.uint8)


def jpeg(seed: int = 0) -> bytes:
    """The picture, encoded with quality 90."""
    return tf.io.encode_jpeg(picture(seed), quality=90).numpy()


def boxes(seed: int = 0, count: int = OBJECTS) -> np.ndarray:
    """Boxes inside of a picture, float64 [count, 4], y1 x1 y2 x2 in pixels."""
    generator = np.random.default_rng(seed + 1)
    corners = generator.uniform(0, 0.7, [count, 2]) * [HEIGHT, WIDTH]
    return np.concatenate([corners, corners + generator.uniform(0.05, 0.3, [count, 2]) * [HEIGHT, WIDTH]], axis=1)


def outline(box: np.ndarray, points: int = 24) -> list[float]:
    """The polygon of an ellipse in a box as COCO has it: x1, y1, x2, y2, ..."""
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
    y = (box[0] + box[2]) / 2 + (box[2] - box[0]) / 2 * np.sin(angle)
    x = (box[1] + box[3]) / 2 + (box[3] - box[1]) / 2 * np.cos(angle)
    return np.round(np.stack([x, y], axis=1), 2).ravel().tolist()


def write_images(folder: str, count: int, distinct: int = 16) -> list[str]:
    """Writes JPEG files of which some are alike; returns their names in order."""
    os.makedirs(folder, exist_ok=True)
    encoded = [jpeg(seed) for seed in range(min(distinct, count))]
    names = [f'{number:08d}.jpg' for number in range(count)]
    for number, name in enumerate(names):
        with open(os.path.join(folder, name), 'wb') as handle:
            # A comment after the end of the picture makes each file another one, which its hash is taken for.
            handle.write(encoded[number % len(encoded)] + number.to_bytes(8, 'big'))
    return names


def write_coco(folder: str, count: int) -> tuple[str, str]:
    """Writes a COCO data set with boxes and outlines; returns the paths of its json and of its images' folder."""
    images_dir = os.path.join(folder, 'images')
    names = write_images(images_dir, count)
    entries: list[dict[str, Any]] = []
    for number in range(count):
        for row, box in enumerate(boxes(number)):
            side = [box[1], box[0], box[3] - box[1], box[2] - box[0]]
            entries.append(
                {
                    'id': len(entries) + 1,
                    'image_id': number + 1,
                    'category_id': 1 + row % 80,
                    'bbox': np.round(side, 2).tolist(),
                    'area': round(float(side[2] * side[3] * np.pi / 4), 2),
                    'iscrowd': 0,
                    'segmentation': [outline(box)],
                }
            )
    content = {
        'images': [
            {'id': number + 1, 'file_name': name, 'height': HEIGHT, 'width': WIDTH}
            for number, name in enumerate(names)
        ],
        'annotations': entries,
        'categories': [{'id': number, 'name': f'class {number}'} for number in range(1, 81)],
    }
    path = os.path.join(folder, 'annotations.json')
    with open(path, 'w', encoding='utf-8') as handle:
        json.dump(content, handle)
    return path, images_dir


def plain_info(size: int, count: int) -> np.ndarray:
    """image_info float32 [count, 4, 2] of square images that were not resized."""
    one = np.array([[size, size], [size, size], [1, 1], [0, 0]], np.float32)
    return np.tile(one, [count, 1, 1])


def _model_values(size: int, backbone: dict[str, Any]) -> dict[str, Any]:
    return {
        'num_classes': NUM_CLASSES,
        'input_size': [size, size, 3],
        'backbone': backbone,
        'decoder': {'type': 'fpn', 'fpn': {'num_filters': 256}},
        'norm_activation': {'use_sync_bn': False},
        'detection_generator': {'nms_version': 'batched', 'pre_nms_score_threshold': 0.05},
    }


RESNET50 = {'type': 'resnet', 'resnet': {'model_id': 50}}
EFFICIENTNET_B0 = {'type': 'efficientnet', 'efficientnet': {'model_id': 'b0'}}


def our_task(size: int, backbone: dict[str, Any], batch_size: int) -> configs.DetectionTask:
    """A supervised detection task of ours."""
    params = configs.DetectionTask()
    params.override({'model': _model_values(size, backbone), 'train_data': {'global_batch_size': batch_size}})
    return params


def student_task(
    size: int, backbone: dict[str, Any], human: int, pseudo: int
) -> configs.SelfTrainingDetectionTask:
    """A self-training task of ours."""
    params = configs.SelfTrainingDetectionTask()
    params.override(
        {
            'model': _model_values(size, backbone),
            'train_data': {'global_batch_size': human},
            'pseudo_data': {'global_batch_size': pseudo},
        }
    )
    return params


def find_something(task: detection.DetectionTask, model: tf.keras.Model, size: int) -> None:
    """Lets a network of random weights be as sure as a trained one: of some hundred boxes an image, before suppression.

    With the weights it starts from it finds nothing, and suppression and storing would cost nothing.

    Args:
        task: the network's.
        model: its class bias is changed.
        size: of the network's input.
    """
    image = tf.cast(tf.image.resize(picture(), [size, size]), tf.uint8)[tf.newaxis]
    levels = task.predict(image, tf.constant(plain_info(size, 1)), model)['raw']['cls_outputs'].values()
    logits = np.concatenate([level.numpy().ravel() for level in levels])
    threshold = task.task_config.model.detection_generator.pre_nms_score_threshold
    wanted = np.log(threshold / (1 - threshold))
    model.head._classifier.bias.assign_add([wanted - np.quantile(logits, SURE)] * model.head._classifier.bias.shape[0])


def model_garden_task(size: int, backbone: dict[str, Any]) -> model_garden_configs.RetinaNetTask:
    """Model Garden's task with the same network and losses."""
    params = model_garden_configs.RetinaNetTask()
    params.override({'model': _model_values(size, backbone)})
    return params
