"""SimCLR experiments: contrastive pre-training of a backbone without labels.

Sources of the figures, named beside each: the paper (Chen et al., "A Simple Framework for Contrastive Learning
of Visual Representations", 2020) and the release (google-research/simclr, its flags' defaults and its README's
command for ImageNet, "the default hyperparameters in our paper").
"""

import dataclasses

from official.core import config_definitions as cfg
from official.core import exp_factory
from official.modeling import hyperparams, optimization
from official.vision.configs import backbones

from official_rethink.configs import backbones as our_backbones
from official_rethink.configs import checks, families, normalization, types, validation_model

IMAGENET_TRAIN_EXAMPLES = 1_281_167
MODULES = ('backbone', 'projection_head')
# What LARS leaves out of weight decay and of its trust ratio (release: batch norm and bias), by any layer's name.
EXCLUDED = ('batch_normalization', 'bias', '/gamma:', '/beta:')
STRONGEST_JITTER = 1.25  # brightness, contrast and saturation reach 0 there


@dataclasses.dataclass
class Views(hyperparams.Config):
    """How the two views of an image are made; the values are the paper's (appendix A) and the release's.

    Attributes:
        area_min: smallest share of the image's area a crop takes.
        area_max: largest share.
        aspect_min: smallest width / height of a crop, relative to the view's.
        aspect_max: largest.
        flip_probability: of a horizontal flip.
        jitter_strength: scales brightness, contrast, saturation (0.8 each) and hue (0.2), in [0, 1.25].
        jitter_probability: of a colour jitter.
        grayscale_probability: of losing the colour.
        blur_probability: of a Gaussian blur whose kernel is a tenth of the height.
        blur_sigma_min: smallest standard deviation of the blur, in pixels.
        blur_sigma_max: largest.
    """

    area_min: float = 0.08
    area_max: float = 1.0
    aspect_min: float = 3 / 4
    aspect_max: float = 4 / 3
    flip_probability: float = 0.5
    jitter_strength: float = 1.0
    jitter_probability: float = 0.8
    grayscale_probability: float = 0.2
    blur_probability: float = 0.5
    blur_sigma_min: float = 0.1
    blur_sigma_max: float = 2.0


@dataclasses.dataclass
class ContrastiveData(types.ShardData):
    """Images of any prepared set; labels are not read.

    Attributes:
        views: how the two views are made, in evaluation too, where they depend on the image's id alone.
    """

    views: Views = dataclasses.field(default_factory=Views)


@dataclasses.dataclass
class ProjectionHead(hyperparams.Config):
    """What stands between the features and the loss, and is left behind after pre-training.

    Attributes:
        num_layers: dense layers, each with batch norm, ReLU between them; 2 is version 1's, 3 version 2's.
        hidden_width: of all but the last; null takes the number of features, as the release.
        output_width: of the last.
    """

    num_layers: int = 2
    hidden_width: int | None = None
    output_width: int = 128


@dataclasses.dataclass
class SimClrModel(hyperparams.Config):
    """A backbone with a projection head.

    Attributes:
        input_size: height, width and channels of a view.
        backbone: Model Garden's, as a detector's.
        norm_activation: of backbone and head; a global batch norm keeps replicas from telling views apart.
        projection_head: see `ProjectionHead`.
    """

    input_size: list[int] = dataclasses.field(default_factory=lambda: [224, 224, 3])
    backbone: our_backbones.Backbone = dataclasses.field(default_factory=our_backbones.Backbone)
    norm_activation: normalization.NormActivation = dataclasses.field(default_factory=normalization.NormActivation)
    projection_head: ProjectionHead = dataclasses.field(default_factory=ProjectionHead)


@dataclasses.dataclass
class SimClrTask(cfg.TaskConfig):
    """Contrastive pre-training.

    Attributes:
        model: backbone and projection head.
        temperature: divides the likenesses in the loss.
        l2_weight_decay: of kernels, in the loss; for optimizers that do not decay weights themselves. LARS does.
        train_data: images to learn from.
        validation_data: held-out images that choose the best checkpoint, in whole batches: an image's
            candidates are those of its batch, so that another batch size is another measure.
        test_data: held-out images the best checkpoint is measured on; with an empty input_path the
            validation images stand in.
        init_checkpoint: checkpoint to start from; '' starts at random.
        init_checkpoint_modules: 'all', or a list of 'backbone', 'projection_head'.
        seed: of the initial weights, the order of examples and the views.
    """

    model: SimClrModel = dataclasses.field(default_factory=SimClrModel)
    temperature: float = 0.1
    l2_weight_decay: float = 0.0
    train_data: ContrastiveData = dataclasses.field(default_factory=lambda: ContrastiveData(is_training=True))
    validation_data: ContrastiveData = dataclasses.field(default_factory=ContrastiveData)
    test_data: ContrastiveData = dataclasses.field(default_factory=ContrastiveData)
    init_checkpoint: str = ''
    init_checkpoint_modules: str | list[str] = 'all'
    seed: int = 0


ACCURACY, ENTROPY, LOSS = 'contrastive_accuracy', 'contrastive_entropy', 'contrastive_loss'


def best_metrics(task: SimClrTask) -> dict[str, str]:
    """The numbers an evaluation reports, and which way each is better."""
    del task
    return {ACCURACY: families.HIGHER, LOSS: families.LOWER}


def check(rules: checks.Rules) -> None:
    """Checks model, views and loss."""
    kind = rules.value('task.model.backbone.type')
    if kind is not None and kind.startswith('spinenet'):
        rule = 'any but a SpineNet, which gives a pyramid and has no last level to take features from'
        raise rules.fail('task.model.backbone.type', rule)
    validation_model.check_input_size(rules, 5)
    validation_model.check_backbone(rules)
    head = 'task.model.projection_head.'
    rules.at_least(1, head + 'num_layers', head + 'hidden_width', head + 'output_width')
    rules.positive('task.temperature')
    rules.at_least(0, 'task.l2_weight_decay')
    validation_model.check_restored_modules(rules, MODULES)
    for part in ('train_data', 'validation_data', 'test_data'):
        _check_views(rules, f'task.{part}.views.')
    _check_decay(rules)


def _check_views(rules: checks.Rules, name: str) -> None:
    rules.share(*(name + f'{what}_probability' for what in ('flip', 'jitter', 'grayscale', 'blur')))
    rules.share(name + 'area_min', name + 'area_max')
    rules.positive(*(name + key for key in ('area_min', 'aspect_min', 'blur_sigma_min')))
    for low in ('area_min', 'aspect_min', 'blur_sigma_min'):
        high = low.replace('_min', '_max')
        if rules.value(name + low) > rules.value(name + high):
            raise rules.clash(name + low, name + high, 'the first may be at most the second')
    strength = rules.value(name + 'jitter_strength')
    if not 0 <= strength <= STRONGEST_JITTER:
        raise rules.fail(name + 'jitter_strength', f'from 0 to {STRONGEST_JITTER}')


def _check_decay(rules: checks.Rules) -> None:
    name = 'trainer.optimizer_config.optimizer.'
    if rules.value(name + 'type') != 'lars':
        return
    rules.at_least(0, name + 'lars.weight_decay_rate')
    rules.positive(name + 'lars.eeta')
    if rules.value(name + 'lars.weight_decay_rate') and rules.value('task.l2_weight_decay'):
        raise rules.clash(
            'task.l2_weight_decay', name + 'lars.weight_decay_rate', 'one of the two decays the weights, so one is 0'
        )


families.register(SimClrTask, families.Family(check, best_metrics))


def _experiment(backbone: our_backbones.Backbone, norm: normalization.NormActivation) -> cfg.ExperimentConfig:
    """ImageNet without labels, 224 pixels, batches of 4096, LARS, 1000 passes."""
    task = SimClrTask(
        model=SimClrModel(backbone=backbone, norm_activation=norm),
        temperature=0.1,  # release, README; paper, Table 5, at this batch size
    )
    task.train_data.input_path = 'imagenet/train*'
    task.validation_data.input_path = 'imagenet/val*'
    # Paper, section 2.3: 4096 pairs a step. The other batch sizes are so that accuracies can be compared.
    for data in (task.train_data, task.validation_data, task.test_data):
        data.global_batch_size = 4096
    schedule = types.Schedule(
        base_batch_size=256,
        base_learning_rate=0.3,  # paper, section 2.3: 4.8 = 0.3 * 4096 / 256; release, flag learning_rate
        train_epochs=1000,  # paper, section 6: what the published ResNet-50 of 69.3 % was trained for
        train_examples=IMAGENET_TRAIN_EXAMPLES,
        base_warmup_steps=round(10 * IMAGENET_TRAIN_EXAMPLES / 256),  # 10 passes: paper, section 2.3
        warmup_factor=0.0,
        decay='cosine',  # paper, section 2.3
    )
    lars = {
        'momentum': 0.9,  # release, flag momentum
        'weight_decay_rate': 1e-6,  # paper, section 2.3
        'eeta': 0.001,  # release, lars_optimizer.py
        'exclude_from_weight_decay': list(EXCLUDED),
    }
    trainer = types.TrainerConfig(
        schedule=schedule,
        optimizer_config=optimization.OptimizationConfig({'optimizer': {'type': 'lars', 'lars': lars}}),
        best_checkpoint_eval_metric=ACCURACY,
    )
    return cfg.ExperimentConfig(task=task, trainer=trainer)


@exp_factory.register_config_factory('simclr_resnet_imagenet')
def simclr_resnet_imagenet() -> cfg.ExperimentConfig:
    """SimCLR pre-training of ResNet-50, 224 pixels, as published."""
    # Release: BATCH_NORM_DECAY 0.9, BATCH_NORM_EPSILON 1e-5 (resnet.py), global_bn.
    norm = normalization.NormActivation(activation='relu', use_sync_bn=True, norm_momentum=0.9, norm_epsilon=1e-5)
    backbone = our_backbones.Backbone(type='resnet', resnet=backbones.ResNet(model_id=50))
    return _experiment(backbone, norm)


@exp_factory.register_config_factory('simclr_efficientnet_imagenet')
def simclr_efficientnet_imagenet() -> cfg.ExperimentConfig:
    """SimCLR pre-training of EfficientNet-B7, 224 pixels; ours, with the published settings of ResNet-50."""
    norm = normalization.NormActivation(activation='swish', use_sync_bn=True, norm_momentum=0.99, norm_epsilon=1e-3)
    network = backbones.EfficientNet(model_id='b7', se_ratio=0.25, stochastic_depth_drop_rate=0.2)
    return _experiment(our_backbones.Backbone(type='efficientnet', efficientnet=network), norm)
