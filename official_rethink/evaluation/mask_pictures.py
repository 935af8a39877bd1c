"""Instance masks on a picture: each object's pixels in its class's colour, its outline in full."""

from collections.abc import Sequence

import numpy as np

from official_rethink.common import errors
from official_rethink.evaluation import gallery

_SHARE = 0.45  # of the colour within a mask; the rest is the image


def painted(image: np.ndarray, masks: Sequence[np.ndarray], classes: Sequence[int]) -> np.ndarray:
    """Paints masks on an image; the first lies on top, as the best scored box does in `gallery.draw`.

    Args:
        image: uint8 RGB [H, W, 3].
        masks: [H, W] each, not 0 on the object; one without a pixel leaves no trace.
        classes: of each, which gives it the colour of its box.

    Returns:
        uint8 RGB [H, W, 3], of the image's own size.
    """
    if len(masks) != len(classes):
        raise errors.bad_value('number of masks', len(masks), f'{len(classes)}, one for each class')
    picture = image.astype(np.float32)
    for number in reversed(range(len(masks))):
        inside = np.asarray(masks[number]) != 0
        if inside.shape != image.shape[:2]:
            where = f'mask {number}'
            raise errors.bad_value('shape of mask', list(inside.shape), f"the image's, {list(image.shape[:2])}", where)
        color = np.array(gallery._color(classes[number]), np.float32)
        edge = inside & ~_surrounded(inside)
        picture[inside] = (1 - _SHARE) * picture[inside] + _SHARE * color
        picture[edge] = color
    return np.round(picture).astype(np.uint8)


def _surrounded(inside: np.ndarray) -> np.ndarray:
    """Which pixels have their four neighbours in the mask too; beyond the image nothing is."""
    wide = np.pad(inside, 1)
    return wide[:-2, 1:-1] & wide[2:, 1:-1] & wide[1:-1, :-2] & wide[1:-1, 2:]
