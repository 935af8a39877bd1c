"""The one decoder of records: Model Garden's, plus the scores of pseudo labels and VOC's difficult objects."""

import tensorflow as tf
from official.vision.dataloaders import tf_example_decoder

SOURCE_ID = 'image/source_id'
SCORE = 'image/object/score'
DIFFICULT = 'image/object/difficult'


class RecordDecoder(tf_example_decoder.TfExampleDecoder):
    """Reads human and pseudo labels alike; a human-labelled object has score 1, any that does not say so is easy."""

    def __init__(self, include_mask: bool = False):
        """Args: whether instance masks are decoded too."""
        super().__init__(include_mask=include_mask)
        self._keys_to_features[SCORE] = tf.io.VarLenFeature(tf.float32)

    def decode(self, serialized_example: tf.Tensor) -> dict[str, tf.Tensor]:
        """Decodes one record.

        Args:
            serialized_example: a serialized tf.Example of `data/records.py`'s schema.

        Returns:
            Model Garden's decoded tensors (image uint8 [H, W, 3], groundtruth_boxes normalized
            [N, 4], groundtruth_classes int64 [N], ...), groundtruth_scores float32 [N] and
            groundtruth_is_difficult bool [N].
        """
        tensors = super().decode(serialized_example)
        features = {SCORE: tf.io.VarLenFeature(tf.float32), DIFFICULT: tf.io.VarLenFeature(tf.int64)}
        parsed = tf.io.parse_single_example(serialized_example, features)
        values, difficult = parsed[SCORE].values, parsed[DIFFICULT].values
        count = tf.shape(tensors['groundtruth_classes'])[0]
        tensors['groundtruth_scores'] = tf.cond(
            tf.shape(values)[0] > 0, lambda: values, lambda: tf.ones([count], tf.float32)
        )
        tensors['groundtruth_is_difficult'] = tf.cond(
            tf.shape(difficult)[0] > 0, lambda: tf.not_equal(difficult, 0), lambda: tf.zeros([count], tf.bool)
        )
        return tensors


def source_id(serialized_example: tf.Tensor) -> tf.Tensor:
    """Reads the id of a record without decoding its image."""
    feature = {SOURCE_ID: tf.io.FixedLenFeature((), tf.string)}
    return tf.io.parse_single_example(serialized_example, feature)[SOURCE_ID]
