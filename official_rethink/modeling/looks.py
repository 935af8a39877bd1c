"""What a detector says of one view: boxes before any suppression, then masks and key points of given boxes.

Letters: B batch, N detections, S mask side or heat map side, P key points of an object.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf
from official.vision.modeling.layers import detection_generator

from official_rethink.modeling import keypoint_head, union

MASKS, MAPS = 'masks', 'keypoint_maps'


def take_any_size(model: tf.keras.Model) -> None:
    """Lets backbone and pyramid take images of another size than they were built for; convolutions do not mind.

    Args:
        model: a RetinaNet or Mask R-CNN, or a model that holds one as `detector`.
    """
    detector = getattr(model, 'detector', model)
    detector.backbone.input_spec = tf.keras.layers.InputSpec(shape=[None, None, None, 3])
    if isinstance(detector.decoder, tf.keras.Model):
        levels = sorted(detector.backbone.output_specs)
        known = {level: detector.backbone.output_specs[level][-1] for level in levels}
        specs = {level: tf.keras.layers.InputSpec(shape=[None, None, None, known[level]]) for level in levels}
        detector.decoder.input_spec = [specs[level] for level in levels]


def one_stage(outputs: Mapping[str, tf.Tensor]) -> union.Candidates:
    """A one-stage detector's final detections of a view as candidates.

    Its anchors are too many to be joined over views; what its own suppression leaves stands for them.

    Args:
        outputs: the model's in inference.
    """
    scores = tf.cast(outputs['detection_scores'], tf.float32)
    there = tf.range(tf.shape(scores)[1]) < tf.cast(outputs['num_detections'], tf.int32)[:, tf.newaxis]
    return union.Candidates(
        tf.cast(outputs['detection_boxes'], tf.float32),
        tf.where(there, scores, -1.0),
        tf.cast(outputs['detection_classes'], tf.int32),
    )


def two_stage(
    model: Any, images: tf.Tensor, image_shape: tf.Tensor, anchors: Mapping[str, tf.Tensor], most: int
) -> union.Candidates:
    """A two-stage detector's candidates: each region as each class, the highest of them.

    Args:
        model: `modeling.maskrcnn.MaskRCNN`.
        images: normalised, float32 [B, H, W, 3].
        image_shape: float32 [B, 2], to which regions are clipped.
        anchors: of this size, level to [B, h, w, 4 * anchors a location].
        most: candidates of an image.
    """
    with _unsuppressed(model):
        outputs, _ = model._call_box_outputs(
            images=images, image_shape=image_shape, anchor_boxes=dict(anchors), training=False
        )
    boxes, scores = (tf.cast(outputs[name], tf.float32) for name in ('decoded_boxes', 'decoded_box_scores'))
    return union.best(boxes, scores, most)


@contextlib.contextmanager
def _unsuppressed(model: Any) -> Iterator[None]:
    """Lets a model's box branch give all its boxes, whichever of a cascade's stages is its last."""
    usual = model.detection_generator
    model.detection_generator = detection_generator.DetectionGenerator(
        **{**usual.get_config(), 'apply_nms': False}, name='all_boxes'
    )
    try:
        yield
    finally:
        model.detection_generator = usual


def regions(model: Any, images: tf.Tensor, boxes: tf.Tensor, classes: tf.Tensor) -> dict[str, tf.Tensor]:
    """Masks and heat maps of given boxes in a view.

    Args:
        model: `modeling.maskrcnn.MaskRCNN`.
        images: as of `two_stage`.
        boxes: float32 [B, N, 4], in pixels of the view.
        classes: int32 [B, N].

    Returns:
        `MASKS` float32 [B, N, S, S], probabilities over the boxes, of a model with masks; `MAPS` float32
        [B, N, S, S, P], logits, of one with key points.
    """
    _, features = model._get_backbone_and_decoder_features(images)
    found = {}
    if model.mask_head is not None:
        found[MASKS] = tf.cast(model._features_to_mask_outputs(features, boxes, classes)[1], tf.float32)
    if hasattr(model, 'keypoint_maps'):
        found[MAPS] = model.keypoint_maps(features, boxes)
    return found


def turned_back(found: dict[str, tf.Tensor], flip_order: Sequence[int] | None) -> dict[str, tf.Tensor]:
    """What `regions` gives for a mirrored view, as the original image is turned.

    Args:
        found: of `regions`.
        flip_order: for each key point, which one it is after mirroring; None of a model without.
    """
    back = {name: tf.reverse(values, [3]) for name, values in found.items()}
    if flip_order is not None:
        back[MAPS] = tf.gather(back[MAPS], list(flip_order), axis=4)
    return back


def points(maps: tf.Tensor, boxes: tf.Tensor) -> tf.Tensor:
    """Key points float32 [B, N, P, 3] out of heat maps [B, N, S, S, P] and their boxes; see `keypoint_head.find`."""
    return keypoint_head.find(maps, boxes)
