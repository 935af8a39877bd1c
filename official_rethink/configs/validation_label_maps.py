"""Checks of the sets a segmentation reads: label maps there, something labelled, sizes that evaluation holds."""

from collections.abc import Mapping
from typing import Any

from official_rethink.common import errors
from official_rethink.configs import checks


def check(rules: checks.Rules, part: str, descriptions: Mapping[str, Mapping[str, Any]]) -> None:
    """Checks one part of the data.

    Args:
        rules: of the config.
        part: as 'validation_data'; a store of pseudo labels has checks of its own.
        descriptions: path to description, of the sets it reads; shards of other writers have none.

    Raises:
        UserError: a set without label maps, one in which no pixel is labelled, or originals over the padded size.
    """
    if part == 'pseudo_data':
        return
    key, data = f'task.{part}.', getattr(rules.config.task, part)
    for path, description in descriptions.items():
        if not description.get('label_maps'):
            place = rules.where(key + 'input_path')
            raise errors.UserError(
                f"{key}input_path is '{data.input_path}' (set in {place}), but '{path}' has no label maps; make a set "
                'of them with `prepare voc`, or `prepare scenes --kind=segmentation`.'
            )
        if not any(description['pixels_per_category'].values()):
            raise rules.fail(key + 'input_path', f'a set with labelled pixels; all {path} holds is void')
    if data.is_training:
        return
    size, known = data.groundtruth_padded_size, [d['image_sizes']['max'] for d in descriptions.values()]
    if size is None and not known:
        raise rules.fail(
            key + 'groundtruth_padded_size',
            '[height, width] of the largest image, as the shards have no description that tells it',
        )
    largest = [max(sides) for sides in zip(*known, strict=True)]
    if size is not None and any(side < need for side, need in zip(size, largest, strict=False)):
        raise rules.fail(key + 'groundtruth_padded_size', f'null, or at least {largest}, the largest image')
