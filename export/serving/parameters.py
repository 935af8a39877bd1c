"""A request's parameters: how much of what a model finds is told, and in what form."""

import dataclasses
import reprlib
from collections.abc import Mapping
from typing import Any

from export.serving import limits
from official_rethink.common import errors

MASKS = ('rle', 'polygons', 'none')
MAPS = ('png', 'rle', 'none')


@dataclasses.dataclass(frozen=True)
class Parameters:
    """What a client asked for.

    Attributes:
        score_threshold: detections with a lower score are left out.
        max_detections: at most so many of each image, those with the highest scores; None for all.
        masks: one of MASKS.
        class_map: one of MAPS.
        score_map: whether the score of each pixel is told.
    """

    score_threshold: float = 0.0
    max_detections: int | None = None
    masks: str = 'none'
    class_map: str = 'none'
    score_map: bool = False


def parse(given: Mapping[str, Any], is_detector: bool, gives_masks: bool) -> Parameters:
    """Reads the parameters.

    Args:
        given: by name; null is the default.
        is_detector: whether the model is one, or a segmentation network.
        gives_masks: whether a detector gives masks.

    Raises:
        Refusal: 400, an unknown name or a value that is not allowed.
    """
    allowed = ('score_threshold', 'max_detections', 'masks') if is_detector else ('class_map', 'score_map')
    for name in given:
        if name not in allowed:
            what = 'parameter' if name not in Parameters.__annotations__ else 'parameter of this kind of model'
            message = str(errors.unknown_name(what, name[:60], allowed)).rstrip('.')
            raise limits.Refusal(400, 'unknown_name', message)
    values = {name: value for name, value in given.items() if value is not None}
    if not is_detector:
        return Parameters(
            class_map=_choice('class_map', values.get('class_map', 'png'), MAPS), score_map=_flag(values)
        )
    masks = _choice('masks', values.get('masks', 'rle' if gives_masks else 'none'), MASKS)
    if masks != 'none' and not gives_masks:
        raise _bad('masks', masks, "'none', for this model gives no masks")
    threshold = values.get('score_threshold', 0.0)
    if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not 0 <= threshold <= 1:
        raise _bad('score_threshold', threshold, 'a number from 0 to 1')
    most = values.get('max_detections')
    if most is not None and (isinstance(most, bool) or not isinstance(most, int) or most < 1):
        raise _bad('max_detections', most, 'a whole number of 1 or more')
    return Parameters(float(threshold), most, masks)


def _choice(name: str, value: Any, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise _bad(name, value, ', '.join(map(repr, allowed)))
    return str(value)


def _flag(values: Mapping[str, Any]) -> bool:
    value = values.get('score_map', False)
    if not isinstance(value, bool):
        raise _bad('score_map', value, 'true or false')
    return value


def _bad(name: str, value: Any, allowed: str) -> limits.Refusal:
    shown = reprlib.repr(value)  # short, and never too deep
    return limits.Refusal(400, 'parameter', f'parameter {name} is {shown}; allowed: {allowed}', parameter=name)
