"""Ranges and choices of a classifier's model, losses and augmentation."""

from typing import Any

from official_rethink.common import errors
from official_rethink.configs import checks, families, validation_model

POLICIES = ('', 'autoaugment', 'randaugment')
RESIZES = ('bicubic', 'bilinear')
LABELS = ('soft', 'hard')
MODULES = ('backbone', 'head')
MAX_MAGNITUDE = 30.0
_DATA = ('train_data', 'pseudo_data', 'validation_data', 'test_data')
_MODEL = 'task.model.'
_PYRAMIDS = ('spinenet', 'spinenet_mobile')  # they give a detector's levels and no classifier's features


def check(rules: checks.Rules) -> None:
    """Checks model, losses, what is restored, and how images are cropped and distorted."""
    task = rules.config.task
    size = list(task.model.input_size)
    if len(size) != 3 or size[2] != 3 or min(size) < 1:
        raise rules.fail(_MODEL + 'input_size', '[height, width, 3]')
    if task.model.num_classes < 2:
        raise rules.fail(_MODEL + 'num_classes', '2 or more: the number of classes')
    if task.model.output_softmax:
        raise rules.fail(_MODEL + 'output_softmax', 'false; the loss takes logits')
    if task.model.add_head_batch_norm:
        raise rules.fail(_MODEL + 'add_head_batch_norm', "false; checkpoints' module 'head' would not hold it")
    if task.model.backbone.type in _PYRAMIDS:
        raise rules.fail(_MODEL + 'backbone.type', 'a backbone that is no feature pyramid')
    validation_model.check_backbone(rules)
    validation_model.check_restored_modules(rules, MODULES)
    rules.below_one(_MODEL + 'dropout_rate', 'task.losses.label_smoothing')
    rules.at_least(0, 'task.losses.l2_weight_decay')
    rules.at_least(2, 'task.top_k')
    for part in _DATA:
        if part in checks.fields(task):
            check_data(rules, f'task.{part}.')
    if 'pseudo_data' in checks.fields(task):
        rules.choice('task.pseudo_data.labels', LABELS)
        rules.positive('task.pseudo_data.temperature', 'task.pseudo_data.images_per_class')


def best_metrics(task: Any) -> dict[str, str]:
    """The numbers a classifier's evaluation reports, and which way each is better."""
    higher = ['accuracy', f'top_{task.top_k}_accuracy']
    return dict.fromkeys(higher, families.HIGHER) | {'cls_loss': families.LOWER}


def check_data(rules: checks.Rules, name: str) -> None:
    """Checks one data part whose key, with a dot, is `name`."""
    rules.choice(name + 'resize', RESIZES)
    rules.positive(name + 'crop_fraction')
    rules.share(name + 'crop_fraction')
    key = name + 'augmentation.'
    if rules.value(key + 'policy') not in POLICIES:
        raise errors.unknown_name(key + 'policy', rules.value(key + 'policy'), POLICIES, rules.where(key + 'policy'))
    rules.at_least(1, key + 'randaugment_layers')
    magnitude = rules.value(key + 'randaugment_magnitude')
    if not 0 <= magnitude <= MAX_MAGNITUDE:
        raise rules.fail(key + 'randaugment_magnitude', f'from 0 to {MAX_MAGNITUDE:g}')
    rules.share(key + 'area_min', key + 'area_max', key + 'flip_probability')
    rules.positive(*(key + field for field in ('area_min', 'aspect_ratio_min', 'aspect_ratio_max')))
    for kind in ('area', 'aspect_ratio'):
        if rules.value(f'{key}{kind}_min') > rules.value(f'{key}{kind}_max'):
            raise rules.clash(f'{key}{kind}_min', f'{key}{kind}_max', 'the first may be at most the second')
    rules.at_least(0, key + 'mixup_alpha')
