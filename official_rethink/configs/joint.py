"""Joint training: detection on one data set and classification on another in every step, on one backbone.

Zoph et al. 2020, section 7.4 of the fact sheet (their Table 7): ImageNet beside 20 % of COCO. Loss weights, batch
composition, image size and head were not published; each is a field here with the default that its sentence gives.
"""

import dataclasses

from official.core import config_definitions as cfg
from official.core import exp_factory
from official.modeling import hyperparams

from official_rethink.configs import classification, detection, families, validation_joint


@dataclasses.dataclass
class JointTraining(hyperparams.Config):
    """How classification joins detection. None of the values is published.

    The minimised loss is detection_weight * detection + classification_weight * classification, and weight decay
    once.

    Attributes:
        detection_weight: of the detection loss; of a student: of its balanced loss. 1, as it is alone.
        classification_weight: of the mean cross entropy. 1: the plain sum; 0 leaves classification out of the step.
        num_classes: of the images to classify, without background; class ids are 1 to num_classes.
        input_size: height, width and channels of these images; another size than the detector's, so that they
            take a forward pass of their own. 224 pixels, ImageNet's usual size.
        dropout_rate: of the pooled features. 0: the detector's backbone is trained without.
        label_smoothing: share of a label spread evenly over all classes. 0.1, as the EfficientNet release's.
        top_k: reports as 'classification/top_5_accuracy', for k = 5, how often the class is among the k first.
    """

    detection_weight: float = 1.0
    classification_weight: float = 1.0
    num_classes: int = classification.IMAGENET_CLASSES
    input_size: list[int] = dataclasses.field(default_factory=lambda: [224, 224, 3])
    dropout_rate: float = 0.0
    label_smoothing: float = 0.1
    top_k: int = 5


@dataclasses.dataclass
class JointDetectionTask(detection.DetectionTask):
    """A detector that classifies other images in every step too.

    Attributes:
        classification_data: images of one class each, to learn from.
        classification_validation_data: such images that measure the classifier at each evaluation; with an
            empty input_path it is not measured. The best checkpoint is chosen by the detector.
        joint: how the two are joined.
    """

    classification_data: classification.Data = dataclasses.field(
        default_factory=lambda: classification.Data(is_training=True)
    )
    classification_validation_data: classification.Data = dataclasses.field(
        default_factory=lambda: classification.Data(global_batch_size=8, drop_remainder=False)
    )
    joint: JointTraining = dataclasses.field(default_factory=JointTraining)


@dataclasses.dataclass
class SelfTrainingJointDetectionTask(detection.SelfTrainingDetectionTask, JointDetectionTask):
    """A student that classifies other images in every step too."""


families.register(
    JointDetectionTask,
    families.Family(
        validation_joint.check, validation_joint.best_metrics, check_files=validation_joint.check_files
    ),
)

# 200 a step for 120,000 steps are 18.7 passes over ImageNet; the paper's joint run sees 19 (the batch is not known).
_IMAGES_TO_CLASSIFY = 200


def _efficientnet(task: JointDetectionTask) -> cfg.ExperimentConfig:
    """The detector of `retinanet_efficientnet_coco`, with ImageNet beside it."""
    task.classification_data.input_path = 'imagenet/train*'
    task.classification_data.global_batch_size = _IMAGES_TO_CLASSIFY
    task.classification_validation_data.input_path = 'imagenet/val*'
    return detection._efficientnet(task)


@exp_factory.register_config_factory('joint_retinanet_efficientnet_coco')
def joint_retinanet_efficientnet_coco() -> cfg.ExperimentConfig:
    """Joint detection and classification: RetinaNet on EfficientNet-B7, 640 pixels."""
    return _efficientnet(JointDetectionTask())


@exp_factory.register_config_factory('self_training_joint_retinanet_efficientnet_coco')
def self_training_joint_retinanet_efficientnet_coco() -> cfg.ExperimentConfig:
    """Its self-training student: RetinaNet on EfficientNet-B7, 640 pixels."""
    return _efficientnet(SelfTrainingJointDetectionTask())
