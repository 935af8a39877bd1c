"""TensorFlow Lite files and 16-bit networks beside the network they come from, on pictures of many sizes."""

import pathlib
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from official.vision.ops import box_ops

from official_rethink.augment import pipeline
from official_rethink.common import errors
from official_rethink.configs import parse
from official_rethink.data import records
from official_rethink.modeling import anchor_targets, views
from official_rethink.serving import answers, lite, lite_detector, precision, verification
from official_rethink.tasks import detection
from tests.pseudo_labels import making
from tools import tiny_teacher


class Made:
    """An untrained network whose scores differ from place to place, its config, and pictures."""

    def __init__(self, folder: pathlib.Path):
        config = str(folder / 'params.yaml')
        tiny_teacher.write_config(config, str(folder), num_classes=4, side=32, width=0.25)
        override = 'task.model.detection_generator.box_coder_weights=[10.0,10.0,5.0,5.0]'
        self.params = parse.load_experiment(tiny_teacher.EXPERIMENT, [config], override)
        tf.keras.utils.set_random_seed(0)
        self.task = detection.DetectionTask(self.params.task)
        self.model = self.task.build_model()
        for variable in self.model.trainable_variables:
            if 'scores' in variable.name and 'bias' in variable.name:
                variable.assign(tf.fill(variable.shape, tiny_teacher.SURE))  # else nothing is over the threshold
            elif 'scores' in variable.name or 'boxes' in variable.name:
                variable.assign(tf.random.stateless_normal(variable.shape, [1, 2], stddev=0.5))
        self.images = [making.record(number) for number in range(7)]
        wanted = views.plain(self.params.task)
        self.fitted = [pipeline.fit(tf.constant(answers.pixels(one)), wanted)[0].numpy() for one in self.images]

    def convert(self, quantization: str) -> bytes:
        return lite.convert(self.params, self.task, self.model, quantization, self.fitted)


@pytest.fixture(scope='module')
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp('lite'))


@pytest.fixture(scope='module')
def files(made: Made) -> dict[str, bytes]:
    return {name: made.convert(name) for name in ('none', 'int8')}


def detections(made: Made, content: bytes) -> list[verification.Found]:
    detector = lite_detector.LiteDetector(content, made.params.task)
    return [detector.detect(answers.pixels(record)) for record in made.images]


def by_hand(made: Made, record: records.Record) -> verification.Found:
    """What the file ought to find: the network's rows, decoded, suppressed by TensorFlow, and then clipped."""
    task, config = made.task, made.params.task.model
    fitted, info = pipeline.fit(tf.constant(answers.pixels(record)), views.plain(made.params.task))
    rows = outputs(made, fitted)
    anchors = tf.concat([tf.reshape(one, [-1, 4]) for one in anchor_targets.multilevel_anchors(config).values()], 0)
    boxes = box_ops.decode_boxes(rows['box_outputs'], anchors, weights=[10.0, 10.0, 5.0, 5.0])
    generator = config.detection_generator
    most = generator.max_num_detections
    found = tf.image.combined_non_max_suppression(
        boxes[tf.newaxis, :, tf.newaxis],
        tf.sigmoid(rows['cls_outputs'])[tf.newaxis, :, 1:],
        most,
        most,
        generator.nms_iou_threshold,
        generator.pre_nms_score_threshold,
        clip_boxes=False,
    )
    assert task.output_size == (32, 32)
    count, size, scale = int(found.valid_detections[0]), np.tile(info[0], 2), np.tile(info[2], 2)
    return verification.Found(
        np.clip(found.nmsed_boxes[0, :count] / scale, 0, size),
        found.nmsed_scores[0, :count].numpy(),
        found.nmsed_classes[0, :count].numpy().astype(np.int32) + 1,
    )


def outputs(made: Made, fitted: tf.Tensor, network: tf.keras.Model | None = None) -> dict[str, tf.Tensor]:
    """A network's own box_outputs and cls_outputs, [A, 4], for one image of its size; those of `made`'s by itself."""
    anchors = anchor_targets.multilevel_anchors(made.params.task.model)
    found = (network or made.model)(
        made.task.preprocess(tf.constant(fitted)[tf.newaxis]),
        image_shape=tf.constant([[32, 32]]),
        anchor_boxes={level: boxes[tf.newaxis] for level, boxes in anchors.items()},
        training=False,
    )
    names = ('box_outputs', 'cls_outputs')
    return {name: tf.concat([tf.reshape(found[name][level], [-1, 4]) for level in anchors], 0) for name in names}


def test_float32_is_the_network(made: Made, files: dict[str, bytes]) -> None:
    """Boxes, scores and classes; the suppression in the file is the one of TensorFlow, class by class."""
    expected = [by_hand(made, record) for record in made.images]
    assert sum(len(one.scores) for one in expected) > 20
    assert len({int(label) for one in expected for label in one.classes}) > 1
    generator = made.params.task.model.detection_generator
    for one, other in zip(expected, detections(made, files['none']), strict=True):
        difference = verification.compare(one, other, generator.pre_nms_score_threshold, generator.max_num_detections)
        assert difference.passes, difference


def test_names_and_shapes(made: Made, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        interpreter = tf.lite.Interpreter(model_content=content)
        (given,) = interpreter.get_input_details()
        assert (given['dtype'], list(given['shape'])) == (np.uint8, [1, 32, 32, 3]), name
        if name == 'int8':  # a step of the input is a step of a pixel
            assert given['quantization'] == (1.0, 0)
        (signature,) = interpreter.get_signature_list().values()
        assert signature == {'inputs': ['image'], 'outputs': list(lite.OUTPUTS)}


def test_sizes_and_arithmetic(files: dict[str, bytes]) -> None:
    sizes = {name: len(content) for name, content in files.items()}
    assert sizes['int8'] < sizes['none']
    whole = lite.arithmetic(files['int8'])
    assert set(whole) <= {'int8', 'float32', 'int32'} and whole['int8']['CONV_2D'] > 10
    assert whole['float32'] == {'DEQUANTIZE': 2, 'TFLite_Detection_PostProcess': 1}
    assert 'int8' not in lite.arithmetic(files['none'])


def operations(content: bytes) -> tuple[list[tuple[str, list[dict], list[dict]]], tf.lite.Interpreter]:
    """Each operation's name, and its inputs and outputs as the interpreter describes them."""
    plain = tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = tf.lite.Interpreter(model_content=content, experimental_op_resolver_type=plain)
    tensors = {one['index']: one for one in interpreter.get_tensor_details()}
    rows = interpreter._get_ops_details()
    sides = [[[tensors[int(one)] for one in row[side] if one >= 0] for side in ('inputs', 'outputs')] for row in rows]
    return [(row['op_name'], *both) for row, both in zip(rows, sides, strict=True)], interpreter


def test_int8_has_weights_and_activations_of_8_bits(files: dict[str, bytes]) -> None:
    """Each convolution reads int8, times int8 with a scale for each channel, adds int32 and writes int8."""
    kinds: dict[str, set[tuple[str, ...]]] = {}
    for name, content in files.items():
        found, interpreter = operations(content)
        for operation, inputs, given in found:
            if operation != 'CONV_2D':
                continue
            kinds.setdefault(name, set()).add(tuple(np.dtype(one['dtype']).name for one in (*inputs, *given)))
            if name == 'int8':
                channels = inputs[1]['shape'][0]
                assert len(inputs[1]['quantization_parameters']['scales']) == channels
                values = interpreter.get_tensor(inputs[1]['index'])
                assert np.abs(values.reshape(channels, -1).astype(int)).max(-1).tolist() == [127] * channels
    assert kinds == {'none': {('float32',) * 4}, 'int8': {('int8', 'int8', 'int32', 'int8')}}


def test_int8_measures_ranges_on_the_images_given(made: Made, files: dict[str, bytes]) -> None:
    """What the boxes' 256 steps reach from and to is the network's least and greatest output on these images."""
    ((_, inputs, _),) = [one for one in operations(files['int8'])[0] if one[0] == 'TFLite_Detection_PostProcess']
    (made_of,) = [one for one in operations(files['int8'])[0] if one[2][0]['index'] == inputs[0]['index']]
    assert made_of[0] == 'DEQUANTIZE'
    scale, zero = made_of[1][0]['quantization']
    reached = [scale * (end - zero) for end in (-128, 127)]
    values = np.concatenate([outputs(made, image)['box_outputs'] for image in made.fitted])
    np.testing.assert_allclose(reached, [values.min(), values.max()], atol=2 * scale)
    plain = [np.full([32, 32, 3], shade, np.uint8) for shade in (90, 255)]
    others = np.concatenate([outputs(made, image)['box_outputs'] for image in plain])
    assert abs(others.max() - reached[1]) > 5 * scale or abs(others.min() - reached[0]) > 5 * scale


def test_int8_without_images(made: Made) -> None:
    with pytest.raises(errors.UserError, match='int8 measures the ranges of values on images, and there are none'):
        lite.convert(made.params, made.task, made.model, 'int8', [])


class Odd:
    """A network of an operation that TensorFlow Lite has not."""

    variables = ()

    def __init__(self, operation: Any):
        self._operation = operation

    def __call__(self, images: tf.Tensor, **_: Any) -> dict[str, dict[str, tf.Tensor]]:
        levels = {'3': tf.nn.avg_pool2d(images, 8, 8, 'VALID'), '4': tf.nn.avg_pool2d(images, 16, 16, 'VALID')}
        wide = {level: tf.concat([value, value[..., :1]], -1) for level, value in levels.items()}
        return {'box_outputs': wide, 'cls_outputs': {level: self._operation(value) for level, value in wide.items()}}


@pytest.mark.parametrize(
    ('operation', 'name'),
    [
        (lambda value: tf.math.betainc(value, value, value), 'Betainc'),
        (lambda value: value * tf.linalg.det(value[:, :2, :2, 0])[:, None, None, None], 'MatrixDeterminant'),
    ],
)
def test_operations_that_it_has_not(made: Made, operation: Any, name: str) -> None:
    told = rf'cannot convert this network \(quantization none\): operations {name}\. .*export\.export_saved_model'
    with pytest.raises(errors.UserError, match=told):
        lite.convert(made.params, made.task, Odd(operation), 'none')


def test_int8_is_near_the_network(made: Made, files: dict[str, bytes]) -> None:
    """The scores of the surest of each picture: rounding of all values moves them a little."""
    pairs = zip(*(detections(made, files[name]) for name in ('none', 'int8')), strict=True)
    apart = [abs(float(one.scores.max()) - float(other.scores.max())) for one, other in pairs]
    assert 0 < max(apart) < 0.15, apart


def test_files_that_are_none_of_ours(made: Made, files: dict[str, bytes]) -> None:
    with pytest.raises(errors.UserError, match='TensorFlow Lite cannot read this file'):
        lite_detector.LiteDetector(b'not a flatbuffer', made.params.task)
    other = tf.Module()
    other.run = tf.function(lambda image: {'y': image}, input_signature=[tf.TensorSpec([1], name='image')])
    converter = tf.lite.TFLiteConverter.from_concrete_functions([other.run.get_concrete_function()], other)
    with pytest.raises(errors.UserError, match='this file gives y; needed: detection_boxes'):
        lite_detector.LiteDetector(converter.convert(), made.params.task)


def test_reasons_of_the_converter() -> None:
    text = "some.py:1: error: 'tf.RandomUniform' op is neither a custom op nor a flex op\nmore"
    assert lite.reason(RuntimeError(text)) == 'operations RandomUniform'
    assert lite.reason(RuntimeError('Quantization not yet supported for op: CUSTOM')) == 'operations CUSTOM'
    assert lite.reason(ValueError('\n  it is broken.\nmore')) == 'it is broken'
    assert lite.reason(ValueError()) == 'ValueError'


class Small:
    """A network of one convolution of 12,288 weights; the converter leaves those of under 1,024 in float32."""

    def __init__(self) -> None:
        self.variables = (tf.Variable(tf.random.stateless_normal([8, 8, 3, 64], [1, 2], stddev=0.1)),)

    def __call__(self, images: tf.Tensor, **_: Any) -> dict[str, dict[str, tf.Tensor]]:
        first = tf.nn.conv2d(images, self.variables[0], 8, 'VALID')
        levels = {'3': first, '4': tf.nn.avg_pool2d(first, 2, 2, 'VALID')}
        return {
            'box_outputs': {level: value[..., :4] for level, value in levels.items()},
            'cls_outputs': {level: value[..., 4:8] for level, value in levels.items()},
        }


@pytest.mark.parametrize(
    ('quantization', 'weights', 'arithmetic'),
    [
        ('none', {'float32'}, 'float32'),
        ('float16', {'float16', 'float32'}, 'float32'),  # made float32 as they are needed
        ('dynamic', {'int8'}, 'float32'),
        ('int8', {'int8'}, 'int8'),
    ],
)
def test_each_quantization_s_weights_and_arithmetic(
    made: Made, quantization: str, weights: set[str], arithmetic: str
) -> None:
    content = lite.convert(made.params, made.task, Small(), quantization, made.fitted)
    found, interpreter = operations(content)
    kernels = [one for one in interpreter.get_tensor_details() if np.prod(one['shape']) == 8 * 8 * 3 * 64]
    assert {np.dtype(one['dtype']).name for one in kernels} == weights
    ((_, _, (given,)),) = [one for one in found if one[0] == 'CONV_2D']
    assert np.dtype(given['dtype']).name == arithmetic
    width = {'float32': 4, 'float16': 2, 'int8': 1}[min(weights)]
    assert width * 12_288 < len(content) < width * 12_288 + 12_288


@pytest.mark.parametrize('dtype', ['bfloat16', 'float16'])
def test_16_bits(made: Made, dtype: str) -> None:
    """Weights are the nearest ones of 16 bits, batch norm's stay; what comes out is of 16 bits and near."""
    network = precision.rebuild(made.task, made.model, dtype)
    assert tf.keras.mixed_precision.global_policy().name == 'float32'
    kinds: dict[str, set[str]] = {}
    for variable, given in zip(network.variables, made.model.variables, strict=True):
        kind = 'norm' if any(name in variable.name for name in ('gamma', 'beta', 'moving')) else 'other'
        kinds.setdefault(kind, set()).add(variable.dtype.name)
        np.testing.assert_array_equal(tf.cast(given, variable.dtype), variable)
    assert kinds == {'norm': {'float32'}, 'other': {dtype}}
    expected, found = (outputs(made, made.fitted[0], one)['cls_outputs'] for one in (made.model, network))
    assert found.dtype == dtype
    assert 0 < float(tf.reduce_max(tf.abs(tf.sigmoid(expected) - tf.sigmoid(tf.cast(found, tf.float32))))) < 0.1
    assert precision.overflows(network) == []
    (kernel, *_) = [one for one in network.trainable_variables if 'kernel' in one.name]
    kernel.assign(tf.cast(tf.fill(kernel.shape, 1e5), dtype))  # float16 ends at 65,504
    assert precision.overflows(network) == ([kernel.name] if dtype == 'float16' else [])
