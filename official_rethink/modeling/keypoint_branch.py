"""A third branch of a two-stage detector, for key points: laid over whatever model draws the regions."""

from typing import Any

import tensorflow as tf
from official.vision.modeling.layers import roi_aligner

from official_rethink.configs import maskrcnn as configs
from official_rethink.modeling import keypoint_head, normalization

# Under which a step's regions reach the branch; the model does not give it out.
_REGIONS = 'regions'


class KeypointBranch:
    """Mixed into a Mask R-CNN or Faster R-CNN before its own class.

    Attributes:
        keypoint_head: `keypoint_head.KeypointHead`.
        keypoint_roi_aligner: cuts out its features.
        keypoint_regions: most regions of an image that learn points.
        keypoint_side: cells a side of a heat map.
    """

    def add_keypoints(
        self, config: configs.MaskRCNN, regularizer: tf.keras.regularizers.Regularizer | None = None
    ) -> None:
        """Makes the head; its weights are random and come with the first call.

        Args:
            config: the model's.
            regularizer: of kernels.
        """
        head, aligner = config.keypoint_head, config.keypoint_roi_aligner
        self.keypoint_head = keypoint_head.KeypointHead(
            **head.as_dict(), **normalization.arguments(config.norm_activation, regularizer)
        )
        self.keypoint_roi_aligner = roi_aligner.MultilevelROIAligner(aligner.crop_size, aligner.sample_offset)
        self.keypoint_regions = config.keypoint_sampler.num_sampled_keypoints
        self.keypoint_side = config.keypoint_side

    @property
    def checkpoint_items(self) -> dict[str, Any]:
        """The other modules, and the head."""
        return {**super().checkpoint_items, 'keypoint_head': self.keypoint_head}  # type: ignore[misc]

    def keypoint_maps(self, features: Any, boxes: tf.Tensor) -> tf.Tensor:
        """Draws the heat maps of regions.

        Args:
            features: level to features, the model's decoder_features.
            boxes: float32 [B, R, 4], in pixels of the network's image.

        Returns:
            float32 [B, R, S, S, P], logits.
        """
        return self.keypoint_head(self.keypoint_roi_aligner(features, boxes))

    def _call_box_outputs(self, *inputs: Any, **arguments: Any) -> Any:
        outputs, regions = super()._call_box_outputs(*inputs, **arguments)  # type: ignore[misc]
        return {**outputs, _REGIONS: regions}, regions

    def call(
        self,
        images: tf.Tensor,
        image_shape: tf.Tensor,
        gt_keypoints: tf.Tensor | None = None,
        training: bool | None = None,
        **arguments: Any,
    ) -> dict[str, Any]:
        """Runs the model.

        Args:
            images: float [B, H, W, 3].
            image_shape: [B, 2], height and width of each image in its padding.
            gt_keypoints: in training float32 [B, M, P, 3], y, x and visibility of the instances of gt_boxes.
            training: whether regions learn.
            arguments: Model Garden's.

        Returns:
            Model Garden's outputs and, in training, keypoint_outputs [B, K, S, S, P], keypoint_targets and
            keypoint_weights [B, K, P]; in inference detection_keypoints float32 [B, N, P, 3], y, x and score.
        """
        outputs = dict(super().call(images, image_shape, training=training, **arguments))  # type: ignore[misc]
        regions, features = outputs.pop(_REGIONS), outputs['decoder_features']
        if not training:
            boxes = tf.cast(outputs['detection_boxes'], tf.float32)
            found = keypoint_head.find(self.keypoint_maps(features, boxes), boxes)
            return {**outputs, 'detection_keypoints': found}
        learnt = keypoint_head.targets(
            tf.cast(regions['current_rois'], tf.float32),
            regions['matched_gt_classes'],
            regions['matched_gt_indices'],
            gt_keypoints,
            self.keypoint_regions,
            self.keypoint_side,
        )
        maps = self.keypoint_maps(features, learnt.boxes)
        return {
            **outputs,
            'keypoint_outputs': maps,
            'keypoint_targets': learnt.cells,
            'keypoint_weights': learnt.weights,
        }
