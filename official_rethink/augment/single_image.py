"""Augmentation of an image of one class: random crop, flip, AutoAugment or RandAugment, as the EfficientNet release.

The order is the release's: crop and resize, flip, then AutoAugment or RandAugment at the network's size. Nothing
keeps state: the same seed gives the same pixels, eagerly and inside tf.data.
"""

import tensorflow as tf

from official_rethink.augment import autoaugment, operations, randaugment, resampling

FILL = 'grey'
MIN_OBJECT_COVERED = 0.1
MAX_ATTEMPTS = 10


@tf.autograph.experimental.do_not_convert
def random_crop(
    image: tf.Tensor,
    output_size: tuple[int, int],
    area: tuple[float, float],
    aspect_ratio: tuple[float, float],
    method: str,
    crop_fraction: float,
    seed: tf.Tensor,
) -> tf.Tensor:
    """Crops a window of random area and aspect ratio (Szegedy et al., 2015) and resizes it.

    Where ten attempts find no such window, or it is the whole image, the centre is cut out, as the release does.

    Args:
        image: uint8 [H, W, 3].
        output_size: height and width of the result.
        area: least and greatest share of the image.
        aspect_ratio: least and greatest width / height of the window.
        method: of `tf.image.resize`.
        crop_fraction: see `center_crop`.
        seed: int [2].

    Returns:
        uint8 [output_h, output_w, 3].
    """
    shape = tf.shape(image)
    begin, size, _ = tf.image.stateless_sample_distorted_bounding_box(
        shape,
        tf.constant([[[0.0, 0.0, 1.0, 1.0]]]),
        seed,
        min_object_covered=MIN_OBJECT_COVERED,
        aspect_ratio_range=aspect_ratio,
        area_range=area,
        max_attempts=MAX_ATTEMPTS,
        use_image_if_no_bounding_boxes=True,
    )
    whole = tf.reduce_all(tf.equal(size[:2], shape[:2]))

    def window() -> tf.Tensor:
        return _resize(tf.slice(image, begin, size), output_size, method)

    return tf.cond(whole, lambda: center_crop(image, output_size, crop_fraction, method), window)


@tf.autograph.experimental.do_not_convert
def center_crop(image: tf.Tensor, output_size: tuple[int, int], crop_fraction: float, method: str) -> tf.Tensor:
    """Cuts the largest centred window of the output's shape, times `crop_fraction`, and resizes it.

    Returns:
        uint8 [output_h, output_w, 3].
    """
    size = tf.shape(image)[:2]
    output = tf.constant(output_size, tf.float32)
    scale = tf.reduce_min(tf.cast(size, tf.float32) / output) * crop_fraction
    # A window of an image of one pixel would have none; 1e-4 keeps 0.875 * 8 = 7 from being cut to 6.
    window = tf.maximum(tf.cast(tf.floor(output * scale + 1e-4), tf.int32), 1)
    offset = (size - window + 1) // 2
    cropped = tf.slice(image, tf.concat([offset, [0]], 0), tf.concat([window, [3]], 0))
    return _resize(cropped, output_size, method)


def _resize(image: tf.Tensor, output_size: tuple[int, int], method: str) -> tf.Tensor:
    resized = tf.clip_by_value(tf.image.resize(image, output_size, method), 0.0, 255.0)
    return tf.ensure_shape(resampling.to_uint8(resized), [*output_size, 3])


@tf.autograph.experimental.do_not_convert
def flip(image: tf.Tensor, probability: float, seed: tf.Tensor) -> tf.Tensor:
    """Mirrors an image left to right with a probability."""
    return tf.cond(tf.random.stateless_uniform([], seed) < probability, lambda: image[:, ::-1], lambda: image)


@tf.autograph.experimental.do_not_convert
def distort(image: tf.Tensor, policy: str, layers: int, magnitude: float, seed: tf.Tensor) -> tf.Tensor:
    """Applies AutoAugment's ImageNet policy or RandAugment to an image without boxes.

    Args:
        image: uint8 [H, W, 3].
        policy: '' for neither, 'autoaugment' or 'randaugment'.
        layers: of RandAugment.
        magnitude: of RandAugment, from 0 to 30; the release goes beyond 10 (28 for EfficientNet-B7).
        seed: int [2].

    Returns:
        uint8 [H, W, 3].
    """
    if not policy:
        return image
    scene = operations.start(image, tf.zeros([0, 4]), None)
    if policy == 'autoaugment':
        scene = autoaugment.distort(scene, 'imagenet_v0', FILL, seed)
    else:
        scene = randaugment.distort(scene, layers, magnitude, FILL, seed)
    return tf.ensure_shape(operations.settle(scene, FILL).image, image.shape)
