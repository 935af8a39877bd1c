"""Which kind of pseudo labels a teacher makes."""

from typing import Any

from official_rethink.configs import classification, families, segmentation
from official_rethink.pseudo_labels import box_labels, class_labels, kind, map_labels


def of(params: Any, experiment: str) -> kind.Kind:
    """Finds the kind by the experiment's task.

    Args:
        params: its config.
        experiment: its name, as the user gave it.

    Raises:
        UserError: its models label nothing.
    """
    if isinstance(params.task, classification.ClassificationTask):
        return class_labels.ClassKind(params)
    if isinstance(params.task, segmentation.SegmentationTask):
        return map_labels.MapKind(params)
    families.need_detector(params.task, experiment, 'it cannot label images')
    return box_labels.BoxKind(params)
