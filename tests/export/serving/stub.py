"""SavedModels with the signatures of exports and no network: what they find is told by the picture's colours."""

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

MASK = np.zeros([8, 8], np.float32)
MASK[:, :4] = 1  # the left half of a box
_SPEC = {
    'detection_boxes': tf.TensorSpec([3, 4]),
    'detection_scores': tf.TensorSpec([3]),
    'detection_classes': tf.TensorSpec([3], tf.int32),
    'num_detections': tf.TensorSpec([], tf.int32),
    'image_info': tf.TensorSpec([4, 2]),
    'detection_masks': tf.TensorSpec([3, 8, 8]),
    'detection_keypoints': tf.TensorSpec([3, 2, 3]),
}


def found(red: tf.Tensor, height: tf.Tensor, width: tf.Tensor) -> dict[str, tf.Tensor]:
    """Two objects, the whole image and its lower right quarter, and a row of padding."""
    one, zero = tf.ones([]), tf.zeros([])
    return {
        'detection_boxes': tf.stack(
            [[zero, zero, height, width], [height / 2, width / 2, height, width], [zero, zero, zero, zero]]
        ),
        'detection_scores': tf.stack([red, red / 2, -one]),
        'detection_classes': tf.constant([1, 2, 0]),
        'num_detections': tf.constant(2),
        'image_info': tf.stack([[height, width], [32.0, 32.0], [one, one], [zero, zero]]),
        'detection_masks': tf.tile(tf.constant(MASK)[tf.newaxis], [3, 1, 1]),
        'detection_keypoints': tf.tile(tf.stack([[zero, zero, one], [height, width, red]])[tf.newaxis], [3, 1, 1]),
    }


class Stub(tf.Module):
    """Functions as a servable's."""

    def __init__(self, batch: int | None = None, masks: bool = True):
        super().__init__()
        self._names = [name for name in _SPEC if masks or name not in ('detection_masks', 'detection_keypoints')]
        strings = [tf.TensorSpec([batch], tf.string, name='inputs')]
        tensor = [tf.TensorSpec([batch, None, None, 3], tf.uint8, name='inputs')]
        decode = self._decode
        self.functions = {
            'image_bytes': tf.function(lambda inputs: self._map(decode, inputs), input_signature=strings),
            'tf_example': tf.function(lambda inputs: self._map(self._example, inputs), input_signature=strings),
            'image_tensor': tf.function(lambda inputs: self._map(tf.identity, inputs), input_signature=tensor),
        }
        self.metadata = tf.function(
            lambda: {
                'class_names': tf.constant(['background', 'apple', 'bread']),
                'normalized_coordinates': tf.constant(False),
                'step': tf.constant(7),
                'version': tf.constant('0.1'),
            },
            input_signature=[],
        )

    def _decode(self, value: tf.Tensor) -> tf.Tensor:
        return tf.ensure_shape(tf.io.decode_image(value, channels=3, expand_animations=False), [None, None, 3])

    def _example(self, value: tf.Tensor) -> tf.Tensor:
        parsed = tf.io.parse_single_example(value, {'image/encoded': tf.io.FixedLenFeature([], tf.string)})
        return self._decode(parsed['image/encoded'])

    def _map(self, to_image: Any, values: tf.Tensor) -> dict[str, tf.Tensor]:
        def one(value: tf.Tensor) -> dict[str, tf.Tensor]:
            image = tf.cast(to_image(value), tf.float32)
            sides = tf.cast(tf.shape(image)[:2], tf.float32)
            rows = found(tf.reduce_mean(image[..., 0]) / 255, sides[0], sides[1])
            return {name: rows[name] for name in self._names}

        return tf.map_fn(one, values, fn_output_signature={name: _SPEC[name] for name in self._names})


def save(folder: pathlib.Path, kinds: Sequence[str] = (), batch: int | None = None, masks: bool = True) -> str:
    """Writes it as the exporter does, with some or all kinds of input."""
    stub = Stub(batch, masks)
    signatures = {name: stub.functions[name] for name in kinds or stub.functions}
    default = next(iter(signatures.values()))
    every = {**signatures, 'serving_default': default, 'metadata': stub.metadata}
    tf.saved_model.save(stub, str(folder / 'saved_model'), signatures=every)
    return str(folder)


class MapStub(tf.Module):
    """A segmentation network's: a pixel's class is 1 where it is red, its score how green it is."""

    def __init__(self) -> None:
        super().__init__()
        strings = [tf.TensorSpec([None], tf.string, name='inputs')]
        self.answer = tf.function(self._answer, input_signature=strings)
        self.metadata = tf.function(
            lambda: {
                'class_names': tf.constant(['background', 'red']),
                'scales': tf.constant([1.0]),
                'flip': tf.constant(False),
                'version': tf.constant('0.1'),
            },
            input_signature=[],
        )

    def _answer(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        def image(value: tf.Tensor) -> tf.Tensor:
            return tf.ensure_shape(tf.io.decode_bmp(value, channels=3), [None, None, 3])

        def size(value: tf.Tensor) -> tf.Tensor:
            return tf.shape(image(value))[:2]

        sizes = tf.map_fn(size, inputs, fn_output_signature=tf.TensorSpec([2], tf.int32))
        largest = tf.reduce_max(sizes, axis=0)

        def one(value: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            found = image(value)
            beyond = largest - tf.shape(found)[:2]
            pads = [[0, beyond[0]], [0, beyond[1]]]
            classes = tf.cast(found[..., 0] > 127, tf.uint8)
            return tf.pad(classes, pads, constant_values=255), tf.pad(found[..., 1], pads)

        spec = tf.TensorSpec([None, None], tf.uint8)
        class_map, score_map = tf.map_fn(one, inputs, fn_output_signature=(spec, spec))
        return {'class_map': class_map, 'score_map': score_map}


def save_maps(folder: pathlib.Path) -> str:
    """Writes that one."""
    made = MapStub()
    signatures = {'image_bytes': made.answer, 'serving_default': made.answer, 'metadata': made.metadata}
    tf.saved_model.save(made, str(folder / 'saved_model'), signatures=signatures)
    return str(folder)
