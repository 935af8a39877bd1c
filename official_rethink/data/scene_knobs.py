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
        usual_colors: chance that what has a usual colour (stems are green) takes it.
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
    usual_colors: float
    lighting: float
    blur: float
    noise: float


_EASY_TO_HARD = {
    'clutter': (0.5, 10.0),
    'occluders': (0.0, 2.5),
    'copied_parts': (0.2, 0.6),
    'min_visible': (0.98, 0.45),
    'crowding': (0.0, 0.6),
    'rotation': (6.0, 66.0),
    'variation': (0.3, 1.0),
    'min_extent': (0.3, 0.1),
    'color_gap': (130.0, 30.0),
    'background_contrast': (0.1, 0.9),
    'texture': (0.15, 0.8),
    'usual_colors': (0.95, 0.2),
    'lighting': (0.08, 0.6),
    'blur': (0.2, 1.1),
    'noise': (1.0, 12.0),
}


def knobs(difficulty: float) -> Knobs:
    """The knobs at a difficulty in [0, 1].

    They go from an easy to a hard end with the square of the difficulty: a small detector's precision falls
    fastest near the easy end.
    """
    share = difficulty**2
    return Knobs(**{name: easy + share * (hard - easy) for name, (easy, hard) in _EASY_TO_HARD.items()})
