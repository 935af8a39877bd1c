"""How a task's images are read, from its config alone."""

from typing import Any

from official_rethink.augment import fitting


def plain(config: Any) -> fitting.Fit:
    """How images become the network's input.

    Args:
        config: a task's, with `model.input_size`, and with `resizing` where the family has it.
    """
    height, width = config.model.input_size[:2]
    resizing = getattr(config, 'resizing', None)
    if resizing is None or not resizing.shorter_side:
        return fitting.Fit((height, width))
    return fitting.Fit((height, width), fitting.Resizing(resizing.shorter_side, resizing.longer_side))


def augmented(config: Any) -> bool:
    """Whether a task's config asks for more than plain inference.

    Args:
        config: a task's, with `inference`.
    """
    inference = config.inference
    voting = inference.soft_nms_sigma is not None or inference.box_voting_threshold > 0
    return list(inference.scales) != [1.0] or inference.flip or voting
