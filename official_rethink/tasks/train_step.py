"""The one train step: named losses of a task, weight decay once, gradients, metrics."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import tensorflow as tf


class LossTask(Protocol):
    """What the step needs of a task, and what a composing task needs of the one it holds."""

    loss: str

    def named_losses(self, features: Any, labels: Any, model: tf.keras.Model) -> dict[str, tf.Tensor]:
        """Returns scalars without weight decay; 'model_loss' is the one that is minimised."""


def trained_variables(model: tf.keras.Model) -> list[tf.Variable]:
    """The variables that a step trains; a model may hold modules that do not train yet."""
    return list(getattr(model, 'trained_variables', model.trainable_variables))


def run(
    task: LossTask,
    inputs: tuple[Any, Any],
    model: tf.keras.Model,
    optimizer: tf.keras.optimizers.Optimizer,
    metrics: Sequence[tf.keras.metrics.Metric] | None = None,
) -> dict[str, tf.Tensor]:
    """Runs one step on one replica.

    The minimised loss is 'model_loss' + weight decay, divided by the number of replicas, since the
    optimizer sums gradients over them.

    Args:
        task: gives the losses.
        inputs: features and labels.
        model: is trained.
        optimizer: Model Garden's; its loss scale is honoured.
        metrics: those whose names stand in the named losses are updated.

    Returns:
        The named losses and 'total_loss', under the task's loss name too.
    """
    features, labels = inputs
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    scales_loss = isinstance(optimizer, tf.keras.mixed_precision.LossScaleOptimizer)
    with tf.GradientTape() as tape:
        losses = task.named_losses(features, labels, model)
        total = losses['model_loss']
        if model.losses:
            total += tf.add_n([tf.cast(term, tf.float32) for term in model.losses])
        scaled = total / replicas
        if scales_loss:
            scaled = optimizer.get_scaled_loss(scaled)
    variables = trained_variables(model)
    gradients = tape.gradient(scaled, variables)
    if scales_loss:
        gradients = optimizer.get_unscaled_gradients(gradients)
    optimizer.apply_gradients(list(zip(gradients, variables, strict=True)))
    return update_metrics({**losses, 'total_loss': total}, metrics, task.loss)


def update_metrics(
    values: Mapping[str, tf.Tensor], metrics: Sequence[tf.keras.metrics.Metric] | None, loss_name: str
) -> dict[str, tf.Tensor]:
    """Feeds each metric the value of its name and returns the step's logs."""
    for metric in metrics or ():
        if metric.name in values:
            metric.update_state(values[metric.name])
    return {**values, loss_name: values['total_loss']}
