"""Types of the key-point branch of a two-stage detector. [D1] are Detectron's values for COCO's persons."""

import dataclasses

from official.modeling import hyperparams


@dataclasses.dataclass
class KeypointHead(hyperparams.Config):
    """From a region's features to a heat map for each point.

    A transposed convolution doubles the features' side and gives the maps; they are then enlarged bilinearly.

    Attributes:
        num_keypoints: points of an object: 17 of COCO's persons, 5 of the built-in scenes' walkers.
        num_convs: 3x3 convolutions, each with its normalisation [D1].
        num_filters: of each [D1].
        upsample_factor: of the bilinear enlargement [D1]; with regions of 14, the maps are 14 * 2 * 2 = 56 wide.
    """

    num_keypoints: int = 17
    num_convs: int = 8
    num_filters: int = 512
    upsample_factor: int = 2


@dataclasses.dataclass
class KeypointSampler(hyperparams.Config):
    """Which sampled regions learn key points: those of an object with a labelled point inside them [D1].

    Attributes:
        num_sampled_keypoints: most regions of an image.
    """

    num_sampled_keypoints: int = 128


@dataclasses.dataclass
class KeypointROIAligner(hyperparams.Config):
    """How a region's features are cut out.

    Attributes:
        crop_size: cells a side [D1].
        sample_offset: where a cell is read, as of Model Garden's other regions.
    """

    crop_size: int = 14
    sample_offset: float = 0.5
