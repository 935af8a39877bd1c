"""Anchors against boxes on the device, for a whole batch at once.

Model Garden labels anchors one image at a time in the input pipeline (27 ms of a core an image at
640 pixels) and ships every target to the device. Here the pipeline ships boxes, and the train step
matches; the targets are Model Garden's (`official/vision/ops/anchor.py`), which a test compares.
"""

import dataclasses
from collections.abc import Sequence

import tensorflow as tf
from official.vision.ops import anchor_generator

# Model Garden 2.20 calls it the first version.
_GENERATOR = getattr(anchor_generator, 'AnchorGenerator', None) or anchor_generator.AnchorGeneratorv1
_EPSILON = 1e-8
_GROUP = 4  # boxes that are matched at a time


@dataclasses.dataclass(frozen=True)
class AnchorTargets:
    """What each anchor should predict.

    Attributes:
        classes: int32 [B, A], the class id of a positive anchor, -1 for the others.
        boxes: float32 [B, A, 4], encoded (dy, dx, dh, dw) of a positive anchor; others are not defined.
        class_weights: float32 [B, A], 1 for positive and negative anchors, 0 for ignored ones.
        box_weights: float32 [B, A], 1 for positive anchors.
    """

    classes: tf.Tensor
    boxes: tf.Tensor
    class_weights: tf.Tensor
    box_weights: tf.Tensor


def multilevel_anchors(model_config) -> dict[str, tf.Tensor]:  # type: ignore[no-untyped-def]
    """Builds a detector's anchors.

    Args:
        model_config: Model Garden's `RetinaNet` or `MaskRCNN`; or ours, whose anchors may span several octaves.

    Returns:
        Level name to float32 [height_l, width_l, 4 * anchors a location], y1 x1 y2 x2 in pixels.
    """
    config = model_config.anchor
    octaves = getattr(config, 'octaves', 1.0)
    strides = {str(level): 2**level for level in range(model_config.min_level, model_config.max_level + 1)}
    return _GENERATOR(
        anchor_sizes={level: config.anchor_size * stride for level, stride in strides.items()},
        scales=[2 ** (octaves * scale / config.num_scales) for scale in range(config.num_scales)],
        aspect_ratios=config.aspect_ratios,
        strides=strides,
    )(image_size=tuple(model_config.input_size[:2]))


def flatten_anchors(anchors: dict[str, tf.Tensor]) -> tf.Tensor:
    """Joins the levels, in order, to float32 [A, 4]."""
    return tf.concat([tf.reshape(level, [-1, 4]) for level in anchors.values()], axis=0)


def pairwise_iou(anchors: tf.Tensor, boxes: tf.Tensor) -> tf.Tensor:
    """Returns the IoU of each box with each anchor, -1 where the box is padding.

    Args:
        anchors: float32 [A, 4].
        boxes: float32 [B, M, 4]; padding rows are negative.

    Returns:
        float32 [B, M, A]: the long axis is the inner one, along which processors are fast.
    """
    y1, x1, y2, x2 = tf.split(boxes, 4, axis=2)  # [B, M, 1]
    ay1, ax1, ay2, ax2 = tf.unstack(anchors, axis=1)  # [A]
    height = tf.maximum(tf.minimum(y2, ay2) - tf.maximum(y1, ay1), 0.0)
    width = tf.maximum(tf.minimum(x2, ax2) - tf.maximum(x1, ax1), 0.0)
    intersection = height * width
    union = (y2 - y1) * (x2 - x1) + (ay2 - ay1) * (ax2 - ax1) - intersection
    return tf.where(y1 < 0.0, -1.0, tf.math.divide_no_nan(intersection, union))


@dataclasses.dataclass(frozen=True)
class _Matches:
    """What each anchor overlaps.

    Attributes:
        iou: float32 [B, A], the highest with any box, -1 without boxes.
        box: int32 [B, A], the first box of that IoU.
        claimed_by: int32 [B, A], the first box that overlaps this anchor more than any other anchor; M if none does.
    """

    iou: tf.Tensor
    box: tf.Tensor
    claimed_by: tf.Tensor


def _match(anchors: tf.Tensor, boxes: tf.Tensor) -> _Matches:
    """Takes a few boxes at a time, up to the last that is none of padding.

    Of the 100 rows that boxes are padded to, few hold one; all at once is [B, M, A] floats an operation (123 MB for 4
    images of 640 pixels), which also leaves the caches. The loop costs a twentieth of that on a processor.
    """
    length = boxes.shape[1]
    padded = tf.pad(boxes, [[0, 0], [0, -length % _GROUP], [0, 0]], constant_values=-1.0)
    real = tf.reduce_any(padded[..., 0] >= 0.0, axis=0)
    end = tf.reduce_max(tf.where(real, tf.range(real.shape[0]) + 1, 0))
    shape = [tf.shape(boxes)[0], anchors.shape[0]]
    position = tf.range(shape[1])

    def group(
        first: tf.Tensor, best_iou: tf.Tensor, best_box: tf.Tensor, claimed_by: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        iou = pairwise_iou(anchors, tf.gather(padded, first + tf.range(_GROUP), axis=1))
        top = tf.reduce_max(iou, axis=1)
        best_box = tf.where(top > best_iou, first + tf.argmax(iou, axis=1, output_type=tf.int32), best_box)
        # Where two boxes claim one anchor the first keeps it, as the reference's arg-max does.
        anchor = tf.where(tf.reduce_max(iou, axis=2) > 0.0, tf.argmax(iou, axis=2, output_type=tf.int32), -1)
        row = first + tf.range(_GROUP)[:, tf.newaxis]
        claims = tf.reduce_min(tf.where(anchor[..., tf.newaxis] == position, row, length), axis=1)
        return first + _GROUP, tf.maximum(top, best_iou), best_box, tf.minimum(claims, claimed_by)

    start = (tf.constant(0), tf.fill(shape, -1.0), tf.zeros(shape, tf.int32), tf.fill(shape, length))
    return _Matches(*tf.while_loop(lambda first, *_: first < end, group, start)[1:])


def _encode(anchors: tf.Tensor, boxes: tf.Tensor) -> tf.Tensor:
    """Faster R-CNN's box code, as Model Garden's box coder: centre offset over size, log of size."""
    anchor_size = anchors[:, 2:] - anchors[:, :2] + _EPSILON
    box_size = tf.maximum(boxes[..., 2:] - boxes[..., :2], 0.0) + _EPSILON
    anchor_center = (anchors[:, :2] + anchors[:, 2:]) / 2.0
    box_center = (boxes[..., :2] + boxes[..., 2:]) / 2.0
    return tf.concat(
        [(box_center - anchor_center) / anchor_size, tf.math.log(box_size / anchor_size)], axis=-1
    )


def label_anchors(
    anchors: tf.Tensor,
    boxes: tf.Tensor,
    classes: tf.Tensor,
    match_threshold: float = 0.5,
    unmatched_threshold: float = 0.5,
    box_coder_weights: Sequence[float] | None = None,
) -> AnchorTargets:
    """Matches anchors with boxes.

    An anchor takes the box of its highest IoU if that is at least `match_threshold`; each box also
    takes the anchor it overlaps most, if it overlaps any, whatever their IoU.

    Args:
        anchors: float32 [A, 4], pixels.
        boxes: float32 [B, M, 4], pixels; padding rows are -1.
        classes: int32 [B, M]; padding is -1.
        match_threshold: least IoU of a positive anchor.
        unmatched_threshold: anchors under it are negative, those between the two are ignored.
        box_coder_weights: four factors on the encoded (dy, dx, dh, dw); None is ones.

    Returns:
        The targets; no gradient flows through them. A box that overlaps no anchor at all has no
        target (the reference gives it anchor 0).
    """
    found = _match(anchors, boxes)
    forced = found.claimed_by < boxes.shape[1]
    matched = tf.where(forced, found.claimed_by, found.box)
    positive = tf.logical_or(found.iou >= match_threshold, forced)
    ignored = tf.logical_and(found.iou >= unmatched_threshold, tf.logical_not(positive))

    targets = AnchorTargets(
        classes=tf.where(positive, tf.gather(classes, matched, batch_dims=1), -1),
        boxes=_encode(anchors, tf.gather(boxes, matched, batch_dims=1)) * (box_coder_weights or 1.0),
        class_weights=tf.cast(tf.logical_not(ignored), tf.float32),
        box_weights=tf.cast(positive, tf.float32),
    )
    return AnchorTargets(**{name: tf.stop_gradient(value) for name, value in vars(targets).items()})
