"""The servable: geometry by a detector that can be followed by hand, equality by a real network."""

import io
import pathlib
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from official.core import config_definitions as cfg
from PIL import Image

import official_rethink
from official_rethink.augment import pipeline
from official_rethink.common import errors
from official_rethink.data import records
from official_rethink.modeling import anchor_targets
from official_rethink.serving import detection, module
from tests.pseudo_labels import making
from tests.tasks import small

NAMES = ['background', 'red', '???', 'blue']


class _Weight(tf.Module):
    """Stands for a model with one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = tf.Variable(0.0)

    def __call__(self, values: tf.Tensor, training: bool = False) -> tf.Tensor:
        return values + self.shift


class _RedTask:
    """Finds the extent of what is red."""

    output_size = (32, 32)

    def predict(self, images: tf.Tensor, image_info: tf.Tensor, model: Any) -> dict[str, tf.Tensor]:
        found = making.predict(images, image_info)
        return {**found, 'boxes': model(found['boxes'])}


def _save(
    folder: pathlib.Path,
    task: Any,
    model: Any,
    params: Any,
    batch_size: int | None = None,
    input_type: str = 'all',
) -> tuple[Any, dict[str, Any]]:
    """Saves and loads; returns the loaded model and what was said of its signatures."""
    label_file = folder / 'labels.txt'
    label_file.write_text('\n'.join(NAMES) + '\n')
    detector = detection.DetectionModule(params, task, model, batch_size)
    assets = {'labels_txt': str(label_file)}
    told = module.save(detector, str(folder / 'saved'), input_type, NAMES, assets, 30)
    label_file.unlink()
    return tf.saved_model.load(str(folder / 'saved')), told


def _red_params(**export: bool) -> cfg.ExperimentConfig:
    params = cfg.ExperimentConfig(task=small.small_params())
    params.task.export_config.override(export)
    return params


@pytest.fixture(scope='module')
def red(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, dict[str, Any]]:
    return _save(tmp_path_factory.mktemp('red'), _RedTask(), _Weight(), _red_params())


def _example(encoded: bytes) -> bytes:
    return records.to_example(records.Record('1', encoded, 'png', 40, 80))


def _decoded(encoded: bytes) -> np.ndarray:
    return tf.io.decode_image(encoded, channels=3, expand_animations=False).numpy()


def _all_signatures(loaded: Any, encoded: bytes) -> dict[str, dict[str, np.ndarray]]:
    """What each signature gives for one image."""
    inputs = {
        'image_tensor': tf.constant(_decoded(encoded)[np.newaxis]),
        'serving_default': tf.constant(_decoded(encoded)[np.newaxis]),
        'image_bytes': tf.constant([encoded]),
        'tf_example': tf.constant([_example(encoded)]),
    }
    return {
        name: {key: value.numpy() for key, value in loaded.signatures[name](inputs=value).items()}
        for name, value in inputs.items()
    }


def _same(outputs: dict[str, dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The outputs, once it is shown that all signatures give them."""
    first = outputs['image_tensor']
    for other in outputs.values():
        for name, value in first.items():
            np.testing.assert_array_equal(other[name], value, err_msg=name)
    return first


def test_boxes_are_in_pixels_of_the_image(red: tuple[Any, dict[str, Any]]) -> None:
    # 40 x 80 fits 32 x 32 at 0.4: rows 10 to 30 become 4 to 12, columns 20 to 60 become 8 to 24.
    found = _same(_all_signatures(red[0], making.png(40, 80, (10, 20, 30, 60))))
    np.testing.assert_allclose(found['detection_boxes'][0, 0], [10, 20, 30, 60], atol=1e-4)
    np.testing.assert_allclose(found['image_info'][0], [[40, 80], [32, 32], [0.4, 0.4], [0, 0]], atol=1e-6)
    np.testing.assert_allclose(found['detection_scores'][0], [0.75, 0.5, 0.04, 0.3])
    assert found['detection_classes'].tolist() == [[1, 2, 1, 3]] and found['num_detections'].tolist() == [4]
    kinds = {name: value.dtype for name, value in found.items()}
    assert kinds == {
        'detection_boxes': np.float32,
        'detection_scores': np.float32,
        'detection_classes': np.int32,
        'num_detections': np.int32,
        'image_info': np.float32,
    }


@pytest.mark.parametrize(
    ('height', 'width', 'scale'),
    [
        # The longer side becomes 32; the shorter one is rounded: 37 * 32 / 91 = 13.01, 3 * 32 / 301 = 0.3.
        (37, 91, (13 / 37, 32 / 91)),
        (301, 3, (32 / 301, 1 / 3)),
        (1, 1, (32, 32)),
    ],
)
def test_odd_sizes(
    red: tuple[Any, dict[str, Any]], height: int, width: int, scale: tuple[float, float]
) -> None:
    found = _same(_all_signatures(red[0], making.png(height, width, (0, 0, height, width))))
    np.testing.assert_allclose(found['image_info'][0, 2], scale, rtol=1e-6)
    np.testing.assert_allclose(found['detection_boxes'][0, 0], [0, 0, height, width], rtol=1e-5)


def test_grayscale(red: tuple[Any, dict[str, Any]]) -> None:
    stream = io.BytesIO()
    pixels = np.zeros([32, 32], np.uint8)
    pixels[8:16, 4:30] = 255
    Image.fromarray(pixels).save(stream, 'PNG')
    found = _same(_all_signatures(red[0], stream.getvalue()))
    assert found['detection_boxes'][0, 0].tolist() == [8, 4, 16, 30]


def test_encoded_images_of_several_sizes_in_a_batch(red: tuple[Any, dict[str, Any]]) -> None:
    boxes, sizes = [(10, 20, 30, 60), (0, 0, 64, 64), (4, 8, 12, 16)], [(40, 80), (64, 64), (32, 32)]
    encoded = [making.png(*size, box) for size, box in zip(sizes, boxes, strict=True)]
    for name, values in (('image_bytes', encoded), ('tf_example', [_example(image) for image in encoded])):
        found = red[0].signatures[name](inputs=tf.constant(values))
        np.testing.assert_allclose(found['detection_boxes'][:, 0], boxes, atol=1e-4)


def test_empty_batch(red: tuple[Any, dict[str, Any]]) -> None:
    inputs = {'image_tensor': tf.zeros([0, 40, 80, 3], tf.uint8), 'image_bytes': tf.zeros([0], tf.string)}
    for name, value in inputs.items():
        found = red[0].signatures[name](inputs=value)
        assert found['detection_boxes'].shape == [0, 4, 4] and found['num_detections'].shape == [0]


def test_what_is_no_image(red: tuple[Any, dict[str, Any]]) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match='side of 0 pixels'):
        red[0].signatures['image_tensor'](inputs=tf.zeros([1, 0, 8, 3], tf.uint8))
    with pytest.raises(tf.errors.InvalidArgumentError, match='Unknown image file format'):
        red[0].signatures['image_bytes'](inputs=tf.constant([b'no image']))


def test_labels_travel_in_it(red: tuple[Any, dict[str, Any]]) -> None:
    found = red[0].signatures['metadata']()
    assert [name.decode() for name in found['class_names'].numpy()] == NAMES
    assert found['input_size'].numpy().tolist() == [32, 32] and not found['normalized_coordinates'].numpy()
    assert found['step'].numpy() == 30
    assert found['version'].numpy().decode() == official_rethink.__version__
    text = pathlib.Path(red[0].labels_txt.asset_path.numpy().decode()).read_text()
    assert text.splitlines() == NAMES


def test_signatures_are_told(red: tuple[Any, dict[str, Any]]) -> None:
    told = red[1]
    assert set(told) == {*module.INPUT_TYPES, 'serving_default', 'metadata'} == set(red[0].signatures)
    assert told['image_tensor']['inputs'] == {'inputs': 'uint8 [?, ?, ?, 3]'}
    assert told['tf_example']['inputs'] == {'inputs': 'string [?]'} and told['metadata']['inputs'] == {}
    assert told['image_bytes']['outputs']['detection_boxes'] == 'float32 [?, 4, 4]'


def test_options(tmp_path: pathlib.Path) -> None:
    params = _red_params(
        output_normalized_coordinates=True,
        cast_num_detections_to_float=True,
        cast_detection_classes_to_float=True,
    )
    loaded, told = _save(tmp_path, _RedTask(), _Weight(), params, batch_size=2, input_type='image_bytes')
    assert set(told) == {'image_bytes', 'serving_default', 'metadata'}
    assert told['serving_default']['inputs'] == {'inputs': 'string [2]'}
    images = [making.png(40, 80, (10, 20, 30, 60)), making.png(40, 40, (0, 0, 20, 40))]
    found = loaded.signatures['serving_default'](inputs=tf.constant(images))
    np.testing.assert_allclose(
        found['detection_boxes'][:, 0], [[0.25, 0.25, 0.75, 0.75], [0, 0, 0.5, 1]], atol=1e-5
    )
    assert found['detection_classes'].dtype == found['num_detections'].dtype == tf.float32
    assert loaded.signatures['metadata']()['normalized_coordinates'].numpy()


def test_intermediate_features_are_refused() -> None:
    with pytest.raises(errors.UserError, match='output_intermediate_features is True; allowed: false'):
        detection.DetectionModule(_red_params(output_intermediate_features=True), _RedTask(), _Weight())


def _network(nms_version: str) -> tuple[cfg.ExperimentConfig, Any, tf.keras.Model]:
    """A task and a model that is sure enough of itself to find something in noise."""
    tf.keras.utils.set_random_seed(1)
    task = small.small_task(sync_bn=False)
    generator = {'nms_version': nms_version, 'max_num_detections': 20, 'pre_nms_score_threshold': 0.05}
    if nms_version == 'v1':
        generator['soft_nms_sigma'] = 0.3
    task.task_config.model.detection_generator.override(generator)
    model = task.build_model()
    for variable in model.trainable_variables:
        if 'scores' in variable.name and 'bias' in variable.name:
            variable.assign(tf.fill(variable.shape, -1.5))
    return cfg.ExperimentConfig(task=task.task_config), task, model


def _noise(height: int, width: int) -> bytes:
    pixels = np.random.default_rng(height).integers(0, 256, [height, width, 3], np.uint8)
    return tf.io.encode_png(pixels).numpy()


@pytest.mark.parametrize('nms_version', ['batched', 'v1'])
def test_finds_what_the_task_finds(tmp_path: pathlib.Path, nms_version: str) -> None:
    params, task, model = _network(nms_version)
    loaded, _ = _save(tmp_path, task, model, params)
    found = _same(_all_signatures(loaded, _noise(37, 91)))
    together = loaded.signatures['image_bytes'](inputs=tf.constant([_noise(64, 20), _noise(37, 91)]))

    image, info = pipeline.resize_and_pad(tf.constant(_decoded(_noise(37, 91))), (small.SIZE, small.SIZE))
    expected = task.predict(image[tf.newaxis], info[tf.newaxis], model)
    assert int(expected['num_detections'][0]) > 5
    for name in ('boxes', 'scores', 'classes'):
        ours = f'detection_{name}'
        np.testing.assert_allclose(found[ours], expected[name], atol=1e-4)
        np.testing.assert_allclose(together[ours][1:], expected[name], atol=1e-4)

    # The same by hand: the network's own pixels, over 13 / 37 and 32 / 91, cut at the image's edge.
    levels = anchor_targets.multilevel_anchors(params.task.model)
    anchors = {level: boxes[tf.newaxis] for level, boxes in levels.items()}
    raw = model(task.preprocess(image[tf.newaxis]), image_shape=info[tf.newaxis, 1], anchor_boxes=anchors)
    scale = np.float32([13 / 37, 32 / 91, 13 / 37, 32 / 91])
    by_hand = np.clip(raw['detection_boxes'][0] / scale, 0, [37, 91, 37, 91])
    np.testing.assert_allclose(found['detection_boxes'][0], by_hand, atol=1e-3)
