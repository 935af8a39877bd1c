"""The manifest: where pseudo labels come from, and whether a student may learn from them."""

import datetime
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

import official_rethink
from official_rethink.common import errors, files
from official_rethink.configs import classification, segmentation, validation_data
from official_rethink.data import shards, statistics
from official_rethink.evaluation import label_map_quality
from official_rethink.pseudo_labels import counts, filters, selection, store

FORMAT_VERSION = 1
KIND = 'pseudo_labels'
_NEEDED = ('categories', 'score_floor', 'num_images', 'num_instances', 'score_histogram', 'shards', 'teacher')
_TOLD = 3
# What a student learns by the type of its pseudo data; boxes by any other.
_LEARNT = (
    (segmentation.PseudoSegmentationData, counts.LABEL_MAPS),
    (classification.PseudoData, counts.CLASSES),
)


def build(
    counted: Mapping[str, Any],
    categories: Sequence[Mapping[str, Any]],
    inputs: Mapping[str, Any],
    teacher: Mapping[str, Any],
    config: Mapping[str, Any],
) -> dict[str, Any]:
    """Puts a manifest together.

    Args:
        counted: what `store.Store.describe` returned.
        categories: the class list.
        inputs: all that decides the labels; a restart with others is refused.
        teacher: name, files, step, metrics.
        config: the experiment's name and the hash of what it resolved to.
    """
    return {
        'format_version': FORMAT_VERSION,
        'kind': KIND,
        'teacher': dict(teacher),
        'config': dict(config),
        'source': dict(inputs['input']),
        'score_floor': inputs['score_floor'],
        'categories': [dict(category) for category in categories],
        **counted,
        'inputs': dict(inputs),
        'code_version': official_rethink.__version__,
        'date': datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds'),
    }


def load(path: str) -> dict[str, Any]:
    """Reads a manifest.

    Args:
        path: of manifest.json, or its folder.

    Raises:
        UserError: it is missing, unfinished, of another kind, or a shard it names is gone.
    """
    if tf.io.gfile.isdir(path):
        path = os.path.join(path, store.MANIFEST)
    folder = os.path.dirname(path)
    if not files.exists(path):
        if files.exists(os.path.join(folder, store.STATE)):
            raise errors.UserError(
                f"the pseudo labels in '{folder}' are unfinished: there is no '{store.MANIFEST}' yet. Start "
                'the same `python -m official_rethink.pseudo_label` command again, and it goes on.'
            )
        raise errors.UserError(
            f"no manifest of pseudo labels at '{path}'; `python -m official_rethink.pseudo_label` writes one."
        )
    found = files.read_json(path)
    if not isinstance(found, dict) or found.get('kind') != KIND or not set(_NEEDED) <= set(found):
        raise errors.UserError(f"'{path}' is not a manifest of pseudo labels as `pseudo_label` writes it.")
    if found.get('format_version') != FORMAT_VERSION:
        raise errors.bad_value('format_version', found.get('format_version'), str(FORMAT_VERSION), where=path)
    missing = [name for name in found['shards'] if not files.exists(os.path.join(folder, name))]
    if missing:
        raise errors.UserError(
            f"'{path}' names {len(found['shards'])} shards, {len(missing)} of which are not there, e.g. "
            f"'{missing[0]}'; label the images again, into another folder."
        )
    return found


def check_student(params: Any) -> None:
    """Checks that a student may learn from its pseudo labels; does nothing for a task without any.

    Images are compared by the content of their files and not by their ids, for every data set counts its own.

    Raises:
        UserError: unfinished labels, other classes than the student's, labels without the masks it learns, images
            it is measured on, a floor above its threshold, or no box over the threshold.
    """
    task = params.task
    if not hasattr(task, 'pseudo_data'):
        return
    data = task.pseudo_data
    path = validation_data.manifest_path(data)
    manifest = load(path)
    _check_shards(path, manifest, data.input_path)
    _check_classes(path, manifest, task.train_data.input_path)
    wanted = next((labels for kind, labels in _LEARNT if isinstance(data, kind)), counts.BOXES)
    labels = manifest.get('labels', counts.BOXES)
    if labels != wanted:
        raise errors.UserError(
            f"the pseudo labels '{path}' are {labels}, but the task of this experiment learns {wanted}; label the "
            'images with a teacher of the same task.'
        )
    _check_further(path, manifest, task)
    if wanted == counts.CLASSES:
        selection.select(data)
    check_scores = _check_pixel_scores if wanted == counts.LABEL_MAPS else _check_scores
    check_scores(path, manifest, data.score_threshold)
    for part in ('validation_data', 'test_data'):
        if getattr(task, part).input_path:
            _check_images(path, part, getattr(task, part).input_path)


def _check_further(path: str, manifest: Mapping[str, Any], task: Any) -> None:
    """Refuses boxes without the masks or key points that a student learns; what it does not learn it leaves unread."""
    model = getattr(task, 'model', None)
    if getattr(model, 'include_keypoints', False):
        wanted, found = task.model.keypoint_head.num_keypoints, manifest.get('keypoints', 0)
        if found != wanted:
            raise errors.UserError(
                f"the pseudo labels '{path}' have {found or 'no'} key points an object, but "
                f'task.model.keypoint_head.num_keypoints is {wanted}; label the images with a teacher that finds as '
                'many, or set task.model.include_keypoints=false.'
            )
    if getattr(model, 'include_mask', False) and not manifest.get('masks'):
        raise errors.UserError(
            f"the pseudo labels '{path}' have no masks, but task.model.include_mask is true; label the images with a "
            'teacher that has masks (a Mask R-CNN with task.model.include_mask=true), or set it to false.'
        )


def _check_shards(path: str, manifest: Mapping[str, Any], input_path: str) -> None:
    folder = os.path.dirname(path)
    known = {os.path.abspath(os.path.join(folder, name)) for name in manifest['shards']}
    patterns = [pattern.strip() for pattern in input_path.split(',') if pattern.strip()]
    read = {name for pattern in patterns for name in tf.io.gfile.glob(pattern)}
    shown = (name for name in read if name.endswith('.tfrecord'))
    strange = sorted(name for name in shown if os.path.abspath(name) not in known)
    if strange:
        raise errors.UserError(
            f"task.pseudo_data.input_path '{input_path}' matches '{strange[0]}', which is none of the "
            f"{len(known)} shards of '{path}'."
        )


def _check_classes(path: str, manifest: Mapping[str, Any], input_path: str) -> None:
    theirs = {category['id']: category['name'] for category in manifest['categories']}
    ours: dict[int, str] = {}
    for _, description in _descriptions(input_path):
        ours.update({category['id']: category['name'] for category in description['categories']})
    if not ours or ours == theirs:
        return
    differing = [
        f'id {label} is {theirs.get(label, "no class")!r} there and {ours.get(label, "no class")!r} here'
        for label in sorted(ours.keys() | theirs.keys())
        if ours.get(label) != theirs.get(label)
    ]
    more = f' and {len(differing) - _TOLD} more' if len(differing) > _TOLD else ''
    raise errors.UserError(
        f"the classes of the pseudo labels '{path}' are not those of task.train_data ('{input_path}'): "
        f'{"; ".join(differing[:_TOLD])}{more}. Use a teacher trained on the same classes.'
    )


def _check_scores(path: str, manifest: Mapping[str, Any], threshold: float) -> None:
    floor = manifest['score_floor']
    if floor > threshold:
        raise errors.UserError(
            f'task.pseudo_data.score_threshold is {threshold}, but the pseudo labels hold no box under '
            f"{floor} (score_floor in '{path}'); set it to {floor} or more, or label again with a lower "
            '--score_floor.'
        )
    counts = manifest['score_histogram']['counts']
    if not filters.over(counts, threshold):
        filled = [place for place, count in enumerate(counts) if count]
        hint = 'there is no box at all'
        if filled:
            hint = f'the best lie between {filters.EDGES[filled[-1]]} and {filters.EDGES[filled[-1] + 1]}'
        raise errors.UserError(
            f"no pseudo box in '{path}' has a score of task.pseudo_data.score_threshold {threshold} or more; "
            f'{hint}. Lower the threshold, or train the teacher longer.'
        )


def _check_pixel_scores(path: str, manifest: Mapping[str, Any], threshold: float) -> None:
    """Refuses a threshold that keeps no pixel."""
    values = np.asarray(manifest['pixel_scores'])
    if not values[label_map_quality.reached(np.arange(len(values)), threshold)].any():
        best = int(np.flatnonzero(values).max(initial=0))
        raise errors.UserError(
            f"no pixel in '{path}' has a score of task.pseudo_data.score_threshold {threshold} or more; the best has "
            f'{best / 255:.3f}. Lower the threshold, or train the teacher longer.'
        )


def _check_images(path: str, part: str, input_path: str) -> None:
    own = shards.description_path(os.path.dirname(path), store.SPLIT)
    ours = shards.load_description(own)
    known = dict(zip(_hashes(own, ours), ours['image_ids'], strict=True))
    for described, description in _descriptions(input_path):
        hashes = _hashes(described, description)
        shared = [
            (known[digest], image_id)
            for digest, image_id in zip(hashes, description['image_ids'], strict=True)
            if digest in known
        ]
        if shared:
            raise errors.UserError(
                f"the pseudo labels '{path}' and task.{part} ('{input_path}') share {len(shared)} images, "
                f"e.g. '{shared[0][0]}' there, '{shared[0][1]}' here; what a model learnt from must not "
                'measure it. Label other images, or leave these out.'
            )


def _hashes(path: str, description: Mapping[str, Any]) -> list[str]:
    """Content hashes in the order of image_ids; computed where a description has none."""
    if 'image_hashes' in description:
        return list(description['image_hashes'])
    return [statistics.content_hash(record.encoded) for record in shards.read(path)]


def _descriptions(input_path: str) -> list[tuple[str, dict[str, Any]]]:
    """Path and description of each set a comma-separated pattern names; sets without one tell nothing."""
    found = []
    for pattern in (part.strip() for part in input_path.split(',')):
        try:
            path = shards.find_description(pattern) if pattern else ''
        except errors.UserError:
            continue
        if path:
            found.append((path, shards.load_description(path)))
    return found
