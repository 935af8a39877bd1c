"""Cross entropy of pixels, of which some are ignored, over the whole global batch.

B batch, H W pixels of the label maps, h w of the logits, K classes, the background included.
"""

import math
from typing import Any, Protocol

import tensorflow as tf

from official_rethink.data import label_maps
from official_rethink.losses import replicas


class Settings(Protocol):
    """What the loss needs of a config; see `configs/segmentation.py`."""

    loss_weight: float
    label_smoothing: float
    class_weights: list[float]
    top_k_percent_pixels: float
    use_groundtruth_dimension: bool


def segmentation_losses(logits: tf.Tensor, labels: tf.Tensor, params: Settings) -> dict[str, tf.Tensor]:
    """Computes the mean over the pixels that count, of all replicas.

    Each replica's sum is scaled by the number of replicas: the mean over replicas is the loss of the global batch on
    one device. A batch without a single pixel that counts has loss 0, and its gradients are zeros.

    Args:
        logits: float [B, h, w, K].
        labels: uint8 [B, H, W], class ids from 0; 255 is ignored.
        params: the settings.

    Returns:
        Scalars: cls_loss, and model_loss = loss_weight * cls_loss.
    """
    number = tf.distribute.get_strategy().num_replicas_in_sync
    losses, count = summed(logits, labels, params)
    cls_loss = tf.math.divide_no_nan(losses * number, replicas.total(count))
    return {'cls_loss': cls_loss, 'model_loss': params.loss_weight * cls_loss}


def summed(logits: tf.Tensor, labels: tf.Tensor, params: Settings) -> tuple[tf.Tensor, tf.Tensor]:
    """Sums the cross entropy over a batch's pixels that count, and counts them.

    With `top_k_percent_pixels` below 1 these are, of each image, that share of its pixels that are not ignored,
    rounded up, with the highest loss; choosing image by image is the same on any number of devices. Class weights
    multiply the loss of a pixel and leave its count alone, as Model Garden's.

    Returns:
        float32 scalars.
    """
    logits = tf.cast(logits, tf.float32)
    if params.use_groundtruth_dimension:
        logits = tf.image.resize(logits, labels.shape[1:3])
    else:
        labels = nearest(labels, _size(logits))
    height, width = _size(logits)
    batch, pixels = tf.shape(logits)[0], height * width
    labels = tf.reshape(labels, [batch, pixels])
    valid = tf.not_equal(labels, label_maps.IGNORE)
    losses = _cross_entropy(tf.reshape(logits, [batch, pixels, logits.shape[3]]), labels, valid, params)
    if params.top_k_percent_pixels < 1.0:
        losses, valid = _hardest(losses, valid, params.top_k_percent_pixels, pixels)
    return tf.reduce_sum(losses), tf.reduce_sum(tf.cast(valid, tf.float32))


def _size(values: tf.Tensor) -> tuple[Any, Any]:
    """Rows and columns of [B, H, W, ...]: numbers where they are static, else scalars."""
    height, width = (values.shape[axis] or tf.shape(values)[axis] for axis in (1, 2))
    return height, width


def nearest(labels: tf.Tensor, size: tuple[Any, Any]) -> tf.Tensor:
    """Resizes label maps [B, H, W] at the nearest pixel, half-pixel centres, in whole numbers."""
    for axis, (length, count) in enumerate(zip(_size(labels), size, strict=True), 1):
        places = (2 * tf.range(count) + 1) * length // (2 * count)
        labels = tf.gather(labels, places, axis=axis)
    return labels


def _cross_entropy(logits: tf.Tensor, labels: tf.Tensor, valid: tf.Tensor, params: Settings) -> tf.Tensor:
    """Returns the weighted loss of each pixel, float32 [B, P]; exactly 0, with a gradient of zeros, where ignored."""
    # Chosen before and after: what is not finite under an ignored pixel would else reach the gradient.
    logits = tf.where(valid[:, :, tf.newaxis], logits, 0.0)
    log_shares = tf.nn.log_softmax(logits)
    one_hot = tf.one_hot(tf.where(valid, tf.cast(labels, tf.int32), 0), logits.shape[2])
    losses = -tf.reduce_sum(one_hot * log_shares, axis=2)
    if params.label_smoothing:
        even = -tf.reduce_mean(log_shares, axis=2)
        losses = (1.0 - params.label_smoothing) * losses + params.label_smoothing * even
    if params.class_weights:
        losses *= tf.reduce_sum(one_hot * tf.constant(params.class_weights, tf.float32), axis=2)
    return tf.where(valid, losses, 0.0)


def _hardest(losses: tf.Tensor, valid: tf.Tensor, share: float, pixels: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """Keeps of each image the share of its valid pixels with the highest loss; returns [B, P'] of both."""
    most = tf.maximum(_rounded_up(share * tf.cast(pixels, tf.float32)), 1)
    # What is not a number comes first, so that it is not lost.
    rank = tf.where(tf.math.is_nan(losses), math.inf, losses)
    places = tf.math.top_k(tf.where(valid, rank, -1.0), most).indices
    count = tf.reduce_sum(tf.cast(valid, tf.float32), axis=1, keepdims=True)
    chosen = tf.range(most) < tf.maximum(_rounded_up(share * count), 1)
    chosen &= tf.gather(valid, places, batch_dims=1)
    return tf.where(chosen, tf.gather(losses, places, batch_dims=1), 0.0), chosen


def _rounded_up(value: tf.Tensor) -> tf.Tensor:
    # A thousandth less, lest 0.07 * 100 = 7.000000000000001 count as 8.
    return tf.cast(tf.math.ceil(value - 1e-3), tf.int32)
