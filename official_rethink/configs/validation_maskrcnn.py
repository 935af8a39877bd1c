"""Ranges and choices of a two-stage detector's model, losses and matching."""

from typing import Any

from official_rethink.common import errors
from official_rethink.configs import (
    checks,
    families,
    metrics,
    validation_data,
    validation_keypoints,
    validation_model,
    validation_resizing,
)
from official_rethink.data import shards

_MODEL = 'task.model.'
_MODULES = ('backbone', 'decoder', 'rpn_head', 'detection_head')
_IMAGE_MASKS = 'task.export_config.output_image_masks'
_CASCADE = _MODEL + 'roi_sampler.cascade_iou_thresholds'
# The levels that backbones give out, where a detector may read one without a pyramid.
_LEVELS = {'vgg': (0, 4), 'resnet': (2, 5), 'resnext': (2, 5), 'efficientnet': (2, 5)}
# Model Garden has box coder weights for as many stages.
_MOST_STAGES = 3


def check(rules: checks.Rules) -> None:
    """Checks model, losses, matching and what is restored."""
    model = rules.config.task.model
    if model.num_classes < 2:
        raise rules.fail(_MODEL + 'num_classes', '2 or more: the highest class id + 1, background included')
    rules.at_least(1, _MODEL + 'min_level')
    if model.max_level < model.min_level:
        raise rules.clash(_MODEL + 'min_level', _MODEL + 'max_level', 'the first may be at most the second')
    validation_model.check_input_size(rules, model.max_level)
    validation_model.check_backbone(rules)
    _check_decoder(rules)
    _check_heads(rules)
    _check_regions(rules)
    _check_cascade_start(rules)
    _check_losses(rules)
    validation_keypoints.check(rules)
    validation_resizing.check(rules)
    validation_model.check_protocols(rules)
    stages = len(model.roi_sampler.cascade_iou_thresholds or ())
    modules = [name for name in _MODULES if name != 'decoder' or model.decoder.type != 'identity']
    modules += [f'detection_head_{number + 1}' for number in range(stages)]
    modules += ['mask_head'] if model.include_mask else []
    modules += ['keypoint_head'] if model.include_keypoints else []
    validation_model.check_restored_modules(rules, modules)


def check_files(rules: checks.Rules) -> None:
    """Checks that what is read has boxes, and masks and key points where they are learnt.

    Raises:
        UserError: a set without boxes, or whose objects have no masks or key points.
    """
    validation_model.check_files(rules)
    validation_keypoints.check_files(rules)
    if not rules.config.task.model.include_mask:
        return
    for part in validation_data.parts(rules.config.task):
        if part == 'pseudo_data':
            continue  # `pseudo_labels/manifest.py` says what is wrong with those
        for path in validation_data._descriptions(rules, part) if getattr(rules.config.task, part).input_path else ():
            record = next((record for record in shards.read(path) if record.annotations), None)
            if record is not None and any(one.mask_png is None for one in record.annotations):
                raise errors.UserError(
                    f"the objects of task.{part} ('{path}') have no masks, but task.model.include_mask is true; make "
                    'the set with `prepare coco --include_masks` or `prepare scenes`, or set '
                    'task.model.include_mask=false.'
                )


def best_metrics(task: Any) -> dict[str, str]:
    """The numbers its evaluation reports, and which way each is better; without the truth it has no loss."""
    names = metrics.coco_metric_names()
    if task.model.include_mask:
        names = [*names, *(f'mask_{name}' for name in names)]
    if task.model.include_keypoints:
        names = [*names, *metrics.keypoint_metric_names()]
    per_class = {'PerCategory/': families.HIGHER} if task.per_category_metrics else {}
    return dict.fromkeys(names, families.HIGHER) | validation_model.voc_metrics(task) | per_class


def _check_decoder(rules: checks.Rules) -> None:
    """A pyramid, or one level of the backbone as it is: the region proposal network is the same on every level."""
    model, key = rules.config.task.model, _MODEL + 'decoder.type'
    if model.decoder.type != 'identity':
        rules.choice(key, ('fpn', 'nasfpn', 'identity'))
        return
    if model.min_level != model.max_level:
        raise rules.clash(
            key, _MODEL + 'min_level', "without a pyramid, 'fpn' or 'nasfpn', min_level and max_level are one level"
        )
    first, last = _LEVELS.get(model.backbone.type, (model.min_level, model.max_level))
    if not first <= model.min_level <= last:
        raise rules.clash(
            _MODEL + 'min_level',
            _MODEL + 'backbone.type',
            f'without a pyramid it is a level of the backbone, {first} to {last}',
        )


def _check_heads(rules: checks.Rules) -> None:
    model = rules.config.task.model
    counts = ('rpn_head.num_convs', 'detection_head.num_convs', 'detection_head.num_fcs')
    rules.at_least(0, *(_MODEL + key for key in counts))
    rules.at_least(1, _MODEL + 'rpn_head.num_filters', _MODEL + 'detection_head.num_filters')
    rules.at_least(1, _MODEL + 'detection_head.fc_dims', _MODEL + 'anchor.num_scales')
    rules.positive(_MODEL + 'anchor.anchor_size', _MODEL + 'anchor.octaves')
    ratios = model.anchor.aspect_ratios
    if not ratios or min(ratios) <= 0:
        raise rules.fail(_MODEL + 'anchor.aspect_ratios', 'at least one number, all over 0')
    if not model.include_mask:
        if rules.value(_IMAGE_MASKS):
            raise rules.clash(_IMAGE_MASKS, _MODEL + 'include_mask', 'without masks there are none to give out')
        return
    for part in ('mask_head', 'mask_sampler', 'mask_roi_aligner'):
        if getattr(model, part) is None:
            raise rules.clash(_MODEL + part, _MODEL + 'include_mask', 'masks need it')
    rules.at_least(1, _MODEL + 'mask_head.upsample_factor', _MODEL + 'mask_sampler.num_sampled_masks')
    rules.at_least(2, 'task.train_data.mask_crop_size')
    if 'pseudo_data' in checks.fields(rules.config.task):
        ours, theirs = 'task.pseudo_data.mask_crop_size', 'task.train_data.mask_crop_size'
        if rules.value(ours) != rules.value(theirs):
            raise rules.clash(ours, theirs, 'their masks share a batch, so the two have to be equal')
    if model.mask_sampler.num_sampled_masks > model.roi_sampler.num_sampled_rois:
        raise rules.clash(
            _MODEL + 'mask_sampler.num_sampled_masks',
            _MODEL + 'roi_sampler.num_sampled_rois',
            'masks are taken from the sampled regions, so the first may be at most the second',
        )


def _check_regions(rules: checks.Rules) -> None:
    model, name = rules.config.task.model, _MODEL + 'roi_sampler.'
    rules.at_least(1, name + 'num_sampled_rois', _MODEL + 'roi_generator.num_proposals')
    thresholds = ('foreground_iou_threshold', 'background_iou_high_threshold', 'background_iou_low_threshold')
    rules.share(name + 'foreground_fraction', *(name + key for key in thresholds))
    cascade = list(model.roi_sampler.cascade_iou_thresholds or ())
    if len(cascade) >= _MOST_STAGES or any(not 0 < threshold < 1 for threshold in cascade):
        raise rules.fail(_CASCADE, f'at most {_MOST_STAGES - 1} IoU over 0 and under 1, of the stages behind the first')
    agnostic = _MODEL + 'detection_head.class_agnostic_bbox_pred'
    if cascade and not model.detection_head.class_agnostic_bbox_pred:
        raise rules.clash(_CASCADE, agnostic, 'a cascade hands boxes on, so it needs one a region: true')
    if not model.detection_generator.apply_nms:
        raise rules.fail(_MODEL + 'detection_generator.apply_nms', 'true; evaluation needs final boxes')


def _check_cascade_start(rules: checks.Rules) -> None:
    task, name = rules.config.task, 'task.cascade.'
    rules.at_least(0, name + 'base_steps_before_end', name + 'first_step')
    if not task.cascade.first_step:
        return
    key = name + ('base_steps_before_end' if task.cascade.base_steps_before_end else 'first_step')
    if not task.model.roi_sampler.cascade_iou_thresholds:
        raise rules.clash(key, _CASCADE, 'there are no further stages that could begin to train; name their IoU')
    if task.cascade.first_step >= rules.config.trainer.train_steps:
        raise rules.clash(
            name + 'first_step', 'trainer.train_steps', 'the run ends before the further stages train; a smaller first'
        )


def _check_losses(rules: checks.Rules) -> None:
    name = 'task.losses.'
    weights = ('rpn_score_weight', 'rpn_box_weight', 'frcnn_class_weight', 'frcnn_box_weight', 'mask_weight')
    rules.at_least(0, name + 'l2_weight_decay', *(name + key for key in weights))
    rules.positive(name + 'rpn_huber_loss_delta', name + 'frcnn_huber_loss_delta', name + 'loss_weight')
    unused = {'class_weights': None, 'use_binary_cross_entropy': False, 'loss_top_k_percent': 1.0}
    for end, default in unused.items():
        key = end if end == 'class_weights' else f'frcnn_class_{end}'
        if rules.value(name + key) != default:
            raise rules.fail(name + key, f'{default!r}; the loss is the mean cross entropy over classes')
    matching = rules.config.task.matching
    name = 'task.matching.'
    rules.share(name + 'match_threshold', name + 'unmatched_threshold', name + 'positive_fraction')
    rules.at_least(1, name + 'num_samples')
    if matching.unmatched_threshold > matching.match_threshold:
        raise rules.clash(
            name + 'unmatched_threshold', name + 'match_threshold', 'the first may be at most the second'
        )
