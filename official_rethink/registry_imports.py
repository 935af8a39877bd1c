"""The one import for its side effects: everything the project registers with Model Garden.

The experiments, each a factory in `configs/` with a task in `tasks/`:

    retinanet_efficientnet_coco                  supervised, EfficientNet-B7 + FPN, 640 pixels
    retinanet_spinenet_coco                      supervised, SpineNet-143 or -190, 1280 pixels
    self_training_retinanet_efficientnet_coco    the student of the first
    self_training_retinanet_spinenet_coco        the student of the second
"""

# Factories: name -> types and defaults.
from official_rethink.configs import detection  # noqa: F401
from official_rethink.modeling import conversion

# Tasks: config type -> what is built and trained.
from official_rethink.tasks import detection as detection_task  # noqa: F401
from official_rethink.tasks import self_training  # noqa: F401

conversion.leave_keras_alone()
