"""A SavedModel that answers for images of any sizes; TensorFlow alone loads it."""

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from official_rethink.common import errors, files

Outputs = dict[str, np.ndarray]
_BYTES, _TENSOR, _EXAMPLE, _METADATA = 'image_bytes', 'image_tensor', 'tf_example', 'metadata'
_KINDS = {'detection_boxes': 'detection', 'class_map': 'segmentation'}
_FILE = 'saved_model.pb'


def find(path: str) -> str:
    """The folder of the SavedModel: `path`, or saved_model/ in it, as the exporter writes it; local or gs://.

    Raises:
        UserError: neither is one.
    """
    places = [path.rstrip('/'), f'{path.rstrip("/")}/saved_model']
    for place in places:
        if files.exists(f'{place}/{_FILE}'):
            return place
    raise errors.UserError(
        f"there is no {_FILE} in '{places[0]}' or in its saved_model/; name a folder that "
        'export.export_saved_model wrote.'
    )


class Model:
    """What is served.

    Attributes:
        kind: 'detection' or 'segmentation'.
        class_names: by class id.
        gives_masks: whether detections have masks.
        normalized: whether boxes and key points are shares of the image's sides.
        facts: the `metadata` signature's values, for people.
    """

    def __init__(self, folder: str):
        """Loads the SavedModel and answers once for a small image.

        Raises:
            UserError: it is none of this project's exports.
        """
        import tensorflow as tf  # noqa: PLC0415

        self._loaded = tf.saved_model.load(folder)
        signatures = self._loaded.signatures
        self._input = next((name for name in (_BYTES, _EXAMPLE, _TENSOR) if name in signatures), '')
        if not self._input or _METADATA not in signatures:
            found = ', '.join(sorted(signatures)) or 'none'
            raise errors.UserError(
                f"the signatures of '{folder}' are {found}; needed: metadata and one of image_bytes, tf_example, "
                'image_tensor, as export.export_saved_model writes them.'
            )
        self._signature = signatures[self._input]
        outputs = self._signature.structured_outputs
        self.kind = next((kind for name, kind in _KINDS.items() if name in outputs), '')
        if not self.kind:
            raise errors.UserError(f"'{folder}' gives {', '.join(sorted(outputs))}; needed: {' or '.join(_KINDS)}.")
        (spec,) = self._signature.structured_input_signature[1].values()
        self._fixed = spec.shape[0]
        # Masks of all images of a batch together could take more than there is.
        self.largest_batch = self._fixed or (1 if 'detection_image_masks' in outputs else None)
        self.gives_masks = 'detection_masks' in outputs
        values = {name: value.numpy() for name, value in signatures[_METADATA]().items()}
        self.class_names = [name.decode() for name in values.pop('class_names')]
        self.facts = {name: _plain(value) for name, value in values.items()}
        self.normalized = bool(self.facts.get('normalized_coordinates', False))
        self.run([np.full([32, 32, 3], 127, np.uint8)])

    def decode(self, encoded: bytes) -> np.ndarray:
        """Decodes as the signatures do: uint8 RGB [H, W, 3]; TensorFlow's error if it cannot."""
        import tensorflow as tf  # noqa: PLC0415

        with tf.device('cpu:0'):
            return tf.io.decode_image(encoded, channels=3, expand_animations=False).numpy()

    def run(self, images: Sequence[np.ndarray]) -> list[Outputs]:
        """Answers for images, uint8 RGB [H, W, 3], each of any size; a dictionary of rows for each."""
        if self._input != _TENSOR:
            return self._batch([self._written(image) for image in images], images)
        found: list[Outputs] = [{}] * len(images)
        for shape in {image.shape for image in images}:  # images of a tensor have one size
            places = [place for place, image in enumerate(images) if image.shape == shape]
            same = [images[place] for place in places]
            for place, outputs in zip(places, self._batch(same, same), strict=True):
                found[place] = outputs
        return found

    def _batch(self, values: Sequence[Any], images: Sequence[np.ndarray]) -> list[Outputs]:
        """Asks the signature for one batch after the other."""
        import tensorflow as tf  # noqa: PLC0415

        size = self.largest_batch or len(values)
        found = []
        for start in range(0, len(values), size):
            part = list(values[start : start + size])
            filled = part + [part[-1]] * ((self._fixed or 0) - len(part))
            # Not by way of numpy, whose bytes lose zeros at their end.
            inputs = tf.stack([tf.constant(value) for value in filled])
            outputs = {name: value.numpy() for name, value in self._signature(inputs=inputs).items()}
            for row, image in enumerate(images[start : start + size]):
                found.append(_own({name: value[row] for name, value in outputs.items()}, image.shape))
        return found

    def _written(self, image: np.ndarray) -> bytes:
        """An image's pixels as the signature's string: a bitmap, which costs a copy and loses nothing."""
        encoded = bitmap(image)
        if self._input == _BYTES:
            return encoded
        import tensorflow as tf  # noqa: PLC0415

        example = tf.train.Example()
        example.features.feature['image/encoded'].bytes_list.value.append(encoded)
        return example.SerializeToString()


def _own(outputs: Outputs, shape: Sequence[int]) -> Outputs:
    """An image's rows without what is padding, copied so that the batch's arrays can go."""
    if 'num_detections' in outputs:
        count = int(outputs['num_detections'])
        kept = ('boxes', 'scores', 'classes', 'masks', 'keypoints')
        return {name: outputs[f'detection_{name}'][:count].copy() for name in kept if f'detection_{name}' in outputs}
    return {name: outputs[name][: shape[0], : shape[1]].copy() for name in ('class_map', 'score_map')}


def bitmap(image: np.ndarray) -> bytes:
    """Writes uint8 RGB [H, W, 3] as a BMP file of 24 bits, the top row first."""
    height, width = image.shape[:2]
    rows = np.zeros([height, -(-width * 3 // 4) * 4], np.uint8)
    rows[:, : width * 3] = image[..., ::-1].reshape(height, -1)
    header = struct.pack('<2sIHHI', b'BM', 54 + rows.size, 0, 0, 54)
    about = struct.pack('<IiiHHIIiiII', 40, width, -height, 1, 24, 0, rows.size, 2835, 2835, 0, 0)
    return header + about + rows.tobytes()


def _plain(value: Any) -> Any:
    """What `numpy()` gives, for JSON; that of a single string are bytes and no array."""
    found = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
    return found.decode() if isinstance(found, bytes) else found
