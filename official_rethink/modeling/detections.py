"""Model Garden's detection generator, for any batch size and in float32."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf


class AnyBatch(tf.keras.layers.Layer):
    """Wraps a detection generator.

    Model Garden's version 1, the only one with Soft-NMS, unrolls over a batch size known in advance,
    which the last batch of an evaluation and a served request do not have; its batched version takes
    float32 alone, which a bfloat16 model does not give. Here version 1 goes image by image, and all
    get float32.
    """

    def __init__(self, generator: tf.keras.layers.Layer, image_by_image: bool):
        """Args: Model Garden's generator; whether it cannot take a batch of unknown size."""
        super().__init__(name='detections', dtype='float32')
        self._generator = generator
        self._image_by_image = image_by_image

    def get_config(self) -> dict[str, Any]:
        """The wrapped generator's."""
        return self._generator.get_config()

    def call(
        self,
        raw_boxes: Mapping[str, tf.Tensor],
        raw_scores: Mapping[str, tf.Tensor],
        anchor_boxes: Mapping[str, tf.Tensor],
        image_shape: tf.Tensor,
        raw_attributes: Mapping[str, Any] | None = None,
    ) -> dict[str, tf.Tensor]:
        """As the wrapped generator; without attributes where it goes image by image."""
        boxes, scores, anchors, shape = tf.nest.map_structure(
            lambda value: tf.cast(value, tf.float32),
            (dict(raw_boxes), dict(raw_scores), dict(anchor_boxes), image_shape),
        )
        if not self._image_by_image:
            return self._generator(boxes, scores, anchors, shape, raw_attributes)

        def one(inputs: Any) -> dict[str, tf.Tensor]:
            batch_of_one = tf.nest.map_structure(lambda value: value[tf.newaxis], inputs)
            found = self._generator(*batch_of_one)
            return {name: value[0] for name, value in found.items() if name in _FOUND}

        return tf.map_fn(one, (boxes, scores, anchors, shape), fn_output_signature=dict(_FOUND))


_FOUND = {
    'detection_boxes': tf.float32,
    'detection_classes': tf.int32,
    'detection_scores': tf.float32,
    'num_detections': tf.int32,
}
