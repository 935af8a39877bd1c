"""Which steps are compiled: the experiments of the papers, at their batch, over a number of cores that is given here.

Neither paper says how many TPU cores it used (He et al. trained on 8 GPUs with 2 images each), so the slices are ours:
the batch is the paper's, and a core gets its share. A v5e chip has one core with 16 GB.
"""

import dataclasses

TRAIN, LABEL, EVALUATE = 'train', 'label', 'evaluate'
PRECISIONS = ('bfloat16', 'float32')

# Memory of one v5e core.
CORE_BYTES = 16 * 2**30


@dataclasses.dataclass(frozen=True)
class Step:
    """One program of one core.

    Attributes:
        name: of the step, for --steps.
        experiment: as registered.
        mode: TRAIN: the train step; LABEL: what makes pseudo labels, suppression included; EVALUATE: the validation
            step.
        slice: the cores that share the batch, as libtpu names a topology.
        config_file: laid over the experiment; '' for none.
        batch: of the global batch, in LABEL and EVALUATE; 0 takes the config's (a student has a second, of as many
            pseudo-labelled images).
    """

    name: str
    experiment: str
    mode: str
    slice: str
    config_file: str = ''
    batch: int = 0

    @property
    def cores(self) -> int:
        """Chips of the slice, of one core each."""
        rows, columns = self.slice.split(':')[1].split('x')
        return int(rows) * int(columns)


STEPS = (
    Step(
        'maskrcnn',
        'maskrcnn_resnetfpn_gn_coco',
        TRAIN,
        'v5e:2x4',
        'configs/he2018/table1_r50_random_6x.yaml',
    ),
    Step(
        'maskrcnn_inference',
        'maskrcnn_resnetfpn_gn_coco',
        LABEL,
        'v5e:2x4',
        'configs/he2018/table1_r50_random_6x.yaml',
        batch=16,
    ),
    Step(
        'retinanet',
        'retinanet_efficientnet_coco',
        TRAIN,
        'v5e:8x8',
        'configs/zoph2020/table2_rand_init_s4.yaml',
    ),
    Step(
        'retinanet_inference',
        'retinanet_efficientnet_coco',
        LABEL,
        'v5e:8x8',
        'configs/zoph2020/table2_rand_init_s4.yaml',
        batch=512,
    ),
    Step(
        'self_training',
        'self_training_retinanet_efficientnet_coco',
        TRAIN,
        'v5e:8x16',
        'configs/zoph2020/table2_rand_init_self_training_s4.yaml',
    ),
    Step(
        'segmentation',
        'seg_nasfpn_efficientnet_pascal',
        TRAIN,
        'v5e:8x8',
        'configs/zoph2020/table6_efficientnet_b7.yaml',
    ),
    Step(
        'segmentation_inference',
        'seg_nasfpn_efficientnet_pascal',
        LABEL,
        'v5e:8x8',
        'configs/zoph2020/table6_efficientnet_b7.yaml',
        batch=512,
    ),
    Step('simclr', 'simclr_resnet_imagenet', TRAIN, 'v5e:8x16'),
)
