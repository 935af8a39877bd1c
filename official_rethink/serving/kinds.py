"""What the kinds of servables differ in: functions, comparison with the checkpoint, and what is told of them."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from official_rethink.configs import families
from official_rethink.configs import segmentation as segmentation_configs
from official_rethink.serving import detection, map_verification, module, segmentation, verification


@dataclasses.dataclass(frozen=True)
class Kind:
    """One kind of servable.

    Attributes:
        module: of (params, task, model, batch size), the functions.
        verify: of (folder, params, task, model, images), what verification.json holds.
        compared: of a verification, what was compared, for a person.
        words: of a signature's part of it, the differences, for a person.
        describe: of params, what export.json tells of this kind alone.
    """

    module: Callable[[Any, Any, Any, int | None], module.ImageModule]
    verify: Callable[[str, Any, Any, Any, Sequence[Any]], dict[str, Any]]
    compared: Callable[[dict[str, Any]], str]
    words: Callable[[dict[str, Any]], str]
    describe: Callable[[Any], dict[str, Any]]


def of(params: Any, experiment: str) -> Kind:
    """The kind of an experiment's networks.

    Args:
        params: its config.
        experiment: its name, as the user gave it.

    Raises:
        UserError: they are not served.
    """
    if isinstance(params.task, segmentation_configs.SegmentationTask):
        return _SEGMENTATION
    families.need_detector(params.task, experiment, 'there is nothing to export')
    return _DETECTION


def _describe_detection(params: Any) -> dict[str, Any]:
    generator = params.task.model.detection_generator
    normalized = params.task.export_config.output_normalized_coordinates
    return {
        'boxes': 'y1 x1 y2 x2, ' + ('shares of the image' if normalized else 'pixels of the original image'),
        'nms_version': generator.nms_version,
        'max_detections': generator.max_num_detections,
        'score_threshold': generator.pre_nms_score_threshold,
        **{name: words for name, words in _FURTHER.items() if detection.gives(params)[name]},
    }


_FURTHER = {
    'masks': 'probabilities over each box',
    'image_masks': '1 on the object, pixels of the largest image of a batch',
    'keypoints': 'y x score of each point, as boxes',
}


def _describe_segmentation(params: Any) -> dict[str, Any]:
    inference = params.task.inference
    return {
        'class_map': 'class ids, pixels of the original image; 255 beyond it',
        'score_map': "255 times the class's probability, rounded",
        'probabilities': params.task.export_config.output_probabilities,
        'scales': list(inference.scales),
        'flip': inference.flip,
    }


_DETECTION = Kind(
    detection.DetectionModule,
    verification.verify,
    lambda report: f'{report["images"]} images with {report["detections"]} detections',
    verification.words,
    _describe_detection,
)
_SEGMENTATION = Kind(
    segmentation.SegmentationModule,
    map_verification.verify,
    lambda report: f'{report["images"]} images, {report["pixels"]:,} pixels of {len(report["classes"])} classes',
    map_verification.words,
    _describe_segmentation,
)
