"""Ranges and choices of joint training, and the files of the images it classifies."""

from typing import Any

from official_rethink.configs import checks, validation_classification, validation_data, validation_model

_JOINT = 'task.joint.'
TRAIN, VALIDATION = 'classification_data', 'classification_validation_data'
_PYRAMIDS = ('spinenet', 'spinenet_mobile')


def check(rules: checks.Rules) -> None:
    """Checks the detector, then what classification adds."""
    task = rules.config.task
    validation_model.check(rules, extra_modules=['classification'])
    kind = task.model.backbone.type
    if kind in _PYRAMIDS:
        raise rules.fail('task.model.backbone.type', 'a backbone that is no feature pyramid, since it classifies too')
    rules.at_least(0, _JOINT + 'detection_weight', _JOINT + 'classification_weight')
    if task.joint.detection_weight == 0:
        raise rules.fail(_JOINT + 'detection_weight', 'over 0; classification alone has experiments of its own')
    rules.at_least(2, _JOINT + 'num_classes', _JOINT + 'top_k')
    rules.below_one(_JOINT + 'dropout_rate', _JOINT + 'label_smoothing')
    size = list(task.joint.input_size)
    if len(size) != 3 or size[2] != 3 or min(size) < 1:
        raise rules.fail(_JOINT + 'input_size', '[height, width, 3]')
    for part in (TRAIN, VALIDATION):
        validation_data._check_part(rules, part)
        validation_classification.check_data(rules, f'task.{part}.')


def best_metrics(task: Any) -> dict[str, str]:
    """A detector's; the classifier chooses no checkpoint."""
    return validation_model.best_metrics(task)


def check_files(rules: checks.Rules) -> None:
    """Checks that the images to classify are there, carry classes, and no more of them than the head has."""
    validation_model.check_files(rules)
    task = rules.config.task
    for part in (TRAIN, VALIDATION):
        if part == VALIDATION and not task.classification_validation_data.input_path:
            continue
        key = f'task.{part}.input_path'
        for description in validation_data._descriptions(rules, part).values():
            ids = [category['id'] for category in description.get('categories', [])]
            if not ids:
                raise rules.fail(key, 'shards of images with one class each; these carry none')
            if max(ids) > task.joint.num_classes:
                raise rules.fail(_JOINT + 'num_classes', f'{max(ids)}, the highest class id of {key}')
