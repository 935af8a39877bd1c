"""Ranges and choices of a segmentation model, its losses and its inference."""

import math
from typing import Any

from official_rethink.common import errors
from official_rethink.configs import checks, efficientnet, families, validation_model

_MODEL = 'task.model.'
_MODULES = ('backbone', 'decoder', 'head')
_DILATED = ('dilated_efficientnet', 'dilated_resnet')
_BACKBONES = ('efficientnet', 'resnet', 'resnext', *_DILATED)
_RESAMPLINGS = ('centres', 'corners')
_FUSIONS = ('pyramid_fusion', 'deeplabv3plus')
_OUTPUT_STRIDES = (8, 16)
_DILATED_RESNETS = (50, 101, 152, 200)
_DEEPEST_LEVEL = 5  # of a backbone that is not dilated
_SCALES = (0.1, 4.0)
_DATA = ('train_data', 'pseudo_data', 'validation_data', 'test_data')


def check(rules: checks.Rules) -> None:
    """Checks model, losses, inference, and what is restored."""
    model = rules.config.task.model
    if model.num_classes < 2:
        raise rules.fail(_MODEL + 'num_classes', '2 or more: the highest class id + 1, background included')
    if model.num_classes > 255:
        raise rules.fail(_MODEL + 'num_classes', 'at most 255; a label map holds bytes, of which 255 is ignored')
    _check_backbone(rules)
    if model.decoder.type == 'nasfpn':
        _check_nasfpn(rules)
    elif model.decoder.type == 'aspp':
        _check_deeplab(rules)
    else:
        raise errors.unknown_name(
            _MODEL + 'decoder.type', model.decoder.type, ('nasfpn', 'aspp'), rules.where(_MODEL + 'decoder.type')
        )
    _check_head(rules)
    _check_losses(rules)
    _check_inference(rules)
    validation_model.check_restored_modules(rules, _MODULES)
    for part in _DATA:
        if part in checks.fields(rules.config.task):
            _check_padded_size(rules, f'task.{part}.groundtruth_padded_size')


def best_metrics(task: Any) -> dict[str, str]:
    """The numbers a segmentation's evaluation reports, and which way each is better."""
    higher = ['mIoU', 'mIoU_resized', 'pixel_accuracy', 'mean_accuracy']
    if task.per_category_metrics:
        higher.append('PerCategory/')
    return dict.fromkeys(higher, families.HIGHER) | {'model_loss': families.LOWER}


def _check_backbone(rules: checks.Rules) -> None:
    name = _MODEL + 'backbone.'
    kind = rules.config.task.model.backbone.type
    if kind not in _BACKBONES:
        raise errors.unknown_name(name + 'type', kind, _BACKBONES, rules.where(name + 'type'))
    validation_model.check_backbone(rules)
    if kind in _DILATED:
        key = f'{name}{kind}.'
        models = efficientnet.SCALES if kind == 'dilated_efficientnet' else _DILATED_RESNETS
        known = [str(model) for model in models]
        model_id = rules.value(key + 'model_id')
        if str(model_id) not in known:
            raise errors.unknown_name(key + 'model_id', model_id, known, rules.where(key + 'model_id'))
        if rules.value(key + 'output_stride') not in _OUTPUT_STRIDES:
            raise rules.fail(key + 'output_stride', '8 or 16')
    norm = _MODEL + 'decoder_norm_activation.'
    rules.choice(norm + 'activation', validation_model.ACTIVATIONS)
    rules.below_one(norm + 'norm_momentum')
    rules.positive(norm + 'norm_epsilon')


def _check_nasfpn(rules: checks.Rules) -> None:
    model = rules.config.task.model
    if model.backbone.type in _DILATED:
        raise rules.clash(
            _MODEL + 'decoder.type', _MODEL + 'backbone.type', 'a pyramid needs a backbone that gives out every level'
        )
    # NAS-FPN's cell is fixed: five levels, of which the backbone gives the first ones.
    for field, needed in (('min_level', 3), ('max_level', 7)):
        if rules.value(_MODEL + field) != needed:
            raise rules.fail(_MODEL + field, f"{needed} with the decoder 'nasfpn', whose cell joins levels 3 to 7")
    rules.at_least(1, _MODEL + 'decoder.nasfpn.num_filters', _MODEL + 'decoder.nasfpn.num_repeats')
    if model.head.feature_fusion != 'pyramid_fusion':
        raise rules.clash(_MODEL + 'head.feature_fusion', _MODEL + 'decoder.type', "it needs 'pyramid_fusion'")
    if not 0 <= rules.value(_MODEL + 'head.level') <= model.min_level:
        raise rules.fail(_MODEL + 'head.level', f'from 0 to {model.min_level}, the finest level of the pyramid')
    validation_model.check_input_size(rules, model.max_level)


def _check_deeplab(rules: checks.Rules) -> None:
    model = rules.config.task.model
    kind = model.backbone.type
    level = int(math.log2(model.backbone.get().output_stride)) if kind in _DILATED else _DEEPEST_LEVEL
    for key in ('decoder.aspp.level', 'head.level'):
        if rules.value(_MODEL + key) != level and kind in _DILATED:
            stride = f'{_MODEL}backbone.{kind}.output_stride'
            raise rules.clash(_MODEL + key, stride, f'its coarsest level is {level}')
        if rules.value(_MODEL + key) != level:
            raise rules.fail(_MODEL + key, f"{level}, the coarsest level of the backbone '{kind}'")
    rules.at_least(1, _MODEL + 'decoder.aspp.num_filters')
    rules.below_one(_MODEL + 'decoder.aspp.dropout_rate')
    if any(rate < 1 for rate in model.decoder.aspp.dilation_rates):
        raise rules.fail(_MODEL + 'decoder.aspp.dilation_rates', 'whole numbers of 1 or more')
    if model.decoder.aspp.pool_kernel_size is not None:
        raise rules.fail(_MODEL + 'decoder.aspp.pool_kernel_size', 'null, for a mean over the image whatever its size')
    if model.decoder.aspp.spp_layer_version != 'v1':
        raise rules.fail(_MODEL + 'decoder.aspp.spp_layer_version', "'v1'")
    if model.decoder.aspp.output_tensor:
        raise rules.fail(_MODEL + 'decoder.aspp.output_tensor', 'false')
    if model.head.feature_fusion not in (None, 'deeplabv3plus'):
        raise rules.clash(
            _MODEL + 'head.feature_fusion', _MODEL + 'decoder.type', "it needs 'deeplabv3plus', or null for DeepLabv3"
        )
    if model.head.feature_fusion and rules.value(_MODEL + 'head.low_level') not in range(2, level):
        raise rules.fail(_MODEL + 'head.low_level', f'from 2 to {level - 1}')
    rules.at_least(1, _MODEL + 'head.low_level_num_filters')
    validation_model.check_input_size(rules, level)


def _check_head(rules: checks.Rules) -> None:
    name = _MODEL + 'head.'
    rules.at_least(0, name + 'num_convs')
    rules.at_least(1, name + 'num_filters')
    rules.choice(name + 'feature_fusion', _FUSIONS)
    rules.choice(_MODEL + 'pyramid_resampling', _RESAMPLINGS)
    if rules.value(name + 'upsample_factor') != 1:
        raise rules.fail(name + 'upsample_factor', '1; logits are resized where they are read')
    if rules.value(name + 'prediction_kernel_size') % 2 != 1:
        raise rules.fail(name + 'prediction_kernel_size', 'an odd number')
    if rules.value(name + 'logit_activation') is not None:
        raise rules.fail(name + 'logit_activation', 'null; the loss takes logits')
    if rules.value(_MODEL + 'mask_scoring_head') is not None:
        raise rules.fail(_MODEL + 'mask_scoring_head', "null; pseudo labels are scored by the pixels' probabilities")


def _check_losses(rules: checks.Rules) -> None:
    name = 'task.losses.'
    losses = rules.config.task.losses
    rules.positive(name + 'loss_weight', name + 'top_k_percent_pixels')
    rules.share(name + 'top_k_percent_pixels')
    rules.below_one(name + 'label_smoothing')
    rules.at_least(0, name + 'label_smoothing', name + 'l2_weight_decay')
    weights, classes = losses.class_weights, rules.value(_MODEL + 'num_classes')
    if weights and len(weights) != classes:
        raise rules.fail(name + 'class_weights', f'{classes} numbers, one for each class and the background, or none')
    if weights and (min(weights) < 0 or max(weights) == 0):
        raise rules.fail(name + 'class_weights', 'numbers of 0 or more, at least one of them over 0')


def _check_inference(rules: checks.Rules) -> None:
    key = 'task.inference.scales'
    scales = rules.value(key)
    low, high = _SCALES
    if not scales or not all(low <= scale <= high for scale in scales):
        raise rules.fail(key, f'at least one number, each from {low:g} to {high:g}')
    if len(set(scales)) != len(scales):
        raise rules.fail(key, 'numbers that differ from each other')


def _check_padded_size(rules: checks.Rules, key: str) -> None:
    size = rules.value(key)
    if size is not None and (len(size) != 2 or min(size) < 1):
        raise rules.fail(key, '[height, width] in pixels, or null')
