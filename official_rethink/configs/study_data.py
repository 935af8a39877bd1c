"""What a study file may say of its data: shards of one's own, or the built-in scenes."""

import dataclasses

from official.modeling import hyperparams


@dataclasses.dataclass
class ScenesConfig(hyperparams.Config):
    """The built-in scenes, made when `data.labelled` is empty.

    Attributes:
        num_labelled: images with labels that training may read.
        num_unlabelled: images the teacher labels; their truth is used only to measure the pseudo labels.
        num_validation: images that choose the best checkpoint.
        num_test: images every arm's best checkpoint is measured on.
        size: height and width in pixels.
        difficulty: of the scenes, in [0, 1].
        num_classes: object classes, without background.
        seed: of the scenes; each set draws from its own stream.
        num_classification: images of one object each, of classes of their own, for joint arms and for
            pre-training by classification or SimCLR; drawn only where an arm needs them.
        num_classification_validation: such images that measure the classifier.
    """

    num_labelled: int = 400
    num_unlabelled: int = 2000
    num_validation: int = 200
    num_test: int = 400
    size: int = 128
    difficulty: float = 0.5
    num_classes: int = 5
    seed: int = 0
    num_classification: int = 2000
    num_classification_validation: int = 200


@dataclasses.dataclass
class DataConfig(hyperparams.Config):
    """Shard patterns as `prepare` writes them, such as `shards/train*`.

    Attributes:
        labelled: human-labelled images; '' prepares the built-in scenes.
        unlabelled: images for the teacher to label; needed only when an arm self-trains.
        unlabelled_truth: the unlabelled shards carry labels that may be used to measure pseudo labels.
        validation: human-labelled images that choose the best checkpoint.
        test: human-labelled images every arm is measured on; '' takes the validation images.
        classification: images with one class each, for joint arms and for pre-training by classification or
            SimCLR (which leaves the classes alone).
        classification_validation: such images that measure the classifier; '' measures none in joint arms.
        alignment: images with boxes of other classes, for pre-training of kind 'alignment'. Name the same
            images, without labels, in `unlabelled` to compare with self-training on them, as Zoph et al. do.
        alignment_validation: such images that choose that detector's best checkpoint.
        scenes: the built-in scenes. Where a pre-training of kind 'alignment' is used, their unlabelled images
            hold objects of ten further classes too, and these objects' boxes are the alignment set.
    """

    labelled: str = ''
    unlabelled: str = ''
    unlabelled_truth: bool = False
    validation: str = ''
    test: str = ''
    classification: str = ''
    classification_validation: str = ''
    alignment: str = ''
    alignment_validation: str = ''
    scenes: ScenesConfig = dataclasses.field(default_factory=ScenesConfig)
