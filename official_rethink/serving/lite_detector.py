"""Runs a detector's .tflite file on pictures of any size, as an application would."""

from typing import Any

import numpy as np
import tensorflow as tf

from official_rethink.augment import pipeline
from official_rethink.common import errors
from official_rethink.modeling import views
from official_rethink.serving import lite, verification


class LiteDetector:
    """An interpreter with what has to be done before and after it."""

    def __init__(self, content: bytes, config: Any, threads: int = 1):
        """Makes the interpreter.

        Args:
            content: of the file.
            config: the task's, whose evaluation says how pictures are resized.
            threads: for the interpreter.

        Raises:
            UserError: this is no detector of ours.
        """
        try:
            with lite.quiet():
                self._interpreter = tf.lite.Interpreter(model_content=content, num_threads=threads)
                self._interpreter.allocate_tensors()
            self._detect = self._interpreter.get_signature_runner()
        except (ValueError, RuntimeError) as error:
            raise errors.UserError(f'TensorFlow Lite cannot read this file: {lite.reason(error)}.') from None
        found = sorted(self._detect.get_output_details())
        if found != sorted(lite.OUTPUTS):
            raise errors.UserError(f"this file gives {', '.join(found)}; needed: {', '.join(lite.OUTPUTS)}.")
        self._fit = tf.function(
            lambda image: pipeline.fit(image, views.plain(config)),
            input_signature=[tf.TensorSpec([None, None, 3], tf.uint8)],
        )

    def detect(self, image: np.ndarray) -> verification.Found:
        """Detects on uint8 RGB [H, W, 3]; boxes in its pixels."""
        fitted, info = (value.numpy() for value in self._fit(image))
        size, scale = info[0], info[2]
        outputs = self._detect(image=fitted[np.newaxis])
        count = int(outputs['num_detections'][0])
        boxes = outputs['detection_boxes'][0, :count] * np.tile(fitted.shape[:2], 2) / np.tile(scale, 2)
        return verification.Found(
            np.clip(boxes, 0, np.tile(size, 2)).astype(np.float32),
            outputs['detection_scores'][0, :count],
            outputs['detection_classes'][0, :count].astype(np.int32) + 1,  # it does not count the background
        )
