"""What the steps' commands leave in their folders, read and checked; the one place that knows these files."""

import json
import os
from collections.abc import Mapping
from typing import Any

import yaml

from official_rethink.common import errors, files
from official_rethink.configs import study_kinds
from official_rethink.study.steps import DIVERGED, Step

COST_KEYS = ('steps', 'images', 'instances', 'pixels', 'seconds')
LABEL_MAPS = 'label_maps'  # what a manifest says of its labels
CURVES = ('mask_AP', 'keypoint_AP')  # kept as curves beside the number that arms are compared by
_CLASS, _CLASS_END, _BACKGROUND = 'PerCategory/', '/IoU', 'background'


def to_yaml(config: dict[str, Any]) -> str:
    """A config as a YAML file's text."""
    head = '# Written by the study; the last --config_file of this run.\n'
    return head + yaml.safe_dump(config, sort_keys=False)


def result(step: Step, out: str) -> dict[str, Any]:
    """The best checkpoint of a training run and its metrics: {"checkpoint", "step", "metrics"}."""
    return best(step.folder(out), step.metric)


def best(folder: str, metric: str) -> dict[str, Any]:
    """As `result`, of any training's folder."""
    path = os.path.join(folder, 'test.json')
    found = files.read_json(path)
    value = found.get('metrics', {}).get(metric) if isinstance(found, dict) else None
    if not _is_number(value):
        raise errors.UserError(f"'{path}' holds no {metric}: it was not written by a finished training run.")
    return found


def diverged(folder: str) -> str:
    """What ended a training whose loss was no longer finite; '' for any other."""
    path = os.path.join(folder, DIVERGED)
    return str(files.read_json(path)['message']) if os.path.exists(path) else ''


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value


def pretraining_result(step: Step, out: str) -> dict[str, Any]:
    """The best checkpoint of a pre-training and whatever its kind measures: {"step", "metrics"}."""
    path = os.path.join(step.folder(out), 'test.json')
    found = files.read_json(path)
    metrics = found.get('metrics') if isinstance(found, dict) else None
    if not isinstance(metrics, dict) or not metrics or not all(map(_is_number, metrics.values())):
        raise errors.UserError(f"'{path}' holds no numbers: it was not written by a finished training run.")
    return found


def check_pretraining(step: Step, out: str) -> None:
    """Stops at a pre-training without a result."""
    pretraining_result(step, out)


def cost(step: Step, out: str, seconds: float) -> dict[str, float]:
    """What a training or labelling step cost: steps, images, instances, pixels, seconds.

    Args:
        step: the step.
        out: the study's folder.
        seconds: wall time that the runner measured, for steps that do not keep their own account.
    """
    path = os.path.join(step.folder(out), 'cost.json')
    kept = files.read_json(path) if os.path.exists(path) else {}
    account = {key: kept.get(key, 0) for key in COST_KEYS}
    account['seconds'] = kept.get('seconds', seconds)
    if step.kind == 'label' and not kept:
        account['images'] = manifest(step, out).get('num_images', step.total)
    return account


def metrics(step: Step, out: str) -> list[dict[str, Any]]:
    """The lines of a run's metrics.jsonl; a last line cut off by a kill is left out.

    A resumed run repeats steps after its last checkpoint; the later line of a step counts.
    """
    path = os.path.join(step.folder(out), 'metrics.jsonl')
    if not os.path.exists(path):
        return []
    found: dict[tuple[str, int], dict[str, Any]] = {}
    with open(path, encoding='utf-8', errors='replace') as handle:
        for line in handle:
            try:
                entry = json.loads(line)
                found[entry['kind'], int(entry['step'])] = entry
            except (ValueError, KeyError, TypeError):
                continue
    return sorted(found.values(), key=lambda entry: (entry['step'], entry['kind']))


def value(step: Step, out: str) -> float:
    """The number that a training run's best checkpoint is measured by."""
    return float(result(step, out)['metrics'][step.metric])


def curve(step: Step, out: str, metric: str = '') -> list[tuple[int, float]]:
    """(step, value) of each validation, of the number the step is measured by if `metric` is ''."""
    name = metric or step.metric
    return [
        (entry['step'], float(entry['metrics'][name]))
        for entry in metrics(step, out)
        if entry['kind'] == 'validation' and _is_number(entry['metrics'].get(name))
    ]


def curves(step: Step, out: str) -> dict[str, list[list[float]]]:
    """Name -> [step, value] of each validation, for the number a training is measured by, masks and key points."""
    found = {name: curve(step, out, name) for name in (step.metric, *CURVES)}
    return {name: [[at, value] for at, value in points] for name, points in found.items() if points}


def drops(step: Step, out: str) -> list[int]:
    """Steps at which a training's learning rate dropped, by the config it left; none of a rate without steps."""
    path = os.path.join(step.folder(out), 'params.yaml')
    if not os.path.exists(path):
        return []
    with open(path, encoding='utf-8') as handle:
        found: Any = yaml.safe_load(handle)
    for name in ('trainer', 'optimizer_config', 'learning_rate'):
        found = found.get(name) if isinstance(found, dict) else None
    if not isinstance(found, dict) or found.get('type') != 'stepwise':
        return []
    boundaries = (found.get('stepwise') or {}).get('boundaries') or []
    return [int(at) for at in boundaries if _is_number(at)]


def manifest(step: Step, out: str) -> dict[str, Any]:
    """The pseudo labels' manifest."""
    return dict(files.read_json(os.path.join(step.folder(out), 'manifest.json')))


def check_result(step: Step, out: str) -> None:
    """Stops at a training run without a result."""
    result(step, out)


def class_values(found: Mapping[str, Any]) -> dict[str, float]:
    """Class name -> IoU, the background's too, of the numbers of a label map's evaluation; {} if it had none."""
    return {
        name.removeprefix(_CLASS).removesuffix(_CLASS_END): float(value)
        for name, value in found.items()
        if name.startswith(_CLASS) and name.endswith(_CLASS_END)
    }


def check_teacher(step: Step, out: str) -> None:
    """Stops at a teacher that finds nothing: no box right, or no pixel right of any class but the background.

    Raises:
        UserError: it is such a teacher.
    """
    measured, reached = result(step, out)['metrics'], value(step, out)
    classes = [share for name, share in class_values(measured).items() if name != _BACKGROUND]
    if max(classes, default=reached) > 0:
        return
    seen = curve(step, out)
    best = f'; its best on the validation images was {max(v for _, v in seen):.4f}' if seen else ''
    what = ', that of the background alone,' if reached > 0 else ''
    raise errors.UserError(
        f'the teacher {step.name} finds nothing: {step.metric} {reached:.4f}{what} on the test images after '
        f'{step.total} steps{best}. Its labels would teach nothing. Raise budget.{step.kind}_steps, give it more '
        'labels (label_fraction), or mend its training; its curves are in metrics.jsonl there.'
    )


def kept_labels(found: dict[str, Any], threshold: float) -> int | None:
    """Pseudo boxes, or pixels, at or over a threshold by the manifest's histogram; None if it cannot tell.

    Pixels of the background do not count: a student that learnt from nothing else would find nothing.
    """
    histogram = found.get('score_histogram')
    if not isinstance(histogram, dict) or 'counts' not in histogram or 'edges' not in histogram:
        return None
    counts = histogram['counts']
    if found.get('labels') == LABEL_MAPS:
        others = [values for label, values in histogram.get('per_category', {}).items() if label != '0']
        counts = [sum(values) for values in zip(*others, strict=True)] if others else counts
    # A bin that the threshold cuts counts whole: the check is for "none at all".
    edges = histogram['edges']
    bins = zip(counts, edges[1:], strict=True)
    # A score of exactly 1 is in the last bin.
    return int(sum(count for count, upper in bins if upper > threshold or upper == edges[-1]))


def kept_share(found: Mapping[str, Any], threshold: float) -> float | None:
    """Of pseudo label maps, the share of all pixels that a student's threshold keeps; None if it was not counted."""
    scores, total = found.get('pixel_scores', []), found.get('num_pixels', 0)
    # A score map's value is 255 times the score, rounded, and is kept from 255 times the threshold on.
    kept = sum(count for value, count in enumerate(scores) if value >= 255.0 * threshold)
    return kept / total if scores and total else None


def coverage(found: Mapping[str, Any], quality: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Of pseudo label maps, what each threshold keeps and, where there is truth, how good that is.

    Args:
        found: the manifest.
        quality: the evaluation against truth; its rows count labelled pixels alone.

    Returns:
        Rows of 'score_threshold', 'coverage', and with truth 'pixel_accuracy' and 'mIoU'.
    """
    if quality is not None:
        return [dict(row) for row in quality['curve']]
    return [dict(row) for row in found.get('kept_at', []) if 'coverage' in row]


def class_shares(found: Mapping[str, Any]) -> dict[str, float]:
    """Of pseudo label maps, class name -> its share of all pixels, the background first."""
    pixels = {int(label): int(count) for label, count in found.get('pixels_per_category', {}).items()}
    names = {0: _BACKGROUND, **{item['id']: item['name'] for item in found.get('categories', [])}}
    total = sum(pixels.values())
    return {names.get(label, str(label)): count / total for label, count in sorted(pixels.items())} if total else {}


def check_pseudo_labels(step: Step, out: str, thresholds: dict[str, float], kind: study_kinds.Kind) -> None:
    """Stops where an arm's threshold leaves no pseudo box, or no pixel.

    Args:
        step: the labelling.
        out: the study's folder.
        thresholds: of the arms that learn from the labels, by name.
        kind: of the study's networks.

    Raises:
        UserError: names arm and threshold, and what the store holds.
    """
    found = manifest(step, out)
    for arm, threshold in thresholds.items():
        if kept_labels(found, threshold) == 0:
            steps = range(int(threshold * 100), 0, -5)
            lower = [step / 100 for step in steps if kept_labels(found, step / 100)]
            hint = f'{kind.labels} appear at {lower[0]:.2f}' if lower else 'the store is empty at every threshold'
            besides = '' if kind.boxes else ', but for the background,'
            raise errors.UserError(
                f'no pseudo {kind.label} of {step.name}{besides} scores {threshold} or more, the score_threshold of '
                f"arm '{arm}'; {hint}. Lower arms.{arm}.score_threshold, or train the teacher longer "
                '(budget.teacher_steps).'
            )
