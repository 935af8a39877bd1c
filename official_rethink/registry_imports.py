"""The one import for its side effects: everything the project registers with Model Garden.

The experiments, each a factory in `configs/` with a task in `tasks/`:

    retinanet_efficientnet_coco                  supervised, EfficientNet-B7 + FPN, 640 pixels
    retinanet_spinenet_coco                      supervised, SpineNet-143 or -190, 1280 pixels
    self_training_retinanet_efficientnet_coco    the student of the first
    self_training_retinanet_spinenet_coco        the student of the second
    joint_retinanet_efficientnet_coco            the first, and classification of other images at once
    self_training_joint_retinanet_efficientnet_coco   the student of that
    imagenet_efficientnet                        classification, EfficientNet-B7, 600 pixels
    imagenet_resnet                              classification, ResNet-50, 224 pixels
    self_training_imagenet_efficientnet          Noisy Student of the first of these
    self_training_imagenet_resnet                Noisy Student of the second
    simclr_resnet_imagenet                       contrastive pre-training, ResNet-50, 224 pixels
    simclr_efficientnet_imagenet                 contrastive pre-training, EfficientNet-B7, 224 pixels
    seg_nasfpn_efficientnet_pascal               segmentation, EfficientNet-B7 or -L2 and NAS-FPN, 512 pixels
    seg_deeplabv3plus_efficientnet_pascal        segmentation, EfficientNet-B7 and DeepLabv3+, 512 pixels
    seg_deeplabv3plus_resnet_pascal              segmentation, ResNet-101 and DeepLabv3+, 512 pixels
    self_training_seg_...                        the student of each of these three
    maskrcnn_..., cascadercnn_..., keypointrcnn_..., fasterrcnn_...   two-stage detection
    self_training_maskrcnn_... and so on         the student of each of these
"""

# Factories: name -> types and defaults.
from official_rethink.configs import classification, detection, joint, segmentation, simclr  # noqa: F401
from official_rethink.configs import maskrcnn_experiments as two_stage_configs  # noqa: F401
from official_rethink.modeling import conversion

# Backbones: EfficientNet as the original builds it, in the place of Model Garden's; ResNet and SpineNet beside them.
from official_rethink.modeling.backbones import efficientnet, resnet, resnext, spinenet, vgg  # noqa: F401

# Tasks: config type -> what is built and trained.
from official_rethink.tasks import classification as classification_task  # noqa: F401
from official_rethink.tasks import detection as detection_task  # noqa: F401
from official_rethink.tasks import joint_training, self_training  # noqa: F401
from official_rethink.tasks import maskrcnn as maskrcnn_task  # noqa: F401
from official_rethink.tasks import segmentation as segmentation_task  # noqa: F401
from official_rethink.tasks import simclr as simclr_task  # noqa: F401

conversion.leave_keras_alone()
