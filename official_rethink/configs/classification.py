"""Classification experiments: EfficientNet and ResNet on ImageNet, supervised and Noisy Student.

Values marked [release] are the EfficientNet release's (tensorflow/tpu, models/official/efficientnet: main.py,
utils.py, preprocessing.py, README.md), [noisy] those of google-research/noisystudent's ImageNet scripts, [MG]
Model Garden's ResNet-50.
"""

import dataclasses

from official.core import config_definitions as cfg
from official.core import exp_factory
from official.modeling import hyperparams, optimization
from official.vision.configs import backbones, image_classification

from official_rethink.configs import backbones as our_backbones
from official_rethink.configs import efficientnet, families, normalization, types, validation_classification

IMAGENET_TRAIN_EXAMPLES = 1_281_167
IMAGENET_CLASSES = 1000


@dataclasses.dataclass
class Augmentation(hyperparams.Config):
    """What training does to an image of one class; evaluation cuts out the centre.

    Attributes:
        policy: '' for crop and flip alone, 'autoaugment' (the ImageNet policy v0) or 'randaugment'.
        randaugment_layers: operations RandAugment applies to an image.
        randaugment_magnitude: RandAugment's strength, in [0, 30].
        area_min: least share of the image that is cropped.
        area_max: greatest such share.
        aspect_ratio_min: least width / height of the crop.
        aspect_ratio_max: greatest width / height of the crop.
        flip_probability: probability of a horizontal flip, in [0, 1].
        mixup_alpha: of the Beta distribution that mixup draws its weights from; 0 mixes nothing.
    """

    policy: str = ''
    randaugment_layers: int = 2
    randaugment_magnitude: float = 10.0
    area_min: float = 0.08
    area_max: float = 1.0
    aspect_ratio_min: float = 3 / 4
    aspect_ratio_max: float = 4 / 3
    flip_probability: float = 0.5
    mixup_alpha: float = 0.0


@dataclasses.dataclass
class Data(types.ShardData):
    """Human-labelled images of one class each.

    Attributes:
        augmentation: what training does to the images.
        crop_fraction: share of the shorter side that evaluation cuts out.
        resize: 'bicubic' or 'bilinear'.
    """

    augmentation: Augmentation = dataclasses.field(default_factory=Augmentation)
    crop_fraction: float = 0.875
    resize: str = 'bicubic'


@dataclasses.dataclass
class PseudoData(Data):
    """Teacher-labelled images, read from a pseudo-label store; all choices are made while reading.

    Attributes:
        manifest: the store's manifest.json; '' looks beside the shards of `input_path`.
        labels: 'soft' for the teacher's probabilities, 'hard' for its first class.
        temperature: soft labels are raised to the power of 1 / temperature and normalised again.
        score_threshold: an image trains only if its first class's probability is at least this.
        images_per_class: that many images of each class: the most confident of those over the threshold, and
            where there are fewer, these repeated; None takes each image over the threshold once.
    """

    manifest: str = ''
    labels: str = 'soft'
    temperature: float = 1.0
    score_threshold: float = 0.3
    images_per_class: int | None = None


@dataclasses.dataclass
class Losses(hyperparams.Config):
    """Cross entropy and weight decay.

    Attributes:
        label_smoothing: share of a label spread evenly over all classes; soft pseudo labels are left as they are.
        l2_weight_decay: of kernels, as `tf.nn.l2_loss` counts it.
    """

    label_smoothing: float = 0.0
    l2_weight_decay: float = 0.0


@dataclasses.dataclass
class ClassificationTask(cfg.TaskConfig):
    """One class an image, on Model Garden's classification model.

    Records hold class ids 1 to `model.num_classes`; the classifier's output i is class i + 1.

    Attributes:
        model: Model Garden's; `num_classes` counts no background.
        losses: cross entropy and weight decay.
        top_k: reports as 'top_5_accuracy', for k = 5, how often the class is among the k first.
        train_data: human-labelled training examples.
        validation_data: human-labelled examples that choose the best checkpoint.
        test_data: human-labelled examples the best checkpoint is measured on at the end of a run; with
            an empty input_path the validation examples stand in.
        init_checkpoint: checkpoint to start from; '' starts at random.
        init_checkpoint_modules: 'all', or a list of 'backbone', 'head'.
        seed: of the initial weights, the order of examples and the augmentation.
    """

    model: image_classification.ImageClassificationModel = dataclasses.field(
        default_factory=image_classification.ImageClassificationModel
    )
    losses: Losses = dataclasses.field(default_factory=Losses)
    top_k: int = 5
    train_data: Data = dataclasses.field(default_factory=lambda: Data(is_training=True))
    validation_data: Data = dataclasses.field(
        default_factory=lambda: Data(global_batch_size=64, drop_remainder=False)
    )
    test_data: Data = dataclasses.field(default_factory=lambda: Data(global_batch_size=64, drop_remainder=False))
    init_checkpoint: str = ''
    init_checkpoint_modules: str | list[str] = 'all'
    seed: int = 0


@dataclasses.dataclass
class SelfTrainingClassificationTask(ClassificationTask):
    """Noisy Student: a classifier on human and pseudo labels jointly.

    Attributes:
        pseudo_data: teacher-labelled examples.
        balance: how the two losses are joined.
    """

    pseudo_data: PseudoData = dataclasses.field(default_factory=lambda: PseudoData(is_training=True))
    balance: types.LossBalance = dataclasses.field(default_factory=types.LossBalance)


families.register(
    ClassificationTask,
    families.Family(
        validation_classification.check, validation_classification.best_metrics, background=False
    ),
)


def _fill_data(task: ClassificationTask, batch_size: int, augmentation: Augmentation) -> None:
    task.train_data.input_path = 'imagenet/train*'
    task.train_data.global_batch_size = batch_size
    task.train_data.augmentation = augmentation
    task.validation_data.input_path = 'imagenet/val*'
    if isinstance(task, SelfTrainingClassificationTask):
        # [noisy] three times as many pseudo-labelled images, each with the weight of a labelled one.
        task.pseudo_data.input_path = 'pseudo_labels/imagenet_plus_plus/pseudo*'
        task.pseudo_data.global_batch_size = 3 * batch_size
        task.pseudo_data.images_per_class = 130_000
        task.pseudo_data.augmentation = augmentation.replace()
        task.balance = types.LossBalance(alpha=3.0, normalize=False)


def _experiment(
    task: ClassificationTask, schedule: types.Schedule, optimizer: dict[str, object]
) -> cfg.ExperimentConfig:
    trainer = types.TrainerConfig(
        schedule=schedule,
        optimizer_config=optimization.OptimizationConfig(optimizer),
        best_checkpoint_eval_metric='accuracy',
    )
    return cfg.ExperimentConfig(
        runtime=cfg.RuntimeConfig(mixed_precision_dtype='bfloat16'), task=task, trainer=trainer
    )


def _efficientnet(task: ClassificationTask) -> cfg.ExperimentConfig:
    """EfficientNet-B7, 350 epochs with RMSProp and a moving average of the weights [release]."""
    scale = efficientnet.SCALES['b7']
    task.model = image_classification.ImageClassificationModel(
        num_classes=IMAGENET_CLASSES,
        input_size=[scale.resolution, scale.resolution, 3],
        backbone=our_backbones.Backbone(
            type='efficientnet',
            efficientnet=backbones.EfficientNet(model_id='b7', se_ratio=0.25, stochastic_depth_drop_rate=0.2),
        ),
        dropout_rate=scale.dropout,
        norm_activation=normalization.NormActivation(
            activation='swish', use_sync_bn=True, norm_momentum=0.99, norm_epsilon=1e-3
        ),
    )
    task.losses = Losses(label_smoothing=0.1, l2_weight_decay=1e-5)
    student = isinstance(task, SelfTrainingClassificationTask)
    # [release] B7 with AutoAugment gave 84.3 %, with RandAugment at magnitude 28 84.7 %; [noisy] students 27.
    policy = Augmentation(policy='autoaugment')
    if student:
        policy = Augmentation(policy='randaugment', randaugment_magnitude=27.0)
    _fill_data(task, 2048, policy)
    epoch = IMAGENET_TRAIN_EXAMPLES / 256
    schedule = types.Schedule(
        train_epochs=350,
        train_examples=IMAGENET_TRAIN_EXAMPLES,
        base_learning_rate=0.016,
        base_warmup_steps=round(5 * epoch),
        warmup_factor=0.0,
        decay='exponential',
        stepwise_factor=0.97,
        base_decay_steps=round(2.4 * epoch),
        evaluations=35,
    )
    return _experiment(
        task,
        schedule,
        {
            'optimizer': {'type': 'rmsprop', 'rmsprop': {'rho': 0.9, 'momentum': 0.9, 'epsilon': 1e-3}},
            # Running statistics are averaged too, as in the release.
            'ema': {'average_decay': 0.9999, 'trainable_weights_only': False},
        },
    )


def _resnet(task: ClassificationTask) -> cfg.ExperimentConfig:
    """ResNet-50, 90 epochs with momentum SGD [MG]."""
    task.model = image_classification.ImageClassificationModel(
        num_classes=IMAGENET_CLASSES,
        input_size=[224, 224, 3],
        backbone=our_backbones.Backbone(type='resnet', resnet=backbones.ResNet(model_id=50)),
        norm_activation=normalization.NormActivation(
            activation='relu', use_sync_bn=False, norm_momentum=0.9, norm_epsilon=1e-5
        ),
    )
    task.losses = Losses(l2_weight_decay=1e-4)
    _fill_data(task, 4096, Augmentation())
    schedule = types.Schedule(
        train_epochs=90,
        train_examples=IMAGENET_TRAIN_EXAMPLES,
        base_learning_rate=0.1,
        base_warmup_steps=round(5 * IMAGENET_TRAIN_EXAMPLES / 256),
        warmup_factor=0.0,
        decay='stepwise',
        stepwise_boundaries=[30 / 90, 60 / 90, 80 / 90],
        evaluations=30,
    )
    return _experiment(task, schedule, {'optimizer': {'type': 'sgd', 'sgd': {'momentum': 0.9}}})


@exp_factory.register_config_factory('imagenet_efficientnet')
def imagenet_efficientnet() -> cfg.ExperimentConfig:
    """Supervised classification on EfficientNet-B7, 600 pixels."""
    return _efficientnet(ClassificationTask())


@exp_factory.register_config_factory('self_training_imagenet_efficientnet')
def self_training_imagenet_efficientnet() -> cfg.ExperimentConfig:
    """Noisy Student: classification on EfficientNet-B7, 600 pixels."""
    return _efficientnet(SelfTrainingClassificationTask())


@exp_factory.register_config_factory('imagenet_resnet')
def imagenet_resnet() -> cfg.ExperimentConfig:
    """Supervised classification on ResNet-50, 224 pixels."""
    return _resnet(ClassificationTask())


@exp_factory.register_config_factory('self_training_imagenet_resnet')
def self_training_imagenet_resnet() -> cfg.ExperimentConfig:
    """Noisy Student: classification on ResNet-50, 224 pixels."""
    return _resnet(SelfTrainingClassificationTask())
