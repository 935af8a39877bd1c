"""The images of a request, decoded one by one, so that a broken one harms no other."""

import re
from typing import Any

import numpy as np

from export.serving import limits, requests


def decode(instance: requests.Instance, number: int, model: Any) -> np.ndarray:
    """Decodes an instance whose size is within the limits.

    Args:
        instance: file or pixels.
        number: its place in the request.
        model: decodes files as its signatures do.

    Returns:
        uint8 RGB [H, W, 3].

    Raises:
        Refusal: 422.
    """
    if instance.pixels is not None:
        return instance.pixels
    import tensorflow as tf  # noqa: PLC0415

    size = f'{instance.height} x {instance.width}'
    try:
        image = model.decode(instance.encoded)
    except tf.errors.OpError as error:
        words = re.split(r'\[Op:|\n|, at ', re.sub(r'\{\{.*?\}\}', '', error.message))[0].strip(' .')[:160]
        raise limits.Refusal(
            422, 'broken_image', f'instance {number} of {size} pixels cannot be decoded: {words}', number
        ) from None
    if image.ndim != 3 or image.shape[0] * image.shape[1] > instance.room or not image.size:
        raise limits.Refusal(
            422,
            'broken_image',
            f'instance {number} is {" x ".join(map(str, image.shape))} decoded, but its header tells {size}',
            number,
        )
    return image
