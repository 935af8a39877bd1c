"""The kinds of networks a study may compare: what measures them, and how its files and its report speak of them."""

import dataclasses

from official.core import exp_factory

from official_rethink.configs import families


@dataclasses.dataclass(frozen=True)
class Kind:
    """What networks of one kind have in common.

    Attributes:
        networks: what they are called, in the plural.
        metric: name of the number a study compares them by, a share of 1 of which more is better.
        extras: further numbers its tables show, under the names the evaluation gives them; those that every arm has.
        scenes: the built-in scenes they learn from, as `prepare scenes --kind` names them.
        label: what a pseudo label with a score is called.
        labels: in the plural.
        boxes: the networks detect boxes; else they give every pixel a class.
    """

    networks: str
    metric: str
    extras: tuple[str, ...]
    scenes: str
    label: str
    labels: str
    boxes: bool


_MASKS = ('mask_AP', 'mask_AP50', 'mask_AP75')
DETECTION = Kind('detectors', 'AP', ('AP50', 'AP75', *_MASKS), 'detection', 'box', 'boxes', True)
SEGMENTATION = Kind(
    'segmentation networks',
    'mIoU',
    ('mIoU_resized', 'pixel_accuracy', 'mean_accuracy'),
    'segmentation',
    'pixel',
    'pixels',
    False,
)
KINDS = (DETECTION, SEGMENTATION)


def of_experiment(name: str) -> Kind | None:
    """The kind of an experiment's networks; None for an unknown name, and for networks that no study compares."""
    factory = exp_factory._REGISTERED_CONFIGS.get(name)
    if factory is None:
        return None
    task = factory().task
    metrics = families.of(task).metrics(task)
    return next((kind for kind in KINDS if kind.metric in metrics), None)


def by_metric(metric: str) -> Kind:
    """The kind of a study's record, by its `metric`."""
    return next(kind for kind in KINDS if kind.metric == metric)
