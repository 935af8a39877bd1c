"""Checks of what an experiment reads: its values before, its files just before training starts."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from official_rethink.augment import policies
from official_rethink.common import errors, files, whole_checkpoints
from official_rethink.configs import (
    checks,
    families,
    types,
    validation_label_maps,
    validation_resizing,
    validation_service,
)
from official_rethink.data import shards

_PARTS = ('train_data', 'pseudo_data', 'validation_data', 'test_data')
_TRAINING = ('train_data', 'pseudo_data', 'classification_data')
_FURTHER = ('classification_data', 'classification_validation_data')
_BESIDE_SHARDS = ('.json', '.jsonl', '.tmp')
_COMPARED = 3  # images that two sets seem to share, whose pixels are compared


def parts(task: Any) -> list[str]:
    """Names of the data parts a task has."""
    return [part for part in _PARTS if part in checks.fields(task)]


def further_parts(task: Any) -> list[str]:
    """Names of the data parts that only some families have and read in steps of their own."""
    return [part for part in _FURTHER if part in checks.fields(task)]


def check(rules: checks.Rules) -> None:
    """Checks the values of every data part and of the loss balance."""
    task = rules.config.task
    for part in parts(task):
        _check_part(rules, part)
    if 'pseudo_data' in parts(task):
        rules.share('task.pseudo_data.score_threshold')
        rules.at_least(0, 'task.balance.alpha')
        rules.below_one('task.balance.decay')
        if 'abort_after_empty_steps' in checks.fields(task.pseudo_data):
            rules.at_least(1, 'task.pseudo_data.abort_after_empty_steps')
        keys = [f'task.{part}.max_num_instances' for part in _TRAINING[:2]]
        detects = 'max_num_instances' in checks.fields(task.pseudo_data)
        if detects and rules.value(keys[0]) != rules.value(keys[1]):
            raise rules.clash(keys[1], keys[0], 'their examples share a batch, so the two have to be equal')


def _check_part(rules: checks.Rules, part: str) -> None:
    name, data = f'task.{part}.', getattr(rules.config.task, part)
    training = part in _TRAINING
    if data.global_batch_size < 1:
        other = ' human and pseudo examples are both needed in every batch' if part == 'pseudo_data' else ''
        raise rules.fail(name + 'global_batch_size', f'1 or more{";" + other if other else ""}')
    if bool(data.is_training) != training:
        raise rules.fail(name + 'is_training', str(training).lower())
    if training and not data.drop_remainder:
        raise rules.fail(name + 'drop_remainder', 'true; the shapes of a training step are fixed')
    if data.tfds_name:
        raise rules.fail(name + 'tfds_name', "''; data is read from input_path, as `prepare` writes it")
    validation_service.check(rules, part, training)
    fields = checks.fields(data)
    counts = ('max_num_instances', 'shuffle_buffer_size', 'cycle_length')
    rules.at_least(1, *(name + key for key in counts if key in fields))
    if 'augmentation' in fields and isinstance(data.augmentation, types.Augmentation):
        _check_augmentation(rules, name, data.augmentation)


def _check_augmentation(rules: checks.Rules, name: str, augmentation: types.Augmentation) -> None:
    key = name + 'augmentation.policy'
    if augmentation.policy not in policies.POLICIES:
        raise errors.unknown_name(key, augmentation.policy, policies.POLICIES, rules.where(key))
    try:
        policies.get_policy(augmentation.policy, **augmentation.overrides())
    except errors.UserError as error:
        places = {rules.where(f'{name}augmentation.{field}') for field in augmentation.overrides()}
        raise errors.UserError(f'{name}augmentation (set in {", ".join(sorted(places))}): {error}') from error
    validation_resizing.check_draw_is_taken(rules, name, augmentation)


def validate_data(params: Any, sources: Mapping[str, str] | None = None) -> None:
    """Checks the files an experiment reads: there, complete, of the right classes, and disjoint.

    Shards that something else than `prepare` wrote have no description; of those only the files are
    looked for.

    Raises:
        UserError: the first thing that is wrong.
    """
    rules = checks.Rules(params, checks.Where(sources))
    task = params.task
    found = {}
    for part in parts(task):
        if part == 'test_data' and not task.test_data.input_path:
            continue
        found[part] = _descriptions(rules, part)
    for part, descriptions in found.items():
        for path, description in descriptions.items():
            _check_classes(rules, part, path, description)
            if not families.of(task).background and part != 'pseudo_data':
                _check_class_labels(part, path)
        _check_fills_a_batch(rules, part, descriptions)
        if 'groundtruth_padded_size' in checks.fields(getattr(task, part)):
            validation_label_maps.check(rules, part, descriptions)
    for part in (*parts(task), *further_parts(task)):
        validation_service.check_answers(rules, part)
    labelled = _check_split(rules, found['train_data'])
    for part in ('validation_data', 'test_data'):
        if part in found:
            _check_disjoint(rules, part, labelled, found['train_data'], found[part])
    if 'pseudo_data' in found:
        manifest = manifest_path(task.pseudo_data)
        if not files.exists(manifest):
            raise errors.UserError(
                f"no manifest of pseudo labels at '{manifest}'; task.pseudo_data.input_path is "
                f"'{task.pseudo_data.input_path}'. `python -m official_rethink.pseudo_label` writes both."
            )
    check_files = families.of(task).check_files
    if check_files is not None:
        check_files(rules)
    _check_checkpoint(rules)


def manifest_path(data: types.PseudoDataConfig) -> str:
    """The manifest of a pseudo-label store: as set, or beside the shards."""
    return data.manifest or os.path.join(os.path.dirname(_patterns(data.input_path)[0]), 'manifest.json')


def _patterns(input_path: str) -> list[str]:
    return [pattern.strip() for pattern in input_path.split(',') if pattern.strip()] or ['']


def _is_shard(path: str) -> bool:
    """Whether a file can be a shard: 'data/train*' matches the description beside them too."""
    return not path.endswith(_BESIDE_SHARDS) and not tf.io.gfile.isdir(path)


def _descriptions(rules: checks.Rules, part: str) -> dict[str, dict[str, Any]]:
    """Description path -> description of every set a part reads; raises if a pattern matches no file."""
    key = f'task.{part}.input_path'
    found = {}
    for pattern in _patterns(rules.value(key)):
        if not pattern or not any(map(_is_shard, tf.io.gfile.glob(pattern))):
            folder = os.path.dirname(pattern) or '.'
            there = '' if tf.io.gfile.isdir(folder) else f"; there is no folder '{folder}'"
            raise rules.fail(key, f'a pattern that matches shards, such as data/train*{there}')
        try:
            path = shards.find_description(pattern)
        except errors.UserError:
            continue
        found[path] = shards.load_description(path)
    return found


def _check_classes(rules: checks.Rules, part: str, path: str, description: Mapping[str, Any]) -> None:
    ids = [category['id'] for category in description.get('categories', [])]
    if 'num_classes' not in checks.fields(rules.config.task.model):
        return  # its labels are not used
    num_classes = rules.value('task.model.num_classes')
    least = max(ids, default=0) + families.of(rules.config.task).background
    if ids and num_classes < least:
        place = rules.where('task.model.num_classes')
        raise errors.UserError(
            f'task.model.num_classes is {num_classes} (set in {place}), but the data of task.{part} '
            f"('{path}') has class ids up to {max(ids)}; set it to {least}."
        )


def _check_class_labels(part: str, path: str) -> None:
    record = next(shards.read(path))
    if record.class_label is None:
        raise errors.UserError(
            f"the images of task.{part} ('{path}') have no class of their own; make a set for classification with "
            '`prepare imagenet`, or `prepare scenes --kind=classification`.'
        )


def _check_fills_a_batch(rules: checks.Rules, part: str, descriptions: Mapping[str, Mapping[str, Any]]) -> None:
    """An evaluation of whole batches needs one; training goes round its images until a batch is full."""
    data = getattr(rules.config.task, part)
    if data.is_training or not data.drop_remainder or data.split_file or not descriptions:
        return
    images = sum(len(description['image_ids']) for description in descriptions.values())
    if images < data.global_batch_size:
        raise rules.fail(
            f'task.{part}.global_batch_size',
            f"at most {images}, the images of '{data.input_path}', of which only whole batches are evaluated",
        )


def _check_split(rules: checks.Rules, descriptions: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """Returns the ids of the images that are trained on, as far as descriptions tell."""
    known = {str(image_id) for description in descriptions.values() for image_id in description['image_ids']}
    data = rules.config.task.train_data
    if not data.split_file:
        return known
    content, name = files.read_json(data.split_file), f"task.train_data.split_file '{data.split_file}'"
    if not isinstance(content, dict) or not isinstance(content.get('image_ids'), list):
        raise errors.UserError(f'{name} is no split file: it has no list image_ids.')
    chosen = {str(image_id) for image_id in content['image_ids']}
    if not chosen:
        raise errors.UserError(f'{name} names no image.')
    unknown = sorted(chosen - known)
    if known and unknown:
        raise errors.UserError(
            f"{name} names {len(unknown)} images that task.train_data.input_path '{data.input_path}' does "
            f"not have, e.g. '{unknown[0]}'; was it made from another data set?"
        )
    return chosen


def _check_disjoint(
    rules: checks.Rules,
    part: str,
    labelled: set[str],
    train: Mapping[str, Mapping[str, Any]],
    held_out: Mapping[str, Mapping[str, Any]],
) -> None:
    """Two sets may number their images alike; what they may not share is an image."""
    ids = {str(image_id) for description in held_out.values() for image_id in description['image_ids']}
    shared = sorted(labelled & ids)
    if not shared:
        return
    sample = shared[:_COMPARED]
    ours, theirs = _encoded(train, sample), _encoded(held_out, sample)
    equal = [image_id for image_id in sample if ours[image_id] == theirs[image_id]]
    if equal:
        raise errors.UserError(
            f'task.train_data and task.{part} share images: {len(shared)} ids occur in both, e.g. '
            f"'{equal[0]}'; what a model was trained on must not measure it. task.train_data.input_path is "
            f"'{rules.config.task.train_data.input_path}', task.{part}.input_path "
            f"'{getattr(rules.config.task, part).input_path}'."
        )


def _encoded(descriptions: Mapping[str, Mapping[str, Any]], image_ids: Sequence[str]) -> dict[str, bytes]:
    """The encoded images of some ids."""
    images: dict[str, bytes] = {}
    for path, description in descriptions.items():
        if not {str(image_id) for image_id in description['image_ids']} & set(image_ids):
            continue
        for record in shards.read(path):
            if record.source_id in image_ids:
                images.setdefault(record.source_id, record.encoded)
            if len(images) == len(image_ids):
                return images
    return images


def _check_checkpoint(rules: checks.Rules) -> None:
    path = rules.config.task.init_checkpoint
    if not path:
        return
    prefixes = whole_checkpoints.candidates(path) if tf.io.gfile.isdir(path) else [path]
    if not any(tf.io.gfile.exists(prefix + '.index') for prefix in prefixes):
        raise rules.fail(
            'task.init_checkpoint', 'a folder with checkpoints, a prefix such as run/ckpt-1000, or empty'
        )
