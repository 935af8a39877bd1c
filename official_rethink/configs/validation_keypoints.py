"""Ranges and choices of the key-point branch, and whether the data has what it learns."""

import dataclasses

from official_rethink.common import errors
from official_rethink.configs import checks, validation_data
from official_rethink.data import keypoints

_MODEL = 'task.model.'
_WANTED = _MODEL + 'include_keypoints'
_PREPARED = 'make the set with `prepare coco --include_keypoints` or `prepare scenes --num_classes=1`'


def check(rules: checks.Rules) -> None:
    """Checks the branch's settings."""
    task, images = rules.config.task, 'task.train_data.keep_images_without_keypoints'
    if not task.model.include_keypoints:
        if not task.train_data.keep_images_without_keypoints:
            raise rules.clash(images, _WANTED, 'only a training of key points can leave out what has none')
        return
    head = _MODEL + 'keypoint_head.'
    rules.at_least(0, head + 'num_convs')
    rules.at_least(1, head + 'num_keypoints', head + 'num_filters', head + 'upsample_factor')
    sampled, aligned = _MODEL + 'keypoint_sampler.num_sampled_keypoints', _MODEL + 'keypoint_roi_aligner.'
    rules.at_least(1, sampled, aligned + 'crop_size')
    rules.share(aligned + 'sample_offset')
    rules.at_least(0, 'task.losses.keypoint_weight')
    if task.model.keypoint_sampler.num_sampled_keypoints > task.model.roi_sampler.num_sampled_rois:
        raise rules.clash(
            sampled,
            _MODEL + 'roi_sampler.num_sampled_rois',
            'key points are learnt in sampled regions, so the first may be at most the second',
        )


def check_files(rules: checks.Rules) -> None:
    """Checks that every labelled set has the key points that the head learns, all sets the same.

    Raises:
        UserError: a set without key points, with another number of them, or with others than the training set's.
    """
    task = rules.config.task
    if not task.model.include_keypoints:
        return
    first: tuple[str, keypoints.Layout] | None = None
    for part in validation_data.parts(task):
        # What is wrong with pseudo labels, `pseudo_labels/manifest.py` says.
        if part == 'pseudo_data' or not getattr(task, part).input_path:
            continue
        for path, description in validation_data._descriptions(rules, part).items():
            place = f"task.{part} ('{path}')"
            layout = keypoints.of_description(description)
            if layout is None:
                raise errors.UserError(
                    f'the objects of {place} have no key points, or those of each class are others, but {_WANTED} is '
                    f'true; {_PREPARED}, or set {_WANTED}=false.'
                )
            _check_number(rules, layout, place)
            layout = dataclasses.replace(layout, sigmas=(), skeleton=())
            if first is None:
                first = place, layout
            elif layout != first[1]:
                raise errors.UserError(
                    f'the key points of {place} are not those of {first[0]}: {_named(layout)} and {_named(first[1])}; '
                    'names, pairs and classes have to be the same.'
                )


def _check_number(rules: checks.Rules, layout: keypoints.Layout, place: str) -> None:
    key, found = _MODEL + 'keypoint_head.num_keypoints', len(layout.names)
    if rules.value(key) != found:
        names = ', '.join(layout.names[:6]) + (', ...' if found > 6 else '')
        raise rules.fail(key, f'{found}, as many as the objects of {place} have: {names}')


def _named(layout: keypoints.Layout) -> str:
    names = ', '.join(layout.names[:6]) + (', ...' if len(layout.names) > 6 else '')
    return f'[{names}] of classes {list(layout.categories)}'
