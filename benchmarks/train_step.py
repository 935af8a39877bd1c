"""Train steps: ours against Model Garden's RetinaNet task, and self-training against supervised on as many images.

The two sides have networks of the same build, the same pictures and boxes, the same optimizer. What differs is where
anchors are matched: in our step on the device, in Model Garden's while reading, which its step is spared here.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from official.vision.dataloaders import retinanet_input
from official.vision.tasks import retinanet

from benchmarks import measure, scenery
from official_rethink.tasks import detection, self_training

SIZE, BATCH, STEPS = 256, 4, 2
NO_SLOWER, FREE = 1.0, 1 / 1.02


def _images(count: int) -> np.ndarray:
    pictures = [tf.image.resize(scenery.picture(seed), [SIZE, SIZE]) for seed in range(count)]
    return np.stack(pictures).astype(np.uint8)


def _boxes(count: int) -> np.ndarray:
    scale = [SIZE / scenery.HEIGHT, SIZE / scenery.WIDTH] * 2
    return np.stack([scenery.boxes(seed) * scale for seed in range(count)]).astype(np.float32)


def our_batch(count: int) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    """Images and padded boxes as our readers give them."""
    length = 100
    boxes = np.full([count, length, 4], -1, np.float32)
    classes = np.full([count, length], -1, np.int32)
    boxes[:, : scenery.OBJECTS] = _boxes(count)
    classes[:, : scenery.OBJECTS] = 1 + np.arange(scenery.OBJECTS)
    number = np.full([count], scenery.OBJECTS, np.int32)
    labels = {
        'boxes': boxes,
        'classes': classes,
        'num_instances': number,
        'num_candidates': number,
        'num_kept': number,
        'score_sum': number.astype(np.float32),
        'image_info': scenery.plain_info(SIZE, count),
    }
    return tf.constant(_images(count)), {name: tf.constant(value) for name, value in labels.items()}


def reference_batch(count: int) -> tuple[tf.Tensor, dict[str, Any]]:
    """The same as Model Garden's parser gives it."""
    parser = retinanet_input.Parser([SIZE, SIZE], 3, 7, 3, [0.5, 1.0, 2.0], 4.0, dtype='float32')
    parse = parser.parse_fn(is_training=True)
    examples = []
    for image, boxes in zip(_images(count), _boxes(count), strict=True):
        number = len(boxes)
        decoded = {
            'source_id': tf.constant('1'),
            'image': tf.constant(image),
            'height': tf.constant(SIZE),
            'width': tf.constant(SIZE),
            'groundtruth_classes': tf.constant(1 + np.arange(number), tf.int64),
            'groundtruth_is_crowd': tf.zeros([number], tf.bool),
            'groundtruth_area': tf.ones([number]),
            'groundtruth_boxes': tf.constant(boxes / SIZE),
        }
        examples.append(parse(decoded))
    return tf.nest.map_structure(lambda *rows: tf.stack(rows), *examples)


def stepper(task: Any, batch: Any, jit: bool = False) -> Callable[[], None]:
    """Work of some steps of a task on one batch, from random weights."""
    model = task.build_model()
    optimizer = tf.keras.optimizers.legacy.SGD(0.001, momentum=0.9)

    @tf.function(jit_compile=jit)
    def step() -> tf.Tensor:
        return task.train_step(batch, model, optimizer)[task.loss]

    def work() -> None:
        for _ in range(STEPS):
            loss = step()
        if not np.isfinite(loss.numpy()):
            raise FloatingPointError(f'a benchmarked step gave a loss of {loss.numpy()}')

    return work


def run(rounds: int = 5) -> list[dict[str, Any]]:
    """Measures both comparisons with the studies' two backbones; our supervised step is the same in both."""
    tf.keras.utils.set_random_seed(0)
    rows = []
    for name, backbone in (('ResNet-50', scenery.RESNET50), ('EfficientNet-B0', scenery.EFFICIENTNET_B0)):
        place = f'{name}-FPN, {SIZE} pixels, batch {BATCH}, forward, backward and update'
        supervised = stepper(detection.DetectionTask(scenery.our_task(SIZE, backbone, BATCH)), our_batch(BATCH))
        reference = stepper(
            retinanet.RetinaNetTask(scenery.model_garden_task(SIZE, backbone)), reference_batch(BATCH)
        )
        config = scenery.student_task(SIZE, backbone, BATCH // 2, BATCH // 2)
        student = stepper(self_training.SelfTrainingDetectionTask(config), our_batch(BATCH))
        found = measure.measures(measure.in_turn(supervised, reference, rounds=rounds), per=STEPS)
        note = f"{place}; Model Garden's step gets anchors that were matched before"
        rows.append(measure.row(f'train step, {name}', found, target=NO_SLOWER, unit='s a step', note=note))
        found = measure.measures(measure.in_turn(student, supervised, rounds=rounds), per=STEPS)
        note = f'{place}; {BATCH // 2} human and {BATCH // 2} pseudo images against {BATCH} human ones'
        rows.append(measure.row(f'self-training step, {name}', found, target=FREE, unit='s a step', note=note))
    return rows
