"""AutoAugment as released: a list of sub-policies, one drawn per image.

'v0' is detection's (Cubuk et al., 2019), five sub-policies that move boxes along; 'imagenet_v0' that of the
EfficientNet release, 25 sub-policies for images of one class.
"""

import tensorflow as tf
from official.vision.ops import augment as reference

from official_rethink.augment import operations

CUTOUT_CONST = 100.0
TRANSLATE_CONST = 250.0

# (operation, probability, level) of the first and second step of each sub-policy.
POLICY_V0 = (
    (('TranslateX_BBox', 0.6, 4), ('Equalize', 0.8, 10)),
    (('TranslateY_Only_BBoxes', 0.2, 2), ('Cutout', 0.8, 8)),
    (('Sharpness', 0.0, 8), ('ShearX_BBox', 0.4, 0)),
    (('ShearY_BBox', 1.0, 2), ('TranslateY_Only_BBoxes', 0.6, 6)),
    (('Rotate_BBox', 0.6, 10), ('Color', 1.0, 6)),
)

def _of_whole_images(policy: list[list[tuple[str, float, float]]]) -> tuple[tuple[tuple[str, float, int], ...], ...]:
    """Model Garden's table in this engine's names: its geometric operations move boxes along, if there are any."""
    names = {name.removesuffix('_BBox'): name for name in operations.GEOMETRIC}
    return tuple(
        tuple((names.get(name, name), probability, int(level)) for name, probability, level in sub_policy)
        for sub_policy in policy
    )


POLICIES = {'v0': POLICY_V0, 'imagenet_v0': _of_whole_images(reference.AutoAugment.policy_v0())}


@tf.autograph.experimental.do_not_convert
def distort(
    scene: operations.Scene, name: str, fill: str, seed: tf.Tensor, when: str = 'once'
) -> operations.Scene:
    """Draws a sub-policy and applies its steps, each with its probability.

    The box-only operation's probability counts twice, once for the image and, divided by three, once per
    box, as in the reference.
    """
    policy = POLICIES[name]
    steps = len(policy[0])
    draws = tf.random.stateless_uniform([1 + 4 * steps], seed)
    drawn = tf.minimum(tf.cast(draws[0] * len(policy), tf.int32), len(policy) - 1)
    for step in range(steps):
        own = draws[1 + 4 * step : 5 + 4 * step]
        choices = [
            operations.Choice(operation, float(level), probability, CUTOUT_CONST, TRANSLATE_CONST)
            for operation, probability, level in (sub_policy[step] for sub_policy in policy)
        ]
        probability = tf.gather(tf.constant([choice.probability for choice in choices]), drawn)
        index = tf.where(own[0] < probability, drawn, len(choices))
        step_draws = operations.Draws(
            sign=tf.where(own[1] < 0.5, -1.0, 1.0),
            center=own[2:4],
            seed=tf.random.experimental.stateless_fold_in(seed, step + 1),
        )
        scene = operations.apply_one_of(scene, choices, index, step_draws, fill, step, when)
    return scene
