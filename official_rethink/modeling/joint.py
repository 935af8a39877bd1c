"""One backbone under a detector and a classifier, with running batch statistics for each of the two.

The two streams have images of different sizes and kinds, so each goes through the backbone in a pass of
its own and is normalised by its own batch statistics. Running statistics, which evaluation uses, are kept
apart as well: one pair fed by both streams would fit neither. Those in the backbone are the detector's, so
that a detector started from a joint checkpoint finds its own; the classifier's stand beside its head.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf

CLASSIFICATION = 'classification'


def running_statistics(backbone: tf.keras.Model) -> list[tf.Variable]:
    """The running means and variances of every batch normalisation in a backbone, in a fixed order."""
    found: list[tf.Variable] = []
    for layer in backbone.submodules:
        if isinstance(layer, tf.keras.layers.Layer) and hasattr(layer, 'moving_mean'):
            found += [layer.moving_mean, layer.moving_variance]
    return found


class ClassificationBranch(tf.keras.layers.Layer):
    """Pooled features to class scores, and the classifier's running statistics of the shared backbone."""

    def __init__(
        self,
        backbone: tf.keras.Model,
        num_classes: int,
        dropout_rate: float,
        regularizer: tf.keras.regularizers.Regularizer | None = None,
    ):
        """Makes the branch.

        Args:
            backbone: the shared one; only its running statistics are looked at.
            num_classes: scores an image gets.
            dropout_rate: of the pooled features, in training.
            regularizer: of the head's kernel.
        """
        super().__init__(name=CLASSIFICATION)
        self.pool = tf.keras.layers.GlobalAveragePooling2D(dtype=tf.float32)
        self.dropout = tf.keras.layers.Dropout(dropout_rate, dtype=tf.float32)
        self.head = tf.keras.layers.Dense(
            num_classes,
            kernel_initializer=tf.keras.initializers.RandomNormal(stddev=0.01),
            kernel_regularizer=regularizer,
            dtype=tf.float32,
            name='head',
        )
        shared = running_statistics(backbone)
        # In a closure, since Keras would take a list of variables for this layer's own.
        self._shared = lambda: shared
        self.statistics = [
            self.add_weight(
                name=f'statistics_{index}',
                shape=variable.shape,
                dtype=variable.dtype,
                trainable=False,
                initializer='zeros' if index % 2 == 0 else 'ones',
                synchronization=tf.VariableSynchronization.ON_READ,
                aggregation=tf.VariableAggregation.MEAN,
            )
            for index, variable in enumerate(shared)
        ]

    def call(self, features: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Scores features [B, h, w, C]; returns logits float32 [B, num_classes]."""
        return self.head(self.dropout(self.pool(tf.cast(features, tf.float32)), training=training))

    @contextlib.contextmanager
    def own_statistics(self) -> Iterator[None]:
        """Lends the backbone the classifier's running statistics; takes them back as they were left."""
        shared = self._shared()
        kept = [tf.identity(variable) for variable in shared]
        _assign(shared, self.statistics)
        yield
        _assign(self.statistics, shared)
        _assign(shared, kept)

    def copy_statistics(self) -> None:
        """Starts from the backbone's running statistics, where it was restored from a checkpoint."""
        _assign(self.statistics, self._shared())


def _assign(targets: Sequence[tf.Variable], values: Sequence[Any]) -> None:
    for target, value in zip(targets, values, strict=True):
        target.assign(tf.convert_to_tensor(value))


class JointModel(tf.keras.Model):
    """A detector that is called as such, and a classifier on its backbone."""

    def __init__(self, detector: tf.keras.Model, branch: ClassificationBranch, input_size: Sequence[int]):
        """Joins the two.

        Args:
            detector: Model Garden's RetinaNet, or any model with `backbone` and `checkpoint_items`.
            branch: made for the detector's backbone.
            input_size: height, width and channels of the images to classify.
        """
        super().__init__(name='joint')
        self.detector = detector
        self.classification = branch
        # The backbone was built for the detector's size and refuses another; convolutions do not mind.
        detector.backbone.input_spec = tf.keras.layers.InputSpec(shape=[None, None, None, input_size[-1]])
        features = detector.backbone.compute_output_shape([None, *input_size])
        branch.build(features[_top(features)])
        branch.head.build([None, features[_top(features)][-1]])

    @property
    def backbone(self) -> tf.keras.Model:
        """The shared backbone."""
        return self.detector.backbone

    @property
    def checkpoint_items(self) -> dict[str, Any]:
        """The detector's modules, and 'classification'."""
        return {**self.detector.checkpoint_items, CLASSIFICATION: self.classification}

    def call(self, images: tf.Tensor, training: bool | None = None, **kwargs: Any) -> Any:
        """Detects, as the detector does."""
        return self.detector(images, training=training, **kwargs)

    def classify(self, images: tf.Tensor, training: bool) -> tf.Tensor:
        """Classifies normalised images float32 [B, h, w, 3]; returns logits float32 [B, num_classes]."""
        with self.classification.own_statistics():
            features = self.backbone(images, training=training)
        return self.classification(features[_top(features)], training=training)


def _top(features: Any) -> str:
    """The coarsest level of a backbone's features."""
    return max(features, key=int)
