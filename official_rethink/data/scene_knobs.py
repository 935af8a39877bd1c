"""What the difficulty of built-in scenes turns, and from where to where."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Knobs:
    """What difficulty turns. Lengths are relative to the image's shorter side.

    Attributes:
        clutter: mean number of distractors behind the objects.
        occluders: mean number of distractors in front of them.
        copied_parts: share of distractors that copy a part of some class.
        min_visible: least visible share of an object that lies wholly or partly in the image.
        crowding: chance that an object is placed beside an earlier one.
        rotation: largest in-plane rotation either way, in degrees.
        variation: of proportions and joint angles, in [0, 1].
        min_extent: of the smallest objects.
        color_gap: least distance in RGB between an object's main colours and the mean background.
        background_contrast: of the background's textures, in [0, 1].
        texture: on objects, in [0, 1].
        lighting: strength of gain, shade and colour cast.
        blur: largest standard deviation of the blur, in pixels of a 128-pixel image.
        noise: largest standard deviation of the noise, in grey levels.
    """

    clutter: float
    occluders: float
    copied_parts: float
    min_visible: float
    crowding: float
    rotation: float
    variation: float
    min_extent: float
    color_gap: float
    background_contrast: float
    texture: float
    lighting: float
    blur: float
    noise: float


_EASY_TO_HARD = {
    'clutter': (1.0, 12.0),
    'occluders': (0.0, 3.0),
    'copied_parts': (0.2, 0.7),
    'min_visible': (0.97, 0.4),
    'crowding': (0.0, 0.6),
    'rotation': (8.0, 80.0),
    'variation': (0.3, 1.0),
    'min_extent': (0.28, 0.1),
    'color_gap': (130.0, 25.0),
    'background_contrast': (0.1, 0.9),
    'texture': (0.15, 0.8),
    'lighting': (0.08, 0.6),
    'blur': (0.2, 1.1),
    'noise': (1.0, 12.0),
}


def knobs(difficulty: float) -> Knobs:
    """The knobs at a difficulty in [0, 1], linear between an easy and a hard end."""
    return Knobs(**{name: easy + difficulty * (hard - easy) for name, (easy, hard) in _EASY_TO_HARD.items()})
