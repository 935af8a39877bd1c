"""The servable segmentation network: images of any size in, the class of each of their own pixels out."""

from typing import Any

import tensorflow as tf

from official_rethink.modeling import dense_inference
from official_rethink.serving import module


class SegmentationModule(module.ImageModule):
    """Class maps at the images' own sizes, averaged over scales and mirrors as `task.inference` says.

    Images of a batch that differ in size are answered at the largest height and width among them; beyond an image
    there are 255 in its class map and 0 in its score map.
    """

    def facts(self) -> dict[str, Any]:
        """See the parent."""
        inference = self.params.task.inference
        return {
            'scales': [float(scale) for scale in inference.scales],
            'flip': bool(inference.flip),
            'gives_probabilities': bool(self.params.task.export_config.output_probabilities),
        }

    def _answer(self, images: tf.Tensor, image_info: tf.Tensor) -> dict[str, tf.Tensor]:
        """Gives a class to each pixel of the images as they came.

        Returns:
            class_map uint8 [B, h, w], class ids from 0 (background), 255 beyond an image and where the network gives
            no finite answer; score_map uint8 [B, h, w], 255 times the class's probability, rounded; image_info float32
            [B, 4, 2], whose [:, 0] are the images' sizes; and if `task.export_config.output_probabilities` says so
            probabilities float32 [B, h, w, K], 0 beyond an image.
        """
        if images.shape[0] is None:  # a stack of no maps has no size
            outputs = tf.cond(
                tf.equal(tf.shape(images)[0], 0),
                lambda: self._nothing(image_info),
                lambda: self._maps(images, image_info),
            )
        else:
            outputs = self._maps(images, image_info)
        shape = [images.shape[0], None, None]
        return {
            'class_map': tf.ensure_shape(outputs.pop('class_map'), shape),
            'score_map': tf.ensure_shape(outputs.pop('score_map'), shape),
            **outputs,
            'image_info': image_info,
        }

    def _nothing(self, image_info: tf.Tensor) -> dict[str, tf.Tensor]:
        """The answer for no image."""
        none = tf.zeros([tf.shape(image_info)[0], 1, 1], tf.uint8)
        outputs = {'class_map': none, 'score_map': none}
        if self.params.task.export_config.output_probabilities:
            shape = [tf.shape(image_info)[0], 1, 1, self.params.task.model.num_classes]
            outputs['probabilities'] = tf.zeros(shape)
        return outputs

    def _maps(self, images: tf.Tensor, image_info: tf.Tensor) -> dict[str, tf.Tensor]:
        sizes = image_info[:, 0]
        size = tf.cast(tf.reduce_max(sizes, axis=0), tf.int32)
        found = self._task.dense_views(images, image_info, self.model)
        classes, scores = dense_inference.maps(found, sizes, size)
        outputs = {'class_map': classes, 'score_map': scores}
        if self.params.task.export_config.output_probabilities:
            shares = dense_inference.probabilities(found, sizes, size)
            rows, columns = (
                tf.cast(tf.range(size[axis]), tf.float32) < sizes[:, axis, tf.newaxis] for axis in (0, 1)
            )
            within = rows[:, :, tf.newaxis] & columns[:, tf.newaxis]
            outputs['probabilities'] = tf.where(within[..., tf.newaxis], shares, 0.0)
        return outputs
