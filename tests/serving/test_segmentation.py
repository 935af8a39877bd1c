"""The servable segmentation network: a network that can be followed by hand, equality by a real one, bad input."""

import io
import pathlib
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from official.core import config_definitions as cfg
from PIL import Image

from official_rethink.augment import pipeline
from official_rethink.modeling import dense_inference
from official_rethink.serving import map_verification, module, segmentation
from tests.pseudo_labels import making_maps
from tests.tasks import small_segmentation

NAMES = ['background', 'red', '???', 'green']
SIZES = [(24, 32), (17, 41), (90, 20), (1, 1), (3, 301)]


class _Task:
    """Stands for a task: every pixel is its own logits, by `making_maps.logits`; at scale 1 alone."""

    output_size = (32, 32)

    def dense_views(self, images: tf.Tensor, image_info: tf.Tensor, model: Any) -> list[dense_inference.View]:
        logits = making_maps.logits(images) + model(tf.zeros([]))
        return [dense_inference.View(logits, dense_inference.content_size(image_info, self.output_size), False)]


class _Weight(tf.Module):
    def __init__(self) -> None:
        super().__init__()
        self.shift = tf.Variable(0.0)

    def __call__(self, values: tf.Tensor) -> tf.Tensor:
        return values + self.shift


def _params(probabilities: bool = True, **inference: Any) -> cfg.ExperimentConfig:
    params = cfg.ExperimentConfig(task=small_segmentation.params(sync_bn=False))
    params.task.export_config.output_probabilities = probabilities
    params.task.inference.override(inference)
    return params


def _save(folder: pathlib.Path, task: Any, model: Any, params: Any, batch_size: int | None = None) -> tuple[Any, Any]:
    network = segmentation.SegmentationModule(params, task, model, batch_size)
    told = module.save(network, str(folder / 'saved'), 'all', NAMES, {}, 30)
    return tf.saved_model.load(str(folder / 'saved')), told


@pytest.fixture(scope='module')
def colours(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    return _save(tmp_path_factory.mktemp('colours'), _Task(), _Weight(), _params())


def _png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, 'PNG')
    return stream.getvalue()


def _halves(height: int, width: int) -> np.ndarray:
    """Red on the left, grey on the right."""
    pixels = np.full((height, width, 3), 90, np.uint8)
    pixels[:, : width // 2] = (255, 0, 0)
    return pixels


def test_the_class_map_has_the_image_s_size(colours: tuple[Any, Any]) -> None:
    """40 x 80 is shrunk by 0.4 to 16 x 32 for the network and the answer enlarged again."""
    found = colours[0].signatures['image_tensor'](inputs=_halves(40, 80)[np.newaxis])
    classes = found['class_map'].numpy()[0]
    assert classes.shape == (40, 80) and classes.dtype == np.uint8
    assert (classes[:, :39] == 1).all() and (classes[:, 41:] == 0).all()
    # Logits of 255 / 50 - 2 = 3.1 for red, 0 for background, -9 and -7.1: a share of 0.957, 244 of 255.
    share = np.exp(3.1) / (np.exp(3.1) + 1 + np.exp(-9) + np.exp(-7.1))
    assert (found['score_map'].numpy()[0, :, :30] == round(255 * share)).all()
    np.testing.assert_allclose(found['probabilities'].numpy()[0, 5, 5, 1], share, rtol=1e-5)
    np.testing.assert_allclose(found['image_info'].numpy()[0], [[40, 80], [32, 32], [0.4, 0.4], [0, 0]], atol=1e-6)


def test_sizes_may_differ_within_a_batch_of_encoded_images(colours: tuple[Any, Any]) -> None:
    images = [_halves(*size) for size in SIZES]
    together = colours[0].signatures['image_bytes'](inputs=tf.constant([_png(image) for image in images]))
    classes, scores = (together[name].numpy() for name in ('class_map', 'score_map'))
    assert classes.shape == scores.shape == (5, 90, 301)
    assert together['probabilities'].shape == (5, 90, 301, small_segmentation.NUM_CLASSES)
    for number, (height, width) in enumerate(SIZES):
        alone = colours[0].signatures['image_tensor'](inputs=images[number][np.newaxis])
        assert alone['class_map'].shape == (1, height, width)
        np.testing.assert_array_equal(classes[number, :height, :width], alone['class_map'][0])
        np.testing.assert_array_equal(scores[number, :height, :width], alone['score_map'][0])
        outside = np.ones((90, 301), bool)
        outside[:height, :width] = False
        assert (classes[number][outside] == 255).all() and (scores[number][outside] == 0).all()
        assert (together['probabilities'].numpy()[number][outside] == 0).all()
        assert together['image_info'][number, 0].numpy().tolist() == [height, width]


def test_one_pixel(colours: tuple[Any, Any]) -> None:
    for colour, label in (((255, 0, 0), 1), ((0, 255, 0), 3), ((90, 90, 90), 0)):
        found = colours[0].signatures['image_tensor'](inputs=np.uint8([[[colour]]]))
        assert found['class_map'].numpy().tolist() == [[[label]]]


def test_no_image(colours: tuple[Any, Any]) -> None:
    inputs = {'image_tensor': tf.zeros([0, 40, 80, 3], tf.uint8), 'image_bytes': tf.zeros([0], tf.string)}
    for name, value in inputs.items():
        found = colours[0].signatures[name](inputs=value)
        assert found['class_map'].shape[0] == found['score_map'].shape[0] == found['probabilities'].shape[0] == 0


@pytest.mark.parametrize('broken', [b'', b'no image', _png(_halves(8, 8))[:60]])
def test_broken_bytes(colours: tuple[Any, Any], broken: bytes) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError):
        colours[0].signatures['image_bytes'](inputs=tf.constant([_png(_halves(8, 8)), broken]))


def test_an_image_without_pixels(colours: tuple[Any, Any]) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match='side of 0 pixels'):
        colours[0].signatures['image_tensor'](inputs=tf.zeros([1, 0, 8, 3], tf.uint8))


def test_grayscale_and_examples(colours: tuple[Any, Any]) -> None:
    grey = np.full((9, 13), 77, np.uint8)
    example = tf.train.Example()
    example.features.feature['image/encoded'].bytes_list.value.append(_png(grey))
    for name, value in (('image_bytes', _png(grey)), ('tf_example', example.SerializeToString())):
        found = colours[0].signatures[name](inputs=tf.constant([value]))
        assert found['class_map'].shape == (1, 9, 13) and not found['class_map'].numpy().any()


def test_what_the_metadata_tell(colours: tuple[Any, Any]) -> None:
    found = colours[0].signatures['metadata']()
    assert [name.decode() for name in found['class_names'].numpy()] == NAMES
    assert found['scales'].numpy().tolist() == [1.0] and not found['flip'].numpy()
    assert found['gives_probabilities'].numpy() and found['step'].numpy() == 30
    told = colours[1]
    assert told['image_bytes']['outputs']['class_map'] == 'uint8 [?, ?, ?]'
    assert told['image_tensor']['inputs'] == {'inputs': 'uint8 [?, ?, ?, 3]'}


def test_gives_what_the_task_gives(tmp_path: pathlib.Path) -> None:
    """A real network, from the task's own `predict_maps`, over scales and mirrors too."""
    tf.keras.utils.set_random_seed(1)
    params = _params(probabilities=False, scales=[0.5, 1.0], flip=True)
    task = small_segmentation.segmentation.SegmentationTask(params.task)
    model = task.build_model()
    loaded, told = _save(tmp_path, task, model, params, batch_size=2)
    assert 'probabilities' not in told['image_bytes']['outputs']
    generator = np.random.default_rng(0)
    images = [generator.integers(0, 256, [height, width, 3], np.uint8) for height, width in ((37, 91), (20, 9))]
    found = loaded.signatures['image_bytes'](inputs=tf.constant([_png(image) for image in images]))
    for number, image in enumerate(images):
        resized, info = pipeline.resize_and_pad(tf.constant(image), task.output_size)
        expected = task.predict_maps(resized[tf.newaxis], info[tf.newaxis], model, tf.constant(image.shape[:2]))
        height, width = image.shape[:2]
        same = expected['classes'][0].numpy() == found['class_map'][number, :height, :width].numpy()
        assert same.mean() > 0.999  # equally likely classes may come either way
        scores = found['score_map'][number, :height, :width].numpy().astype(int)
        assert np.abs(expected['scores'][0].numpy() - scores).max() <= 1
    assert len(np.unique(found['class_map'])) > 2


def _answer(expected: np.ndarray) -> dict[str, np.ndarray]:
    best = np.floor(255 * expected.max(-1) + 0.5).astype(np.uint8)
    return {'class_map': expected.argmax(-1).astype(np.uint8), 'score_map': best, 'probabilities': expected.copy()}


def test_what_the_comparison_lets_pass_and_what_not() -> None:
    """Three pixels: sure of 0, sure of 1, both as likely within the tolerance."""
    expected = np.float32([[[0.9, 0.1], [0.2, 0.8], [0.50001, 0.49999]]])
    assert map_verification.compare(expected, _answer(expected)).passes
    tie = _answer(expected)
    tie['class_map'][0, 2] = 1
    assert map_verification.compare(expected, tie).passes
    wrong = _answer(expected)
    wrong['class_map'][0, 0] = 1
    found = map_verification.compare(expected, wrong)
    assert found.mismatches == 1 and not found.passes
    void = _answer(expected)
    void['class_map'][0, 1] = 255
    assert map_verification.compare(expected, void).mismatches == 1
    score = _answer(expected)
    score['score_map'][0, 1] += 1
    assert map_verification.compare(expected, score).passes
    score['score_map'][0, 1] += 1
    assert not map_verification.compare(expected, score).passes
    share = _answer(expected)
    share['probabilities'][0, 0, 0] += 0.001
    assert not map_verification.compare(expected, share).passes
    share['probabilities'][0, 0, 0] = np.nan
    assert not map_verification.compare(expected, share).passes


def test_padding_has_to_be_void_and_nothing_may_be_missing() -> None:
    expected = np.float32([[[0.9, 0.1], [0.2, 0.8]]])
    answer = {}
    for name, value in _answer(expected).items():
        answer[name] = np.pad(value, [(0, 2), (0, 1)] + [(0, 0)] * (value.ndim - 2))
    assert map_verification.compare(expected, answer).mismatches == 3 * 3 - 2
    answer['class_map'][1:] = 255
    answer['class_map'][:, 2:] = 255
    assert map_verification.compare(expected, answer).passes
    cut = {name: value[:, :1] for name, value in _answer(expected).items()}
    assert map_verification.compare(expected, cut).mismatches == 2
