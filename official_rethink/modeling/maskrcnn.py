"""Mask R-CNN and Faster R-CNN on Model Garden's, with one choice of normalisation and samples drawn from a seed."""

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf
from official.vision.modeling import factory, maskrcnn_model
from official.vision.modeling.backbones import factory as backbone_factory
from official.vision.modeling.decoders import factory as decoder_factory

from official_rethink.configs import maskrcnn as configs
from official_rethink.configs import normalization as norm_configs
from official_rethink.modeling import geometry, keypoint_branch, late_cascade, normalization, sampling


class Levels(tf.keras.layers.Layer):
    """In the place of a pyramid: some of a backbone's levels as they are."""

    def __init__(self, names: Sequence[str]):
        """Args: of the levels."""
        super().__init__(name='levels')
        self._names = tuple(names)

    def call(self, features: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Returns the levels, [B, h_l, w_l, C] each."""
        return {name: features[name] for name in self._names}


class MaskRCNN(maskrcnn_model.MaskRCNNModel):
    """Model Garden's; what it samples follows from what it sees, so that a run can be repeated.

    Attributes:
        train_stages: how many of a cascade's box heads train; all, unless a training leaves some for later.
        cascade_switch: of a model that does, whether they have trained; see `late_cascade.py`.
    """

    def __init__(self, **kwargs: Any):
        """Args: Model Garden's."""
        super().__init__(**kwargs)
        self.train_stages = len(self.roi_sampler)
        self.cascade_switch: late_cascade.Switch | None = None
        for sampler in self.roi_sampler:
            settings = sampler._sampler.get_config()
            sampler._sampler = sampling.BoxSampler(settings['num_samples'], settings['foreground_fraction'])
            geometry.in_float32(sampler)
        if self._include_mask:
            geometry.in_float32(self.mask_sampler)
        self.roi_generator: Any = geometry.InFloat32(self.roi_generator)
        self.detection_generator: Any = geometry.InFloat32(self.detection_generator)

    @property
    def checkpoint_items(self) -> dict[str, Any]:
        """Modules by name; a cascade's heads are one module each, and a decoder without weights is none."""
        items = dict(super().checkpoint_items)
        if not self.decoder.weights:
            del items['decoder']
        heads = items.pop('detection_head')
        names = ['detection_head', *(f'detection_head_{number}' for number in range(1, len(heads)))]
        items |= dict(zip(names, heads, strict=True))
        return items if self.cascade_switch is None else {**items, 'cascade_switch': self.cascade_switch}

    def _call_box_outputs(self, images: tf.Tensor, *, training: bool | None = None, **arguments: Any) -> Any:
        """As Model Garden's, with the stages that train, or that have trained."""
        if self.cascade_switch is None:
            return super()._call_box_outputs(images, training=training, **arguments)
        features = self._get_backbone_and_decoder_features(images)
        arguments |= {'images': images, 'training': training}
        if training:
            self.cascade_switch.set(self.train_stages > 1)
            return late_cascade.box_outputs(self, self.train_stages, features, arguments)
        outputs, intermediate = late_cascade.either(
            self.cascade_switch.on,
            lambda: late_cascade.box_outputs(self, len(self.roi_sampler), features, arguments),
            lambda: late_cascade.box_outputs(self, 1, features, arguments),
        )
        backbone_features, decoder_features = features
        features_by_name = {'backbone_features': backbone_features, 'decoder_features': decoder_features}
        return {**features_by_name, **outputs}, intermediate

    @property
    def trained_variables(self) -> list[tf.Variable]:
        """Those of the modules that train."""
        resting = {id(variable) for head in self._resting_heads() for variable in head.variables}
        return [variable for variable in self.trainable_variables if id(variable) not in resting]

    @property
    def losses(self) -> list[tf.Tensor]:
        """Weight decay, of the modules that train."""
        resting = {id(head) for head in self._resting_heads()}
        if not resting:
            return super().losses
        layers = self._flatten_layers(recursive=False, include_self=False)
        return [loss for layer in layers if id(layer) not in resting for loss in layer.losses]

    def _resting_heads(self) -> list[tf.keras.layers.Layer]:
        return list(self.detection_head)[self.train_stages :]


class KeypointRCNN(keypoint_branch.KeypointBranch, MaskRCNN):
    """With key points."""


def build(
    config: configs.MaskRCNN,
    regularizer: tf.keras.regularizers.Regularizer | None = None,
    late_cascade_of: int | None = None,
) -> tf.keras.Model:
    """Builds the model with all its weights, which are random.

    Args:
        config: the model's.
        regularizer: of kernels; normalisation and offsets have none.
        late_cascade_of: stages that train now, of a cascade that is switched on later; None for one that is on.
    """
    specs = tf.keras.layers.InputSpec(shape=[None, *config.input_size])
    norm = config.norm_activation
    frozen = norm.normalization == norm_configs.FROZEN
    with normalization.scope(norm):
        backbone = backbone_factory.build_backbone(specs, config.backbone, norm, regularizer)
    # Detectron's fine-tuning baseline has no normalisation but the backbone's.
    elsewhere = norm_configs.NONE if frozen else None
    with normalization.scope(norm, elsewhere):
        decoder = decoder_factory.build_decoder(backbone.output_specs, config, regularizer)
    if decoder is None:
        decoder = Levels([str(level) for level in range(config.min_level, config.max_level + 1)])
    # The factory calls the region proposal network, which so gets no normalisation, and no other head.
    with normalization.scope(norm, norm_configs.NONE):
        # Model Garden's would send an image through both once more, to learn the shapes they say themselves.
        features = decoder.output if isinstance(decoder, tf.keras.Model) else decoder(backbone.output)
        outline = factory.build_maskrcnn(specs, config, regularizer, lambda images: None, lambda levels: features)
    parts = {**outline.get_config(), 'backbone': backbone, 'decoder': decoder}
    model = (KeypointRCNN if config.include_keypoints else MaskRCNN)(**parts)
    with normalization.scope(norm, elsewhere):
        if config.include_keypoints:
            model.add_keypoints(config, regularizer)
        _call(model, config)
    if not config.fc_normalization:
        _drop_fc_norms(model)
    if norm.normalization == norm_configs.NONE:
        _start_fcs_at_msra(model)
    if late_cascade_of:
        model.train_stages, model.cascade_switch = late_cascade_of, late_cascade.Switch()
    return model


def _call(model: MaskRCNN, config: configs.MaskRCNN) -> None:
    """Calls the model on nothing, which makes the heads' weights."""
    model(tf.keras.Input(config.input_size), image_shape=tf.keras.Input([2]), training=False)


def _drop_fc_norms(model: MaskRCNN) -> None:
    """Takes the normalisation behind fully connected layers away, which Detectron does not have."""
    for head in model.detection_head:
        head._fc_norms = [normalization.NoNormalization() for _ in head._fc_norms]


def _start_fcs_at_msra(model: MaskRCNN) -> None:
    """Draws fully connected layers from He et al.'s (2015) distribution, by which signals keep their size.

    Model Garden's draws them smaller, which a normalisation behind them would make good.
    """
    for head in model.detection_head:
        for layer in head._fcs:
            layer.kernel.assign(tf.keras.initializers.HeNormal()(layer.kernel.shape, layer.kernel.dtype))
