"""The colour operations of AutoAugment and RandAugment, on uint8 images [H, W, 3].

Where Model Garden's function is right, quick and draws nothing at random it is used; where not, the comment
says why ours stands in its place. All give Model Garden's pixels.
"""

import tensorflow as tf
from official.vision.ops import augment as reference

GREY = 128

auto_contrast = reference.autocontrast
equalize = reference.equalize
invert = reference.invert
color = reference.color
brightness = reference.brightness
posterize = reference.posterize


def solarize(image: tf.Tensor, threshold: int) -> tf.Tensor:
    """Inverts the values at or above `threshold`.

    A threshold of 256, which is what magnitude 10 gives, inverts the whole image: in Model Garden the number
    wraps to 0 in uint8. We keep that.
    Ours, because Model Garden's tf.where costs several times this exclusive or.
    """
    above = tf.cast(image >= tf.constant(threshold % 256, tf.uint8), tf.uint8)
    return tf.bitwise.bitwise_xor(image, above * tf.constant(255, tf.uint8))


def solarize_add(image: tf.Tensor, addition: int, threshold: int = 128) -> tf.Tensor:
    """Adds `addition` (0 to 110) to the values below `threshold`.

    Ours, because Model Garden's goes through int64. No sum passes 255 here, so uint8 is enough.
    """
    assert 0 <= addition <= 256 - threshold, addition
    below = tf.cast(image < tf.constant(threshold, tf.uint8), tf.uint8)
    return image + below * tf.constant(addition, tf.uint8)


def contrast(image: tf.Tensor, factor: float, pixels: tf.Tensor | None = None) -> tf.Tensor:
    """Moves values away from (factor above 1) or towards (below 1) a mean level.

    The reference takes for the mean the number of pixels / 256, clipped to 255: it sums its histogram's
    counts and not its values. So over 65,280 pixels the level is white. We keep that, and need no histogram.

    Args:
        image: uint8 [H, W, 3].
        factor: 1 changes nothing.
        pixels: float scalar, the number of pixels counted; those of `image` if None.
    """
    if pixels is None:
        pixels = tf.cast(tf.shape(image)[0] * tf.shape(image)[1], tf.float32)
    level = tf.floor(tf.minimum(pixels / 256.0, 255.0))
    blended = level + factor * (tf.cast(image, tf.float32) - level)
    return tf.cast(tf.clip_by_value(blended, 0.0, 255.0), tf.uint8)


def sharpness(image: tf.Tensor, factor: float) -> tf.Tensor:
    """Moves each pixel away from (factor above 1) or towards (below 1) the smoothed image; the border stays.

    Ours, because Model Garden's fails below 3 pixels and blends over masks of the whole image.
    """
    kernel = tf.constant([[1.0, 1.0, 1.0], [1.0, 5.0, 1.0], [1.0, 1.0, 1.0]]) / 13.0
    kernel = tf.tile(kernel[:, :, tf.newaxis, tf.newaxis], [1, 1, 3, 1])

    def sharpened() -> tf.Tensor:
        pixels = tf.cast(image, tf.float32)
        smooth = tf.nn.depthwise_conv2d(pixels[tf.newaxis], kernel, [1, 1, 1, 1], 'VALID')[0]
        smooth = tf.floor(tf.clip_by_value(smooth, 0.0, 255.0))
        inner = smooth + factor * (pixels[1:-1, 1:-1] - smooth)
        inner = tf.cast(tf.clip_by_value(inner, 0.0, 255.0), tf.uint8)
        middle = tf.concat([image[1:-1, :1], inner, image[1:-1, -1:]], axis=1)
        return tf.ensure_shape(tf.concat([image[:1], middle, image[-1:]], axis=0), image.shape)

    if any(length is not None and length < 3 for length in image.shape[:2]):
        return image  # a graph with these shapes could not even be built
    size = tf.shape(image)
    return tf.cond((size[0] < 3) | (size[1] < 3), lambda: image, sharpened)


def cutout(image: tf.Tensor, half_side: int, center: tf.Tensor) -> tf.Tensor:
    """Paints a grey square, clipped at the edge.

    Ours, because Model Garden's draws its place from global random state.

    Args:
        image: uint8 [H, W, 3].
        half_side: half the square's side in pixels; 0 paints nothing.
        center: float [2] in [0, 1), where its centre lies, as a fraction of height and width.
    """
    size = tf.shape(image)[:2]
    middle = tf.cast(center * tf.cast(size, tf.float32), tf.int32)
    low, high = tf.maximum(middle - half_side, 0), tf.minimum(middle + half_side, size)
    band = image[low[0] : high[0]]
    grey = tf.fill([high[0] - low[0], high[1] - low[1], 3], tf.constant(GREY, tf.uint8))
    band = tf.concat([band[:, : low[1]], grey, band[:, high[1] :]], axis=1)
    return tf.ensure_shape(tf.concat([image[: low[0]], band, image[high[0] :]], axis=0), image.shape)
