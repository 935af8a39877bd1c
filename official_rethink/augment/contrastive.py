"""The two views of SimCLR: what is done to an image before a network has to recognise it again.

Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations", section 3 and appendix A,
with the choices of the authors' release: random resized crop (bicubic), flip, colour jitter in random order,
greyscale, Gaussian blur. Nothing keeps state: the same seed gives the same pixels, eagerly and inside tf.data.
Images are float32 in [0, 1] between the first and the last operation, and rounded once.
"""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

BLUR_SHARE = 10
"""The blur's kernel is the height divided by this, as odd number."""
_JITTER = 0.8
_HUE = 0.2


@dataclasses.dataclass(frozen=True)
class ViewPolicy:
    """How strongly views are distorted; the defaults are the paper's for ImageNet.

    Attributes:
        area_min: smallest share of the image's area a crop takes.
        area_max: largest share.
        aspect_min: smallest width / height of a crop, relative to the output's.
        aspect_max: largest.
        flip_probability: of a horizontal flip.
        jitter_strength: scales brightness, contrast and saturation (each 0.8) and hue (0.2); at most 1.25.
        jitter_probability: of a colour jitter.
        grayscale_probability: of losing the colour.
        blur_probability: of a Gaussian blur.
        blur_sigma_min: smallest standard deviation of the blur, in pixels.
        blur_sigma_max: largest.
    """

    area_min: float = 0.08
    area_max: float = 1.0
    aspect_min: float = 3 / 4
    aspect_max: float = 4 / 3
    flip_probability: float = 0.5
    jitter_strength: float = 1.0
    jitter_probability: float = 0.8
    grayscale_probability: float = 0.2
    blur_probability: float = 0.5
    blur_sigma_min: float = 0.1
    blur_sigma_max: float = 2.0


# Nothing below needs AutoGraph, which in tf.data's map would cost seconds per function it converts.
@tf.autograph.experimental.do_not_convert
def two_views(image: tf.Tensor, output_size: tuple[int, int], policy: ViewPolicy, seed: tf.Tensor) -> tf.Tensor:
    """Draws two views of one image independently.

    Args:
        image: uint8 [H, W, 3].
        output_size: height and width of a view.
        policy: what may happen to it.
        seed: int [2]; equal seeds give equal views.

    Returns:
        uint8 [2, output_h, output_w, 3].
    """
    fold = tf.random.experimental.stateless_fold_in
    return tf.stack([view(image, output_size, policy, fold(seed, number)) for number in (0, 1)])


@tf.autograph.experimental.do_not_convert
def view(image: tf.Tensor, output_size: tuple[int, int], policy: ViewPolicy, seed: tf.Tensor) -> tf.Tensor:
    """Draws one view: uint8 [H, W, 3] in, uint8 [output_h, output_w, 3] out."""
    if image.dtype != tf.uint8:
        raise ValueError(f'image has type {image.dtype.name}; allowed: uint8, values from 0 to 255.')
    seeds = tf.unstack(tf.random.split(seed, 4))
    begin, size = crop_place(tf.shape(image)[:2], output_size, policy, seeds[0])
    result = crop_and_resize(tf.ensure_shape(image, [None, None, 3]), begin, size, output_size)
    happens = tf.random.stateless_uniform([4], seeds[1])
    result = _maybe(happens[0] < policy.flip_probability, lambda x: tf.reverse(x, [1]), result)
    result = _maybe(
        happens[1] < policy.jitter_probability, lambda x: color_jitter(x, policy.jitter_strength, seeds[2]), result
    )
    result = _maybe(happens[2] < policy.grayscale_probability, grayscale, result)
    sigma = tf.random.stateless_uniform([], seeds[3], policy.blur_sigma_min, policy.blur_sigma_max)
    kernel = blur_kernel_size(output_size[0])
    if kernel > 1:
        result = _maybe(happens[3] < policy.blur_probability, lambda x: gaussian_blur(x, kernel, sigma), result)
    return to_uint8(result)


def _maybe(happens: tf.Tensor, operation: Callable[[tf.Tensor], tf.Tensor], image: tf.Tensor) -> tf.Tensor:
    return tf.ensure_shape(tf.cond(happens, lambda: operation(image), lambda: image), image.shape)


def to_uint8(image: tf.Tensor) -> tf.Tensor:
    """Rounds float pixels in [0, 1] to 0..255; what lies outside is cut."""
    return tf.cast(tf.clip_by_value(image, 0.0, 1.0) * 255.0 + 0.5, tf.uint8)


def crop_place(
    size: tf.Tensor, output_size: tuple[int, int], policy: ViewPolicy, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Draws where a crop lies.

    The release asks TensorFlow for crops of 8 % or more that also cover 10 % of the whole image, so that
    its smallest is 10 %; ours are the paper's 8 %.

    Args:
        size: int32 [2], height and width of the image.
        output_size: height and width of a view.
        policy: gives shares of area and aspects.
        seed: int [2].

    Returns:
        First row and column, height and width: int32 [2] each. The whole image where nothing fits.
    """
    ratio = output_size[1] / output_size[0]
    begin, extent, _ = tf.image.stateless_sample_distorted_bounding_box(
        tf.concat([size, [3]], 0),
        bounding_boxes=tf.constant([[[0.0, 0.0, 1.0, 1.0]]]),
        seed=seed,
        min_object_covered=0.0,
        aspect_ratio_range=(policy.aspect_min * ratio, policy.aspect_max * ratio),
        area_range=(policy.area_min, policy.area_max),
        max_attempts=100,
    )
    return begin[:2], extent[:2]


def crop_and_resize(image: tf.Tensor, begin: tf.Tensor, size: tf.Tensor, output_size: tuple[int, int]) -> tf.Tensor:
    """Cuts uint8 [H, W, 3] and resizes it bicubically, without smoothing before it shrinks, as the release."""
    cropped = tf.slice(image, tf.concat([begin, [0]], 0), tf.concat([size, [3]], 0))
    resized = tf.image.resize(cropped, output_size, tf.image.ResizeMethod.BICUBIC)
    return tf.ensure_shape(tf.clip_by_value(resized / 255.0, 0.0, 1.0), [*output_size, 3])


def adjust_brightness(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Multiplies by `factor`, as the release does; the paper's appendix adds a number instead."""
    return image * factor


def adjust_contrast(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Moves each channel away from (factor above 1) or towards (below 1) its mean."""
    mean = tf.reduce_mean(image, axis=[0, 1], keepdims=True)
    return mean + factor * (image - mean)


def adjust_saturation(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Multiplies the saturation of HSV by `factor`, at most to 1."""
    return tf.image.adjust_saturation(image, factor)


def adjust_hue(image: tf.Tensor, turn: tf.Tensor) -> tf.Tensor:
    """Turns the hue of HSV by a share of the circle."""
    return tf.image.adjust_hue(image, turn)


JITTERS = (adjust_brightness, adjust_contrast, adjust_saturation, adjust_hue)


def jitter_draws(strength: float, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Draws the order of the four operations, int32 [4], and the strength of each, float32 [4] as `JITTERS`."""
    draws = tf.random.stateless_uniform([8], seed)
    low, high = max(1.0 - _JITTER * strength, 0.0), 1.0 + _JITTER * strength
    factors = low + (high - low) * draws[:3]
    turn = _HUE * strength * (2.0 * draws[3:4] - 1.0)
    return tf.argsort(draws[4:]), tf.concat([factors, turn], 0)


def color_jitter(image: tf.Tensor, strength: float, seed: tf.Tensor) -> tf.Tensor:
    """Brightness, contrast, saturation and hue, in random order, cut to [0, 1] after each."""
    order, amounts = jitter_draws(strength, seed)
    for step in range(len(JITTERS)):
        image = _jitter(image, order[step], amounts)
    return image


def _jitter(image: tf.Tensor, which: tf.Tensor, amounts: tf.Tensor) -> tf.Tensor:
    def branch(number: int) -> Callable[[], tf.Tensor]:
        return lambda: JITTERS[number](image, amounts[number])

    changed = tf.switch_case(which, [branch(number) for number in range(len(JITTERS))])
    return tf.ensure_shape(tf.clip_by_value(changed, 0.0, 1.0), image.shape)


def grayscale(image: tf.Tensor) -> tf.Tensor:
    """Replaces each channel by the luma 0.2989 R + 0.587 G + 0.114 B."""
    return tf.tile(tf.image.rgb_to_grayscale(image), [1, 1, 3])


def blur_kernel_size(height: int) -> int:
    """Returns the kernel's side: a tenth of the height, made odd; 1 (no blur) for views under 20 pixels."""
    return 2 * (height // BLUR_SHARE // 2) + 1


def gaussian_blur(image: tf.Tensor, kernel_size: int, sigma: tf.Tensor) -> tf.Tensor:
    """Blurs along rows and columns; black beyond the edge, as the release's convolutions pad."""
    places = tf.range(kernel_size, dtype=tf.float32) - (kernel_size - 1) / 2
    weights = tf.exp(-tf.square(places) / (2.0 * tf.square(sigma)))
    weights /= tf.reduce_sum(weights)
    batch = image[tf.newaxis]
    for shape in ([kernel_size, 1, 1, 1], [1, kernel_size, 1, 1]):
        kernel = tf.tile(tf.reshape(weights, shape), [1, 1, 3, 1])
        batch = tf.nn.depthwise_conv2d(batch, kernel, [1, 1, 1, 1], 'SAME')
    return batch[0]
