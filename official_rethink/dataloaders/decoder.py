"""The one decoder of records: Model Garden's, plus the scores of pseudo labels and VOC's difficult objects."""

import tensorflow as tf
from official.vision.dataloaders import tf_example_decoder

SOURCE_ID = 'image/source_id'
SCORE = 'image/object/score'
DIFFICULT = 'image/object/difficult'
KEYPOINTS = 'image/object/keypoints'


class RecordDecoder(tf_example_decoder.TfExampleDecoder):
    """Reads human and pseudo labels alike; a human-labelled object has score 1, any that does not say so is easy."""

    def __init__(self, include_mask: bool = False, num_keypoints: int = 0):
        """Args: whether instance masks are decoded too; key points of an object, 0 to leave them out."""
        super().__init__(include_mask=include_mask)
        self._num_keypoints = num_keypoints
        self._keys_to_features[SCORE] = tf.io.VarLenFeature(tf.float32)

    def _decode_masks(self, parsed_tensors: dict[str, tf.Tensor]) -> tf.Tensor:
        """The masks as they are encoded, string [N]; `instance_masks` decodes those that are wanted."""
        return parsed_tensors['image/object/mask']

    def decode(self, serialized_example: tf.Tensor) -> dict[str, tf.Tensor]:
        """Decodes one record.

        Args:
            serialized_example: a serialized tf.Example of `data/records.py`'s schema.

        Returns:
            Model Garden's decoded tensors (image uint8 [H, W, 3], groundtruth_boxes normalized
            [N, 4], groundtruth_classes int64 [N], ...), groundtruth_scores float32 [N] and
            groundtruth_is_difficult bool [N]. With masks,
            groundtruth_instance_masks string [N], each a PNG of the image's size. With key points,
            groundtruth_keypoints float32 [N, P, 3]: y, x in pixels and visibility, zeros of what has none.
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
        if self._num_keypoints:
            tensors['groundtruth_keypoints'] = self._keypoints(serialized_example, count)
        return tensors

    def _keypoints(self, serialized_example: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
        """Takes apart the points of all objects, stored one behind the other as x, y, visibility."""
        features = {
            KEYPOINTS: tf.io.VarLenFeature(tf.float32),
            f'{KEYPOINTS}/count': tf.io.VarLenFeature(tf.int64),
        }
        parsed = tf.io.parse_single_example(serialized_example, features)
        counts = parsed[f'{KEYPOINTS}/count'].values
        counts = tf.cond(tf.shape(counts)[0] > 0, lambda: counts, lambda: tf.zeros([count], tf.int64))
        rows = tf.RaggedTensor.from_row_lengths(parsed[KEYPOINTS].values, 3 * counts)
        table = tf.reshape(rows.to_tensor(0.0, shape=[None, 3 * self._num_keypoints]), [-1, self._num_keypoints, 3])
        return tf.gather(table, [1, 0, 2], axis=2)


def source_id(serialized_example: tf.Tensor) -> tf.Tensor:
    """Reads the id of a record without decoding its image."""
    feature = {SOURCE_ID: tf.io.FixedLenFeature((), tf.string)}
    return tf.io.parse_single_example(serialized_example, feature)[SOURCE_ID]
