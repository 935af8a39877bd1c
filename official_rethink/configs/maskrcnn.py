"""Types of two-stage detection: Mask R-CNN and its relatives. The experiments are in `maskrcnn_experiments.py`.

Values marked [D1] are those of Detectron's group-norm baselines, which "Rethinking ImageNet Pre-training" follows;
[MG] are Model Garden's.
"""

import dataclasses

from official.core import config_definitions as cfg
from official.modeling import hyperparams
from official.vision.configs import maskrcnn, retinanet

from official_rethink.configs import backbones, families, keypoints, normalization, types, validation_maskrcnn


@dataclasses.dataclass
class Anchor(maskrcnn.Anchor):
    """Model Garden's, with sizes further apart where one level has to find objects of all sizes.

    Attributes:
        num_scales: sizes of a level.
        aspect_ratios: width over height; of each size.
        anchor_size: the smallest size, in strides of its level.
        octaves: over how many doublings the sizes of a level are spread: 4 sizes over 4 octaves are 1, 2, 4 and 8
            times the smallest. With 1, Model Garden's, the level above goes on where a level ends.
    """

    octaves: float = 1.0


@dataclasses.dataclass
class MaskRCNN(maskrcnn.MaskRCNN):
    """Model Garden's, with any of our backbones and any normalisation.

    Attributes:
        anchor: sizes and shapes of what the region proposal network starts from.
        backbone: of Model Garden's, or ResNeXt or VGG.
        norm_activation: of backbone, pyramid and heads; the region proposal network has no normalisation [D1].
        fc_normalization: whether the box head's fully connected layers are normalised too: [MG] is true, [D1] false.
        include_keypoints: find the key points of objects too, beside masks or without them.
        keypoint_head: from a region to heat maps.
        keypoint_sampler: which regions learn them.
        keypoint_roi_aligner: what the head sees of a region.
    """

    anchor: Anchor = dataclasses.field(default_factory=Anchor)
    backbone: backbones.Backbone = dataclasses.field(default_factory=backbones.Backbone)
    norm_activation: normalization.NormActivation = dataclasses.field(default_factory=normalization.NormActivation)
    fc_normalization: bool = False
    include_keypoints: bool = False
    keypoint_head: keypoints.KeypointHead = dataclasses.field(default_factory=keypoints.KeypointHead)
    keypoint_sampler: keypoints.KeypointSampler = dataclasses.field(default_factory=keypoints.KeypointSampler)
    keypoint_roi_aligner: keypoints.KeypointROIAligner = dataclasses.field(
        default_factory=keypoints.KeypointROIAligner
    )

    @property
    def keypoint_side(self) -> int:
        """Cells a side of a key point's heat map: the region's, twice, enlarged."""
        return self.keypoint_roi_aligner.crop_size * 2 * self.keypoint_head.upsample_factor


@dataclasses.dataclass
class Losses(maskrcnn.Losses):
    """Model Garden's losses of Mask R-CNN, and that of key points.

    Attributes:
        keypoint_weight: of the mean cross entropy of labelled points [D1].
    """

    keypoint_weight: float = 1.0


@dataclasses.dataclass
class RpnMatching(hyperparams.Config):
    """How anchors become targets of the region proposal network, inside the train step [D1].

    Attributes:
        match_threshold: an anchor at or over this IoU with a box is positive.
        unmatched_threshold: an anchor under this IoU with every box is negative; between, ignored.
        num_samples: anchors of an image that are drawn to train on.
        positive_fraction: most of them that are positive.
    """

    match_threshold: float = 0.7
    unmatched_threshold: float = 0.3
    num_samples: int = 256
    positive_fraction: float = 0.5


@dataclasses.dataclass
class CascadeStart(hyperparams.Config):
    """When a cascade's further stages begin to train; with 0 and 0, at the first step.

    Attributes:
        base_steps_before_end: they train in only so many steps at the end, at `trainer.schedule.base_batch_size`
            images a step (He et al. from scratch: 270,000 at 16 images).
        first_step: the step they train from on; 0 derives it from the other.
    """

    base_steps_before_end: int = 0
    first_step: int = 0


@dataclasses.dataclass
class DataConfig(types.DataConfig):
    """Human-labelled examples of two-stage detection.

    Attributes:
        mask_crop_size: side of the square that a mask is cut to inside its box, for the device [MG].
        keep_images_without_keypoints: of a training that includes key points, whether an image without a labelled
            one trains; [D1] leaves such out.
    """

    mask_crop_size: int = 112
    keep_images_without_keypoints: bool = True


@dataclasses.dataclass
class ExportConfig(retinanet.ExportConfig):
    """What a served model gives out: Model Garden's options, and masks of whole images.

    Attributes:
        output_image_masks: beside the probabilities over each box, give masks of the images' own size: N * H * W bytes
            an image, of N = `model.detection_generator.max_num_detections`.
    """

    output_image_masks: bool = False


@dataclasses.dataclass
class MaskRCNNTask(cfg.TaskConfig):
    """Two-stage detection, with masks where `model.include_mask` says so.

    Attributes:
        model: Mask R-CNN or Faster R-CNN.
        losses: weights of the parts, and weight decay.
        matching: anchors against boxes.
        cascade: when the further stages of `model.roi_sampler.cascade_iou_thresholds` begin to train.
        resizing: to what size images are resized before they are padded to the model's input.
        inference: test-time augmentation, of evaluation and of pseudo labels; a served model has none.
        train_data: human-labelled training examples.
        validation_data: human-labelled examples that choose the best checkpoint.
        test_data: human-labelled examples the best checkpoint is measured on at the end of a run; with
            an empty input_path the validation examples stand in.
        init_checkpoint: checkpoint to start from; '' starts at random.
        init_checkpoint_modules: 'all', or a list of 'backbone', 'decoder', 'rpn_head', 'detection_head', 'mask_head',
            'keypoint_head'.
        evaluation_protocols: 'coco', whose AP studies and pseudo labels go by, and with it 'voc07', 'voc12' or both:
            PASCAL VOC's mean AP of boxes over eleven recalls, or over the area, as 'VOC07_mAP' and 'VOC12_mAP'.
        per_category_metrics: report AP per class too.
        seed: of the initial weights, the order of examples, the augmentation and what is sampled.
        export_config: what a served model gives out.
    """

    model: MaskRCNN = dataclasses.field(default_factory=MaskRCNN)
    losses: Losses = dataclasses.field(default_factory=Losses)
    matching: RpnMatching = dataclasses.field(default_factory=RpnMatching)
    cascade: CascadeStart = dataclasses.field(default_factory=CascadeStart)
    resizing: types.Resizing = dataclasses.field(default_factory=types.Resizing)
    inference: types.DetectionInference = dataclasses.field(default_factory=types.DetectionInference)
    train_data: DataConfig = dataclasses.field(default_factory=lambda: DataConfig(is_training=True))
    validation_data: DataConfig = dataclasses.field(
        default_factory=lambda: DataConfig(global_batch_size=8, drop_remainder=False)
    )
    test_data: DataConfig = dataclasses.field(
        default_factory=lambda: DataConfig(global_batch_size=8, drop_remainder=False)
    )
    init_checkpoint: str = ''
    init_checkpoint_modules: str | list[str] = 'all'
    evaluation_protocols: list[str] = dataclasses.field(default_factory=lambda: ['coco'])
    per_category_metrics: bool = False
    seed: int = 0
    export_config: ExportConfig = dataclasses.field(default_factory=ExportConfig)


families.register(
    MaskRCNNTask,
    families.Family(
        validation_maskrcnn.check, validation_maskrcnn.best_metrics, check_files=validation_maskrcnn.check_files
    ),
)
