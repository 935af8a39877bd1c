"""RandAugment (Cubuk et al., 2020) that moves boxes along, as Model Garden's build_for_detection."""

import tensorflow as tf

from official_rethink.augment import operations

CUTOUT_CONST = 40.0
TRANSLATE_CONST = 100.0

# Model Garden's order. A draw beyond the last leaves the image alone, so identity is a seventeenth operation.
OPERATIONS = (
    'AutoContrast',
    'Equalize',
    'Invert',
    'Rotate_BBox',
    'Posterize',
    'Solarize',
    'Color',
    'Contrast',
    'Brightness',
    'Sharpness',
    'ShearX_BBox',
    'ShearY_BBox',
    'TranslateX_BBox',
    'TranslateY_BBox',
    'Cutout',
    'SolarizeAdd',
)

# Beyond level 10 these have no value left: 4 bits of 8 are gone, the threshold is white, the sum would pass 255.
SATURATED = ('Posterize', 'Solarize', 'SolarizeAdd')


@tf.autograph.experimental.do_not_convert
def distort(
    scene: operations.Scene, layers: int, magnitude: float, fill: str, seed: tf.Tensor, when: str = 'once'
) -> operations.Scene:
    """Draws and applies `layers` operations, each at strength `magnitude` from 0; 10 is strong."""
    choices = [
        operations.Choice(
            name,
            min(magnitude, operations.MAX_LEVEL) if name in SATURATED else magnitude,
            cutout_const=CUTOUT_CONST,
            translate_const=TRANSLATE_CONST,
        )
        for name in OPERATIONS
    ]
    draws = tf.random.stateless_uniform([layers, 4], seed)
    for step in range(layers):
        own = draws[step]
        index = tf.minimum(tf.cast(own[0] * (len(choices) + 1), tf.int32), len(choices))
        step_draws = operations.Draws(sign=tf.where(own[1] < 0.5, -1.0, 1.0), center=own[2:4], seed=seed)
        scene = operations.apply_one_of(scene, choices, index, step_draws, fill, step, when)
    return scene
