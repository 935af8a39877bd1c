"""A one-stage detector as a TensorFlow Lite model: one image in, detections after its own suppression out.

The network, its anchors and the suppression are in the file. The suppression is the operation
TFLite_Detection_PostProcess (tensorflow/lite/kernels/detection_postprocess.cc), for the interpreter has no other that
works class by class; it decodes boxes as the task does and is told the task's thresholds. Where it differs: the task
clips boxes to the image before suppression, which this operation cannot, so that it is done after it.
"""

import collections
import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.lite.python import schema_py_generated

from official_rethink.common import errors
from official_rethink.modeling import anchor_targets

QUANTIZATIONS = ('none', 'float16', 'dynamic', 'int8')
# In the order of TensorFlow Lite's libraries, which is the alphabet's, in which a signature's outputs are kept.
OUTPUTS = ('detection_boxes', 'detection_classes', 'detection_scores', 'num_detections')
_PER_CLASS = 100
_SUPPRESSION = 'TFLite_Detection_PostProcess'


class LiteModule(tf.Module):
    """What is converted.

    Attributes:
        detect: from `image`, uint8 [1, H, W, 3] of the network's input size (float32 with whole values where
            `as_float`), to OUTPUTS.
    """

    def __init__(self, params: Any, task: Any, model: tf.keras.Model, as_float: bool = False):
        """Makes the function; nothing is traced yet.

        Args:
            params: the experiment's config.
            task: its task.
            model: its model, with the weights to convert.
            as_float: takes pixels as numbers, so that a converter can make the first operation an integer one.
        """
        super().__init__()
        self.weights = list(model.variables)
        self._task, self._config = task, params.task.model
        # Not the model itself: the converter saves all that is an attribute here, each of its layers by itself.
        self._forward = lambda *given, **named: model(*given, **named)
        height, width = task.output_size
        self._size = (height, width)
        kind = tf.float32 if as_float else tf.uint8
        self.detect = tf.function(
            self._detect, input_signature=[tf.TensorSpec([1, height, width, 3], kind, name='image')]
        )

    def _detect(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        anchors = anchor_targets.multilevel_anchors(self._config)
        batched = {level: boxes[tf.newaxis] for level, boxes in anchors.items()}
        # What is no uint8 is taken for shares of 255.
        found = self._forward(
            self._task.preprocess(image if image.dtype == tf.uint8 else image / 255.0),
            image_shape=tf.constant([self._size]),
            anchor_boxes=batched,
            training=False,
        )
        # Levels in the anchors' order; the model's own suppression is not used, and so not converted.
        rows = {
            name: tf.concat(
                [tf.reshape(tf.cast(found[name][level], tf.float32), [1, -1, size]) for level in anchors], axis=1
            )
            for name, size in (('box_outputs', 4), ('cls_outputs', self._config.num_classes))
        }
        values = self._suppress(rows['box_outputs'], tf.sigmoid(rows['cls_outputs']), self._centred(anchors))
        return dict(zip(OUTPUTS, values, strict=True))

    def _centred(self, anchors: dict[str, tf.Tensor]) -> tf.Tensor:
        """The anchors as shares of the input, [A, 4]: centre y, centre x, height, width."""
        flat = tf.concat([tf.reshape(boxes, [-1, 4]) for boxes in anchors.values()], axis=0)
        low, high = flat[:, :2], flat[:, 2:]
        return tf.concat([(low + high) / 2, high - low], axis=1) / tf.tile(tf.constant(self._size, tf.float32), [2])

    def _suppress(self, boxes: tf.Tensor, scores: tf.Tensor, anchors: tf.Tensor) -> Sequence[tf.Tensor]:
        """A function of no meaning in TensorFlow, which the converter replaces by the operation it names."""

        @tf.function(experimental_implements=self._operation())
        def placeholder(
            input_boxes: tf.Tensor, input_scores: tf.Tensor, input_anchors: tf.Tensor
        ) -> tuple[tf.Tensor, ...]:
            return tuple(tf.constant(0.0, name=name) for name in ('boxes', 'classes', 'scores', 'count'))

        return placeholder(boxes, scores, anchors)

    def _operation(self) -> str:
        generator = self._config.detection_generator
        scales = [float(value) for value in generator.box_coder_weights or [1.0] * 4]
        most = generator.max_num_detections
        attributes = [
            ('max_detections', 'i', most),
            ('detections_per_class', 'i', max(most, _PER_CLASS)),
            ('max_classes_per_detection', 'i', 1),
            ('use_regular_nms', 'b', 'true'),  # class by class, as the task's
            ('nms_score_threshold', 'f', generator.pre_nms_score_threshold),
            ('nms_iou_threshold', 'f', generator.nms_iou_threshold),
            ('num_classes', 'i', self._config.num_classes - 1),  # it leaves out the first column, the background
            *((f'{side}_scale', 'f', scale) for side, scale in zip('yxhw', scales, strict=True)),
        ]
        rest = ' '.join(f'attr {{ key: "{name}" value {{ {kind}: {value} }} }}' for name, kind, value in attributes)
        return f'name: "{_SUPPRESSION}" {rest}'


def convert(
    params: Any, task: Any, model: tf.keras.Model, quantization: str, images: Sequence[np.ndarray] = ()
) -> bytes:
    """Makes the file.

    Args:
        params: the experiment's config.
        task: its task.
        model: its model, in float32.
        quantization: one of QUANTIZATIONS.
        images: what ranges of values are measured on for int8: uint8 [H, W, 3] of the network's input size.

    Raises:
        UserError: int8 without images; or operations that TensorFlow Lite has not, by name.
    """
    whole = quantization == 'int8'
    if whole and not len(images):
        raise errors.UserError('int8 measures the ranges of values on images, and there are none.')
    module = LiteModule(params, task, model, as_float=whole)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([module.detect.get_concrete_function()], module)
    converter.allow_custom_ops = True  # the suppression, which every interpreter knows
    if quantization != 'none':
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantization == 'float16':
        converter.target_spec.supported_types = [tf.float16]
    if whole:
        converter.representative_dataset = lambda: _examples(images)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8, tf.lite.OpsSet.TFLITE_BUILTINS]
        converter.inference_input_type = tf.uint8
    try:
        with quiet():
            content = converter.convert()
    except Exception as error:  # the converter has no class of errors of its own
        raise _refusal(quantization, reason(error)) from None
    # It takes whatever operation it does not know for one of ours, which no interpreter then finds.
    if unknown := sorted(_custom(content) - {_SUPPRESSION}):
        raise _refusal(quantization, f'operations {", ".join(unknown)}')
    return content


def _refusal(quantization: str, why: str) -> errors.UserError:
    return errors.UserError(
        f'TensorFlow Lite cannot convert this network (quantization {quantization}): {why}. Build the network without '
        'them (task.model.backbone, .decoder, .head, .norm_activation), or serve a SavedModel, which has all of '
        "TensorFlow's operations: export.export_saved_model."
    )


def _custom(content: bytes) -> set[str]:
    """Names of the operations of a file that are not TensorFlow Lite's own by its schema."""
    model = schema_py_generated.Model.GetRootAsModel(content, 0)
    names = (model.OperatorCodes(place).CustomCode() for place in range(model.OperatorCodesLength()))
    return {name.decode() for name in names if name}


def _examples(images: Sequence[np.ndarray]) -> Iterator[list[np.ndarray]]:
    """The images; the first has a black and a white value, so that one step of the input is one of a pixel."""
    for number, image in enumerate(images):
        given = image.astype(np.float32)
        if not number:
            given[0, 0] = 0, 255, given[0, 0, 2]
        yield [given[np.newaxis]]


def reason(error: BaseException) -> str:
    """What a person needs of the converter's message: the operations it names, or its first line."""
    text = str(error)
    named = re.findall(r"'tf[\w.]*\.(\w+)' op|ops?: ([A-Z]\w*(?:, \w+)*)", text)
    listed = ', '.join(sorted({name for pair in named for listed in pair for name in listed.split(', ') if name}))
    line = next((line.strip() for line in text.splitlines() if line.strip()), type(error).__name__)
    return f'operations {listed}' if listed else line[:300].rstrip('.')


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps TensorFlow Lite's own lines, which go past Python, off the screen; its errors say what matters of them."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def arithmetic(content: bytes) -> dict[str, dict[str, int]]:
    """How many operations of a file compute in which type.

    Args:
        content: of a .tflite file.

    Returns:
        'int8', 'float32' and so on to {operation: how often}, by the type of an operation's first result.
    """
    plain = tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = tf.lite.Interpreter(model_content=content, experimental_op_resolver_type=plain)
    kinds = {row['index']: np.dtype(row['dtype']).name for row in interpreter.get_tensor_details()}
    found: dict[str, collections.Counter[str]] = {}
    for row in interpreter._get_ops_details():
        kind = kinds.get(int(row['outputs'][0]), 'unknown')
        found.setdefault(kind, collections.Counter())[row['op_name']] += 1
    return {kind: dict(sorted(counts.items())) for kind, counts in sorted(found.items())}
