"""Exporting a segmentation network: what is written, plain TensorFlow's answer, what is refused."""

import json
import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from export import export_saved_model
from official_rethink.augment import pipeline
from official_rethink.common import errors
from official_rethink.configs import parse
from official_rethink.tasks import segmentation
from tests.pseudo_labels import making_maps

EXPERIMENT = 'seg_deeplabv3plus_resnet_pascal'
DOCUMENT = pathlib.Path(__file__).parents[2] / 'docs' / 'segmentation.md'
CONFIG = """
runtime: {{mixed_precision_dtype: float32}}
task:
  model:
    num_classes: 4
    input_size: [32, 32, 3]
    min_level: 2
    max_level: 5
    backbone: {{type: resnet, resnet: {{model_id: 10, depth_multiplier: 0.25}}}}
    decoder: {{type: aspp, aspp: {{level: 5, num_filters: 8, dilation_rates: [1]}}}}
    head: {{level: 5, num_convs: 1, num_filters: 8, low_level: 2, low_level_num_filters: 4}}
    norm_activation: {{use_sync_bn: false}}
    decoder_norm_activation: {{use_sync_bn: false}}
  export_config: {{output_probabilities: true}}
  train_data: {{input_path: '{0}/train*', global_batch_size: 4}}
  validation_data: {{input_path: '{0}/val*', global_batch_size: 4}}
"""


@pytest.fixture(scope='module')
def made(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Images of many sizes, a config, an untrained checkpoint, and one whose weights are not finite."""
    folder = tmp_path_factory.mktemp('export')
    making_maps.write(folder / 'data', 'val', 6, labelled=True)
    (folder / 'params.yaml').write_text(CONFIG.format(folder / 'data'))
    tf.keras.utils.set_random_seed(0)
    params = parse.load_experiment(EXPERIMENT, [str(folder / 'params.yaml')])
    model = segmentation.SegmentationTask(params.task).build_model()
    checkpoint = tf.train.Checkpoint(**model.checkpoint_items, global_step=tf.Variable(30, dtype=tf.int64))
    checkpoint.write(str(folder / 'good' / 'ckpt-30'))
    weight = model.trainable_variables[-1]
    weight.assign(tf.fill(weight.shape, np.nan))
    checkpoint.write(str(folder / 'broken' / 'ckpt-30'))
    return folder


def _arguments(made: pathlib.Path, out: pathlib.Path, *more: str) -> list[str]:
    return [
        f'--experiment={EXPERIMENT}',
        f'--config_file={made}/params.yaml',
        f'--checkpoint={made}/good/ckpt-30',
        f'--export_dir={out}',
        *more,
    ]


@pytest.fixture(scope='module')
def exported(made: pathlib.Path) -> pathlib.Path:
    out = made / 'export'
    assert export_saved_model.main(_arguments(made, out, '--verify_images=6')) == 0
    return out


def test_what_is_left(exported: pathlib.Path) -> None:
    assert sorted(os.listdir(exported)) == [
        'export.json', 'labels.json', 'labels.txt', 'params.yaml', 'saved_model', 'verification.json'
    ]  # fmt: skip
    about = json.loads((exported / 'export.json').read_text())
    assert about['class_names'] == ['background', 'red', '???', 'green'] and about['probabilities']
    assert about['scales'] == [1.0] and about['flip'] is False and 'nms_version' not in about
    report = json.loads((exported / 'verification.json').read_text())
    assert report['passed'] and report['images'] == 6
    # All pixels of the images, one of which has a single one.
    assert report['pixels'] == sum(height * width for height, width in making_maps.SIZES)
    assert set(report['signatures']) == {'image_tensor', 'image_bytes', 'tf_example', 'serving_default'}
    for found in report['signatures'].values():
        assert found['class_mismatches'] == 0 and found['max_score_difference'] <= 1
        assert found['max_probability_difference'] <= 1e-4


_SCRIPT = """
import sys
import numpy as np
import tensorflow as tf
model = tf.saved_model.load('export/saved_model')
encoded = [open(name, 'rb').read() for name in ('a.png', 'b.png')]
found = model.signatures['image_bytes'](inputs=tf.constant(encoded))
np.savez('found.npz', **{name: value.numpy() for name, value in found.items()})
assert not {'official_rethink', 'official'} & set(sys.modules)
"""


def test_plain_tensorflow_gives_what_the_checkpoint_gives(
    made: pathlib.Path, exported: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """In a process that has none of this project, and against the model's raw logits."""
    (tmp_path / 'export').symlink_to(exported)
    generator = np.random.default_rng(0)
    sizes = ((48, 64), (64, 16))  # both halved: 24 x 32 and 32 x 8 of the network's pixels, 6 x 8 and 8 x 2 logits
    images = [generator.integers(0, 256, [*size, 3], np.uint8) for size in sizes]
    for name, image in zip(('a.png', 'b.png'), images, strict=True):
        (tmp_path / name).write_bytes(tf.io.encode_png(image).numpy())
    done = _alone(_SCRIPT, tmp_path)
    assert done.returncode == 0, done.stderr
    found = np.load(tmp_path / 'found.npz')
    assert found['class_map'].shape == (2, 64, 64)

    task = segmentation.SegmentationTask(parse.load_experiment(EXPERIMENT, [f'{made}/params.yaml']).task)
    model = task.build_model()
    tf.train.Checkpoint(**model.checkpoint_items).read(f'{made}/good/ckpt-30').expect_partial()
    for row, (image, under) in enumerate(zip(images, ((6, 8), (8, 2)), strict=True)):
        height, width = image.shape[:2]
        resized, _ = pipeline.resize_and_pad(tf.constant(image), (32, 32))
        logits = model(task.preprocess(resized[tf.newaxis]), training=False)['logits']
        assert logits.shape == [1, 8, 8, 4]
        # The logits under the image alone, enlarged by TensorFlow itself.
        enlarged = tf.image.resize(logits[:, : under[0], : under[1]], (height, width))
        shares = tf.nn.softmax(enlarged)[0].numpy()
        np.testing.assert_allclose(found['probabilities'][row, :height, :width], shares, atol=1e-4)
        best, second = np.sort(shares, axis=-1)[..., -1], np.sort(shares, axis=-1)[..., -2]
        classes = found['class_map'][row, :height, :width]
        assert (classes == shares.argmax(-1))[best - second > 1e-3].all()
    assert (found['class_map'][0, 48:] == 255).all() and (found['class_map'][1, :, 16:] == 255).all()


def _alone(code: str, folder: pathlib.Path) -> subprocess.CompletedProcess[str]:
    script = folder / 'load.py'
    script.write_text(code)
    environment = {name: value for name, value in os.environ.items() if name != 'PYTHONPATH'}
    command = [sys.executable, '-I', str(script)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_lines_of_the_document_run(exported: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (code,) = re.findall(r'```python\n(.*?)```', DOCUMENT.read_text(), re.DOTALL)
    (tmp_path / 'photo.jpg').write_bytes(making_maps.record(0).encoded)
    (tmp_path / 'export').symlink_to(exported)
    done = _alone(code, tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.match(r"\(24, 32\) \{'\w+|\?\?\?", done.stdout), done.stdout


def test_other_weights_are_found_out(
    made: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write = tf.saved_model.save

    def tamper(servable, *args, **kwargs):
        (weight,) = [value for value in servable.weights if value.name.endswith('bias:0') and value.shape == [4]]
        weight.assign_add([0.0, 0.5, 0.0, 0.0])  # the class 'red' is likelier
        write(servable, *args, **kwargs)
        weight.assign_sub([0.0, 0.5, 0.0, 0.0])

    monkeypatch.setattr(tf.saved_model, 'save', tamper)
    arguments = _arguments(made, tmp_path / 'out', '--input_type=image_bytes', '--batch_size=4', '--verify_images=5')
    # A fixed batch is filled up: five images are two batches of four.
    assert export_saved_model.main(arguments) == 1
    assert os.listdir(tmp_path) == ['out.failed.json']
    assert re.search(r'differs from the checkpoint \((image_bytes|serving_default): ', capsys.readouterr().err)
    report = json.loads((tmp_path / 'out.failed.json').read_text())
    assert report['signatures']['image_bytes']['max_probability_difference'] > 0.01


def test_a_network_that_has_diverged_is_refused(made: pathlib.Path, tmp_path: pathlib.Path) -> None:
    arguments = _arguments(made, tmp_path / 'out', '--input_type=image_bytes')
    with pytest.raises(errors.UserError, match='gives no finite probabilities for image'):
        export_saved_model.main([*arguments, f'--checkpoint={made}/broken/ckpt-30'])
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ('more', 'told'),
    [
        (['--experiment=seg_deeplabv3plus_resnt_pascal'], "Did you mean 'seg_deeplabv3plus_resnet_pascal'"),
        (['--params_override=task.export_config.output_probabilites=true'], "Did you mean '.*output_probabilities'"),
        (['--params_override=task.inference.scales=[0]'], r'task\.inference\.scales'),
        (['--labels={}/none.json'], 'no file at'),
    ],
)
def test_mistakes_are_named(made: pathlib.Path, tmp_path: pathlib.Path, more: list[str], told: str) -> None:
    with pytest.raises(errors.UserError, match=told):
        export_saved_model.main(_arguments(made, tmp_path / 'out', *(value.format(made) for value in more)))
    assert os.listdir(tmp_path) == []
