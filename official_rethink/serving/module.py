"""What all servables share: images of any size in, one network under all signatures, labels inside."""

import abc
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf
from official.vision.serving import export_base

import official_rethink
from official_rethink.augment import pipeline
from official_rethink.modeling import views

IMAGE_TENSOR, IMAGE_BYTES, TF_EXAMPLE = 'image_tensor', 'image_bytes', 'tf_example'
INPUT_TYPES = (IMAGE_TENSOR, IMAGE_BYTES, TF_EXAMPLE)
DEFAULT, METADATA = 'serving_default', 'metadata'


class ImageModule(export_base.ExportModule):
    """Model Garden's export module on a task.

    What happens to an image is what happens to it in evaluation: decoded, resized as uint8, padded with the
    mean pixel, normalised, and given to the task's own prediction. Encoded images are resized one by one, so
    that one batch may hold images of several sizes, which Model Garden's module cannot stack.
    """

    def __init__(self, params: Any, task: Any, model: tf.keras.Model, batch_size: int | None = None):
        """Makes the functions; nothing is traced yet.

        Args:
            params: the experiment's config.
            task: its task.
            model: its model, with the weights to serve.
            batch_size: None for any.
        """
        super().__init__(params, batch_size=batch_size, input_image_size=list(task.output_size), model=model)
        self._task = task
        height, width = task.output_size
        self._spec = (
            tf.TensorSpec([height, width, 3], tf.uint8),
            tf.TensorSpec([4, 2], tf.float32),
        )
        # One function under all signatures: the network stands in the file once.
        batched = [tf.TensorSpec([batch_size, *spec.shape], spec.dtype) for spec in self._spec]
        self._answer_function = tf.function(self._answer, input_signature=batched)

    @abc.abstractmethod
    def _answer(self, images: tf.Tensor, image_info: tf.Tensor) -> dict[str, tf.Tensor]:
        """Answers for a batch: uint8 [B, H, W, 3] and float32 [B, 4, 2], as in evaluation."""

    @abc.abstractmethod
    def facts(self) -> dict[str, Any]:
        """What the `metadata` signature tells of this kind of servable alone."""

    def _decode_image(self, encoded_image_bytes: tf.Tensor) -> tf.Tensor:
        """Decodes JPEG, PNG, BMP or the first picture of a GIF to RGB, grayscale included."""
        image = tf.io.decode_image(encoded_image_bytes, channels=3, expand_animations=False)
        return tf.ensure_shape(image, [None, None, 3])

    def _fit(self, image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        filled = tf.debugging.assert_positive(tf.shape(image), message='an image has a side of 0 pixels')
        with tf.control_dependencies([filled] if filled is not None else []):
            image = tf.identity(image)
        return pipeline.fit(image, views.plain(self.params.task))

    def _serve(self, values: tf.Tensor, to_image: Any) -> dict[str, tf.Tensor]:
        """Answers for a batch of whatever `to_image` turns into an image."""
        with tf.device('cpu:0'):
            images, image_info = tf.map_fn(
                lambda value: self._fit(to_image(value)),
                values,
                fn_output_signature=self._spec,
                parallel_iterations=32,
            )
        return self._answer_function(images, image_info)

    def serve(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Answers for uint8 [B, H, W, 3]; see `_answer` for what it gives."""
        return self._serve(images, tf.identity)

    @tf.function
    def inference_from_image_bytes(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """Answers for encoded images, string [B]; their sizes may differ."""
        return self._serve(inputs, self._decode_image)

    @tf.function
    def inference_from_tf_example(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """Answers for serialized tf.Examples, string [B], of which image/encoded alone is read."""
        return self._serve(inputs, self._decode_tf_example)


class Servable(tf.Module):
    """What is saved: weights, functions and labels, but no Keras object; TensorFlow alone loads it."""

    def __init__(self, module: ImageModule, class_names: Sequence[str], assets: Mapping[str, str], step: int):
        """Gathers what is saved.

        Args:
            module: the network and its functions.
            class_names: by class id.
            assets: attribute name to file; the files travel in the SavedModel.
            step: the checkpoint's.
        """
        super().__init__()
        self.weights = list(module.model.variables)
        for name, path in assets.items():
            setattr(self, name, tf.saved_model.Asset(path))
        values = {
            'class_names': list(class_names),
            'input_size': list(module.params.task.model.input_size[:2]),
            **module.facts(),
            'step': step,
            'version': official_rethink.__version__,
        }
        # Constants made inside, for a SavedModel cannot hold a tensor from outside its functions.
        self.metadata = tf.function(
            lambda: {name: tf.constant(value) for name, value in values.items()}, input_signature=[]
        )


def save(
    module: ImageModule,
    folder: str,
    input_type: str,
    class_names: Sequence[str],
    assets: Mapping[str, str],
    step: int,
) -> dict[str, dict[str, Any]]:
    """Writes the SavedModel.

    Args:
        module: the network and its functions.
        folder: where to.
        input_type: one of INPUT_TYPES, or 'all'. The first that is written is 'serving_default' too.
        class_names: by class id.
        assets: attribute name to file.
        step: the checkpoint's.

    Returns:
        Signature name to {'inputs': {name: 'uint8 [?, ?, ?, 3]'}, 'outputs': likewise}.
    """
    wanted = INPUT_TYPES if input_type == 'all' else (input_type,)
    signatures = dict(module.get_inference_signatures({name: name for name in wanted}))
    signatures[DEFAULT] = signatures[wanted[0]]
    servable = Servable(module, class_names, assets, step)
    signatures[METADATA] = servable.metadata.get_concrete_function()
    tf.saved_model.save(servable, folder, signatures=signatures)
    return {name: _described(signature) for name, signature in signatures.items()}


def _described(signature: Any) -> dict[str, Any]:
    return {
        'inputs': {spec.name: _words(spec) for spec in tf.nest.flatten(signature.structured_input_signature)},
        'outputs': {name: _words(spec) for name, spec in sorted(signature.structured_outputs.items())},
    }


def _words(spec: Any) -> str:
    sides = ', '.join('?' if side is None else str(side) for side in spec.shape)
    return f'{spec.dtype.name} [{sides}]'
