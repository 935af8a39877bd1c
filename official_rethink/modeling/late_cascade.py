"""A cascade of box heads whose further stages join in only for the last part of a training.

He et al., "Rethinking ImageNet Pre-training", train a network from scratch without its cascade first.
All stages exist from the start, so that every checkpoint of a run holds the same variables; which of them a step
trains is fixed when the step is traced, and whether they are used in inference is a variable of the model, so that a
checkpoint says for itself whether its further stages have learnt anything yet.
"""

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf
from official.vision.modeling import maskrcnn_model


class Switch(tf.keras.layers.Layer):
    """Whether the further stages have been trained."""

    def __init__(self) -> None:
        """Off at first."""
        super().__init__(name='cascade_switch')
        self._on = self.add_weight(
            'on', [], initializer='zeros', trainable=False, aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA
        )

    @property
    def on(self) -> tf.Tensor:
        """A bool."""
        return self._on > 0.0

    def set(self, on: bool) -> None:
        """Notes what the step at hand trains."""
        self._on.assign(float(on))


class _FirstStages:
    """A model as it would be with so many stages, on features that are there already."""

    def __init__(self, model: maskrcnn_model.MaskRCNNModel, count: int, features: Any):
        self._model, self._features = model, features
        self.roi_sampler = list(model.roi_sampler)[:count]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def _get_backbone_and_decoder_features(self, images: tf.Tensor) -> Any:
        del images
        return self._features


def box_outputs(
    model: maskrcnn_model.MaskRCNNModel, count: int, features: Any, arguments: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Runs region proposals and the first `count` box heads.

    Args:
        model: a Mask R-CNN with as many stages or more.
        count: of stages.
        features: what its backbone and its decoder give, a pair of level to features.
        arguments: Model Garden's of `_call_box_outputs`.

    Returns:
        Model Garden's outputs and intermediate outputs.
    """
    first = _FirstStages(model, count, features)
    return maskrcnn_model.MaskRCNNModel._call_box_outputs(first, **arguments)


def either(
    on: tf.Tensor, whole: Callable[[], tuple[dict, dict]], first: Callable[[], tuple[dict, dict]]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns in inference what the whole cascade gives where it is on, and else what its first stage gives.

    Of the whole cascade, only what the first stage gives under the same name: the last stage's boxes and detections.
    Model Garden's caller unpacks matches with the truth as well, which inference has none of.

    Args:
        on: bool scalar, a tensor, so that a checkpoint decides and not the trace.
        whole: gives outputs and intermediate outputs of all stages.
        first: those of the first stage alone.
    """
    # Both branches of a conditional in a graph have to give the same names. They are traced in the order of the call,
    # the first stage's first, so what is left after it is what both have. Eagerly only one runs, and gives all it has.
    names: list[set[str]] = []

    def given(branch: Callable[[], tuple[dict, dict]]) -> Callable[[], tuple[dict, dict]]:
        def tensors() -> tuple[dict, dict]:
            outputs, intermediate = branch()
            names.append({name for name, value in outputs.items() if not name.endswith('_features')})
            kept = set.intersection(*names)
            return {name: outputs[name] for name in kept}, {'current_rois': intermediate['current_rois']}

        return tensors

    first_only = given(first)
    outputs, intermediate = tf.cond(tf.logical_not(on), first_only, given(whole))
    return outputs, {**dict.fromkeys(('matched_gt_boxes', 'matched_gt_indices', 'matched_gt_classes')), **intermediate}
