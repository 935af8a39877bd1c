"""The balance between the human and the pseudo loss (Zoph et al., appendix B)."""

import dataclasses

import tensorflow as tf

from official_rethink.configs import types

_EPSILON = 1e-8


@dataclasses.dataclass(frozen=True)
class Balanced:
    """Attributes: the joint loss to minimise; the ratio of the running means it was scaled by."""

    loss: tf.Tensor
    ratio: tf.Tensor


class LossBalance(tf.Module):
    """Running means of both losses and the joint loss they give.

    L = 1 / (1 + alpha) * (L_h + alpha * mean(L_h) / mean(L_p) * L_p)

    The running means are exponential with bias correction, so that the first step's means are that
    step's losses. They are the same on every replica, saved with the model, and carry no gradient.
    A step in which one of the losses is not finite, or is nothing since no pixel was labelled, leaves them as they
    were.
    """

    def __init__(self, params: types.LossBalance, name: str = 'loss_balance'):
        """Args: weight, decay and whether the ratio is applied; the name in checkpoints."""
        super().__init__(name=name)
        self._params = params
        self.human_mean = self._variable('human_mean')
        self.pseudo_mean = self._variable('pseudo_mean')
        self.weight = self._variable('weight')

    @staticmethod
    def _variable(name: str) -> tf.Variable:
        # Every replica computes the same value from all-reduced losses, so the first one's is kept.
        return tf.Variable(
            0.0,
            trainable=False,
            dtype=tf.float32,
            name=name,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )

    def __call__(self, human_loss: tf.Tensor, pseudo_loss: tf.Tensor) -> Balanced:
        """Updates the running means and joins the losses.

        Args:
            human_loss: scalar, this replica's loss on human-labelled examples.
            pseudo_loss: scalar, this replica's loss on pseudo-labelled examples.

        Returns:
            The joint loss and the ratio of means (1 when `normalize` is off).
        """
        alpha = self._params.alpha
        ratio = self._update(human_loss, pseudo_loss) if self._params.normalize else tf.constant(1.0)
        ratio = tf.stop_gradient(ratio)
        if self._params.normalize:
            loss = (human_loss + alpha * ratio * pseudo_loss) / (1.0 + alpha)
        else:
            loss = human_loss + alpha * pseudo_loss  # the paper's plain sum has no leading factor
        return Balanced(loss=loss, ratio=ratio)

    def _update(self, human_loss: tf.Tensor, pseudo_loss: tf.Tensor) -> tf.Tensor:
        losses = tf.stop_gradient(tf.stack([human_loss, pseudo_loss]))
        context = tf.distribute.get_replica_context()
        if context is not None and context.num_replicas_in_sync > 1:
            losses = context.all_reduce(tf.distribute.ReduceOp.MEAN, losses)
        decay = self._params.decay
        told = tf.reduce_all(tf.math.is_finite(losses) & (losses > 0.0))
        new = [
            tf.where(told, decay * old + (1.0 - decay) * value, old)
            for old, value in ((self.human_mean, losses[0]), (self.pseudo_mean, losses[1]), (self.weight, 1.0))
        ]
        for variable, value in zip((self.human_mean, self.pseudo_mean, self.weight), new, strict=True):
            variable.assign(value)
        # The bias correction 1 / weight stands over and under the line and drops out of the ratio.
        return new[0] / tf.maximum(new[1], _EPSILON)
