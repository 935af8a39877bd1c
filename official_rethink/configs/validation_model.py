"""Ranges and choices of a detector's model and losses."""

from collections.abc import Mapping, Sequence
from typing import Any

from official.vision.modeling.backbones import resnet, spinenet, spinenet_mobile

from official_rethink.common import errors
from official_rethink.configs import (
    checks,
    efficientnet,
    families,
    metrics,
    normalization,
    published,
    validation_data,
    validation_resizing,
)

_MODEL = 'task.model.'
_NMS_VERSIONS = ('v1', 'v2', 'batched')
# SpineNet's blocks reach down to this level whatever levels it gives out.
_SPINENET_DEEPEST_LEVEL = 7
_SPINENETS = ('spinenet', 'spinenet_mobile')
_MODEL_IDS = {
    'resnet': [str(name) for name in resnet.RESNET_SPECS],
    'efficientnet': list(efficientnet.SCALES),
    'spinenet': [*spinenet.SCALING_MAP, *published.RELEASE_SPINENETS],
    'spinenet_mobile': list(spinenet_mobile.SCALING_MAP),
    'resnext': ['50', '101', '152'],
    'vgg': ['11', '13', '16', '19'],
}
ACTIVATIONS = ('relu', 'relu6', 'swish', 'hard_swish', 'gelu', 'mish', 'leaky_relu')


def check(rules: checks.Rules, extra_modules: Sequence[str] = ()) -> None:
    """Checks model, losses and what is restored, of which a derived family may have more modules."""
    _check_levels(rules)
    check_backbone(rules)
    _check_decoder(rules)
    _check_head(rules)
    _check_detections(rules)
    _check_losses(rules)
    check_protocols(rules)
    validation_resizing.check(rules)
    identity = rules.config.task.model.decoder.type == 'identity'
    modules = ['backbone', 'head'] if identity else ['backbone', 'decoder', 'head']
    check_restored_modules(rules, [*modules, *extra_modules])


def check_files(rules: checks.Rules) -> None:
    """Checks that labelled sets have boxes.

    Raises:
        UserError: a set without a single one, such as label maps or classes of whole images.
    """
    task = rules.config.task
    for part in ('train_data', 'validation_data', 'test_data'):
        for path, found in validation_data._descriptions(rules, part).items() if getattr(task, part).input_path else ():
            # A set without any label may be one that should not be measured on at all, which is told elsewhere.
            labelled = part == 'train_data' or any(found.get('image_categories', ()))
            if labelled and found.get('num_instances') == 0:
                raise errors.UserError(
                    f"the images of task.{part} ('{path}') have no box at all, and a detector learns boxes; "
                    '`prepare coco` and `prepare scenes` make sets with boxes.'
                )
            if part == 'train_data' and task.train_data.skip_difficult:
                _check_difficult(path, found)


def _check_difficult(path: str, description: Mapping[str, Any]) -> None:
    if 0 < description.get('num_instances', 0) == description.get('num_difficult', 0):
        raise errors.UserError(
            f"every object of task.train_data ('{path}') is difficult, and task.train_data.skip_difficult=true leaves "
            'those out of training; set it to false, or train on another set.'
        )


def best_metrics(task: Any) -> dict[str, str]:
    """The numbers a detector's evaluation reports, and which way each is better."""
    known = dict.fromkeys(metrics.coco_metric_names(), families.HIGHER) | dict.fromkeys(metrics.LOSSES, families.LOWER)
    return known | voc_metrics(task) | ({'PerCategory/': families.HIGHER} if task.per_category_metrics else {})


def voc_metrics(task: Any) -> dict[str, str]:
    """PASCAL VOC's numbers, where a detector is measured by them."""
    return {name: families.HIGHER for protocol, name in metrics.VOC.items() if protocol in task.evaluation_protocols}


def check_protocols(rules: checks.Rules) -> None:
    """Checks by what a detector is measured."""
    key = 'task.evaluation_protocols'
    names = list(rules.value(key))
    for name in names:
        if name not in metrics.PROTOCOLS:
            raise errors.unknown_name(key, name, metrics.PROTOCOLS, rules.where(key))
    if 'coco' not in names or len(set(names)) < len(names):
        raise rules.fail(key, f"'coco', and with it any of {', '.join(metrics.VOC)}, each once")


def _check_levels(rules: checks.Rules) -> None:
    model = rules.config.task.model
    if model.num_classes < 2:
        raise rules.fail(_MODEL + 'num_classes', '2 or more: the highest class id + 1, background included')
    rules.at_least(2, _MODEL + 'min_level')
    if model.max_level < model.min_level:
        raise rules.clash(_MODEL + 'min_level', _MODEL + 'max_level', 'the first may be at most the second')
    deepest = model.max_level
    if model.backbone.type in _SPINENETS:
        deepest = max(deepest, _SPINENET_DEEPEST_LEVEL)
    check_input_size(rules, deepest)


def check_input_size(rules: checks.Rules, deepest: int) -> None:
    """Checks that images have three channels and sides that the deepest level divides."""
    size, key = list(rules.config.task.model.input_size), _MODEL + 'input_size'
    if len(size) != 3 or size[2] != 3 or min(size) < 1:
        raise rules.fail(key, '[height, width, 3]')
    stride = 2**deepest
    for side in size[:2]:
        if side % stride:
            below, above = side // stride * stride, -(-side // stride) * stride
            near = f'{below} or {above}' if below else str(above)
            raise rules.fail(
                key,
                f'sides that are multiples of {stride} (level {deepest}), such as {near} instead of {side}',
            )


def check_backbone(rules: checks.Rules) -> None:
    """Checks kind and options of the backbone, and the normalisation in it."""
    model, name = rules.config.task.model, _MODEL + 'backbone.'
    kind = model.backbone.type
    if kind is None:
        branches = [branch for branch in checks.fields(model.backbone) if branch != 'type']
        raise errors.unknown_name(name + 'type', None, branches, rules.where(name + 'type'))
    branch = f'{name}{kind}.'
    names = checks.fields(model.backbone.get())
    if kind in _MODEL_IDS:
        key = branch + 'model_id'
        if str(rules.value(key)) not in _MODEL_IDS[kind]:
            raise errors.unknown_name(key, rules.value(key), _MODEL_IDS[kind], rules.where(key))
    if kind == 'resnet':
        rules.choice(branch + 'stem_type', ('v0', 'v1', *published.RESNET_STEMS))
    if kind == 'resnext':
        rules.at_least(1, branch + 'cardinality', branch + 'base_width')
    if 'depth_multiplier' in names:
        rules.positive(branch + 'depth_multiplier')
    rules.below_one(*(branch + field for field in ('stochastic_depth_drop_rate',) if field in names))
    rules.share(*(branch + field for field in ('se_ratio',) if field in names))
    if kind in _SPINENETS:
        for field in ('min_level', 'max_level'):
            if rules.value(branch + field) != getattr(model, field):
                raise rules.clash(_MODEL + field, branch + field, 'with SpineNet they have to be equal')
        if model.max_level > _SPINENET_DEEPEST_LEVEL:
            raise rules.fail(_MODEL + 'max_level', f'at most {_SPINENET_DEEPEST_LEVEL} with SpineNet')
    _check_norm(rules, kind)


def _check_norm(rules: checks.Rules, backbone: str) -> None:
    name = _MODEL + 'norm_activation.'
    rules.choice(name + 'activation', ('relu', 'swish') if backbone in _SPINENETS else ACTIVATIONS)
    rules.below_one(name + 'norm_momentum')
    rules.positive(name + 'norm_epsilon')
    normalization.check(rules)


def _check_decoder(rules: checks.Rules) -> None:
    """SpineNet gives out all levels itself; every other backbone needs a pyramid to get P6 and P7."""
    model = rules.config.task.model
    kind, key = model.decoder.type, _MODEL + 'decoder.type'
    if model.backbone.type in _SPINENETS:
        if kind != 'identity':
            rule = "a SpineNet is its own pyramid and needs the decoder 'identity'"
            raise rules.clash(_MODEL + 'backbone.type', key, rule)
        return
    if kind not in ('fpn', 'nasfpn'):
        raise rules.clash(_MODEL + 'backbone.type', key, "it needs the decoder 'fpn' or 'nasfpn'")
    rules.at_least(1, f'{_MODEL}decoder.{kind}.num_filters')
    if kind == 'fpn':
        rules.choice(_MODEL + 'decoder.fpn.fusion_type', ('sum', 'concat'))


def _check_head(rules: checks.Rules) -> None:
    rules.at_least(0, _MODEL + 'head.num_convs')
    rules.at_least(1, _MODEL + 'head.num_filters', _MODEL + 'anchor.num_scales')
    rules.positive(_MODEL + 'anchor.anchor_size')
    ratios = rules.config.task.model.anchor.aspect_ratios
    if not ratios or min(ratios) <= 0:
        raise rules.fail(_MODEL + 'anchor.aspect_ratios', 'at least one number, all over 0')


def _check_detections(rules: checks.Rules) -> None:
    generator, name = rules.config.task.model.detection_generator, _MODEL + 'detection_generator.'
    if not generator.apply_nms:
        raise rules.fail(name + 'apply_nms', 'true; evaluation and pseudo labels need final boxes')
    rules.choice(name + 'nms_version', _NMS_VERSIONS)
    rules.share(name + 'pre_nms_score_threshold', name + 'nms_iou_threshold')
    rules.at_least(1, name + 'pre_nms_top_k', name + 'max_num_detections')
    rules.at_least(0, name + 'soft_nms_sigma')
    if generator.soft_nms_sigma and generator.nms_version != 'v1':
        raise rules.clash(
            name + 'soft_nms_sigma', name + 'nms_version', "only 'v1' has Soft-NMS, others would leave it out"
        )
    weights = generator.box_coder_weights
    if weights is not None and (len(weights) != 4 or min(weights) <= 0):
        raise rules.fail(name + 'box_coder_weights', 'four numbers over 0, or null')


def _check_losses(rules: checks.Rules) -> None:
    name = 'task.losses.'
    rules.share(name + 'focal_loss_alpha')
    rules.at_least(0, name + 'focal_loss_gamma', name + 'box_loss_weight', name + 'l2_weight_decay')
    rules.positive(name + 'huber_loss_delta', name + 'loss_weight')
    matching = rules.config.task.matching
    rules.share('task.matching.match_threshold', 'task.matching.unmatched_threshold')
    if matching.unmatched_threshold > matching.match_threshold:
        name = 'task.matching.'
        raise rules.clash(
            name + 'unmatched_threshold', name + 'match_threshold', 'the first may be at most the second'
        )


def check_restored_modules(rules: checks.Rules, allowed: Sequence[str]) -> None:
    """Model Garden takes any list, and loads nothing when no name in it is one it knows."""
    key = 'task.init_checkpoint_modules'
    modules = rules.value(key)
    names = [modules] if isinstance(modules, str) else list(modules)
    if not names:
        raise rules.fail(key, f"'all', or a list of {', '.join(allowed)}; nothing would be restored")
    if names == ['all']:
        return
    for name in names:
        if name == 'all':
            raise rules.fail(key, "'all' alone, or a list of modules")
        if name not in allowed:
            raise errors.unknown_name(key, name, ['all', *allowed], rules.where(key))
