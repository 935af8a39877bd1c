"""RetinaNet's losses from anchors matched in the step, normalised over the whole global batch."""

import tensorflow as tf
from official.vision.configs import retinanet
from official.vision.losses import loss_utils

from official_rethink.losses import focal, replicas
from official_rethink.modeling import anchor_targets


def detection_losses(
    outputs: dict[str, dict[str, tf.Tensor]],
    targets: anchor_targets.AnchorTargets,
    num_classes: int,
    params: retinanet.Losses,
) -> dict[str, tf.Tensor]:
    """Computes the focal and the Huber loss.

    Model Garden divides by the positives of one replica, so that two devices give another gradient
    than one. Here the divisor is (positives of all replicas + 1), and each replica's sum is scaled by
    the number of replicas: the mean over replicas is the loss of the global batch on one device.

    Args:
        outputs: the model's raw 'cls_outputs' and 'box_outputs', level to [B, h, w, anchors * K or 4].
        targets: what the anchors should predict.
        num_classes: K, background included.
        params: Model Garden's loss settings.

    Returns:
        Scalars: cls_loss, box_loss, and model_loss = cls_loss + box_loss_weight * box_loss.
    """
    number = tf.distribute.get_strategy().num_replicas_in_sync
    reduction = tf.keras.losses.Reduction.SUM
    positives = replicas.total(tf.reduce_sum(targets.box_weights)) + 1.0
    scale = number / positives
    class_outputs = loss_utils.multi_level_flatten(outputs['cls_outputs'], last_dim=num_classes)
    box_outputs = loss_utils.multi_level_flatten(outputs['box_outputs'], last_dim=4)
    cls_loss = focal.focal_loss(
        tf.cast(class_outputs, tf.float32),
        targets.classes,
        targets.class_weights * scale,
        params.focal_loss_alpha,
        params.focal_loss_gamma,
    )
    box_loss = tf.keras.losses.Huber(params.huber_loss_delta, reduction=reduction)(
        y_true=targets.boxes,
        y_pred=tf.cast(box_outputs, tf.float32),
        sample_weight=targets.box_weights * scale,
    )
    return {
        'cls_loss': cls_loss,
        'box_loss': box_loss,
        'model_loss': params.loss_weight * (cls_loss + params.box_loss_weight * box_loss),
    }
