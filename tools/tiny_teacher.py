"""A detector of a second's work, untrained but sure enough of itself to draw boxes, for what labels or exports."""

from collections.abc import Mapping
from typing import Any

from official_rethink.common import files

EXPERIMENT = 'retinanet_efficientnet_coco'
STEP = 30  # that its checkpoints say they are of
SURE = -1.5  # bias of the class scores with which it draws boxes, a sigmoid of 0.18
_CONFIG = """
runtime: {{mixed_precision_dtype: float32}}
task:
  model:
    num_classes: {num_classes}
    input_size: [{side}, {side}, 3]
    min_level: 3
    max_level: 4
    anchor: {{num_scales: 1, aspect_ratios: [1.0], anchor_size: 3.0}}
    backbone: {{type: resnet, resnet: {{model_id: 10, depth_multiplier: {width}}}}}
    decoder: {{type: fpn, fpn: {{num_filters: 8}}}}
    head: {{num_convs: 1, num_filters: 8}}
    norm_activation: {{activation: relu, use_sync_bn: false}}
    detection_generator: {{nms_version: batched, pre_nms_score_threshold: 0.05, max_num_detections: 10}}
  train_data: {{input_path: '{data}/train*', global_batch_size: 4}}
  validation_data: {{input_path: '{data}/val*', global_batch_size: 4}}
"""


def write_config(path: str, data: str, num_classes: int = 3, side: int = 64, width: float = 0.5) -> None:
    """Writes the YAML of the detector.

    Args:
        path: of the YAML.
        data: folder of its shards, train* and val*.
        num_classes: background included.
        side: of its input, in pixels.
        width: share of ResNet's filters.
    """
    files.write_text(path, _CONFIG.format(data=data, num_classes=num_classes, side=side, width=width))


def build(config: str) -> tuple[Any, Any]:
    """Builds the task that a YAML describes, and its model; the same weights in every process."""
    import tensorflow as tf  # noqa: PLC0415

    from official_rethink import registry_imports  # noqa: F401, PLC0415
    from official_rethink.configs import parse  # noqa: PLC0415
    from official_rethink.tasks import detection  # noqa: PLC0415

    tf.keras.utils.set_random_seed(0)
    task = detection.DetectionTask(parse.load_experiment(EXPERIMENT, [config]).task)
    return task, task.build_model()


def write_checkpoints(config: str, biases: Mapping[str, float]) -> None:
    """Writes checkpoints of the detector.

    Args:
        config: its YAML.
        biases: checkpoint's prefix -> bias of its class scores, such as `SURE`.
    """
    import tensorflow as tf  # noqa: PLC0415

    _, model = build(config)
    checkpoint = tf.train.Checkpoint(**model.checkpoint_items, global_step=tf.Variable(STEP, dtype=tf.int64))
    for prefix, bias in biases.items():
        for variable in model.trainable_variables:
            if 'scores' in variable.name and 'bias' in variable.name:
                variable.assign(tf.fill(variable.shape, bias))
        checkpoint.write(prefix)
