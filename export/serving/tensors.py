"""An image of a request as JSON's nested lists of numbers."""

import reprlib
from typing import Any

import numpy as np

from export.serving import limits


def size(value: Any, number: int) -> tuple[int, int]:
    """Height and width, as the first of each level's lists tell.

    Args:
        value: as JSON has it.
        number: its place in the request.

    Raises:
        Refusal: 422, it is no image.
    """
    sides: list[int] = []
    inner = value
    while isinstance(inner, list) and len(sides) < 4:
        sides.append(len(inner))
        inner = inner[0] if inner else None
    if len(sides) != 3 or sides[2] != 3 or not sides[0] or not sides[1]:
        shape = ' x '.join(map(str, sides)) or 'no list'
        raise limits.Refusal(
            422,
            'tensor_shape',
            f'image_tensor of instance {number} is {shape}; needed: height x width x 3, red, green and blue',
            number,
        )
    return sides[0], sides[1]


def read(value: Any, height: int, width: int, number: int) -> np.ndarray:
    """The pixels.

    Args:
        value: as JSON has it.
        height: of it.
        width: of it.
        number: its place in the request.

    Returns:
        uint8 RGB [H, W, 3].

    Raises:
        Refusal: 422, rows of different lengths, or values that are no whole numbers from 0 to 255.
    """
    try:
        # Objects first: numpy would make 1 of true, and text of a number beside text.
        values = np.array(value, dtype=object)
        if values.shape != (height, width, 3):
            raise ValueError
    except ValueError:
        raise limits.Refusal(
            422, 'tensor_shape', f'image_tensor of instance {number} has rows or pixels of different lengths', number
        ) from None
    for one in values.reshape(-1):
        if type(one) is not int or not 0 <= one <= 255:
            raise limits.Refusal(
                422,
                'tensor_values',
                f'image_tensor of instance {number} has {reprlib.repr(one)}; allowed: whole numbers from 0 to 255',
                number,
            )
    return values.astype(np.uint8)
