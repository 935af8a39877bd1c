"""The command of step 3 with a real segmentation network: several scales, tiles, truth, a second start, mistakes."""

import json
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from official_rethink import pseudo_label, train
from official_rethink.augment import pipeline
from official_rethink.common import errors
from official_rethink.configs import parse
from official_rethink.data import label_maps, scenes, shards
from official_rethink.tasks import segmentation

EXPERIMENT = 'seg_deeplabv3plus_resnet_pascal'
CONFIG = """
runtime: {{mixed_precision_dtype: float32, distribution_strategy: one_device}}
task:
  model:
    num_classes: 3
    input_size: [32, 32, 3]
    max_level: 5
    backbone: {{type: resnet, resnet: {{model_id: 10, depth_multiplier: 0.25}}}}
    decoder: {{aspp: {{level: 5, num_filters: 8, dilation_rates: [1]}}}}
    head: {{level: 5, num_convs: 1, num_filters: 8, low_level: 2, low_level_num_filters: 4}}
    norm_activation: {{use_sync_bn: false}}
    decoder_norm_activation: {{use_sync_bn: false}}
  train_data: {{input_path: '{0}/train*', global_batch_size: 2}}
  validation_data: {{input_path: '{0}/val*', global_batch_size: 2}}
"""


def _task(config: pathlib.Path, override: str = '') -> tuple[Any, tf.keras.Model]:
    task = segmentation.SegmentationTask(parse.load(EXPERIMENT, [str(config)], override).params.task)
    return task, task.build_model()


@pytest.fixture(scope='module')
def made(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Scenes, a config and an untrained teacher whose answers differ from pixel to pixel."""
    folder = tmp_path_factory.mktemp('maps')
    settings = scenes.Settings(kind='segmentation', height=40, width=72, difficulty=0.3, num_classes=2)
    for seed, (split, count) in enumerate({'train': 2, 'val': 2, 'unlabelled': 5}.items()):
        scenes.write_scenes(str(folder / 'data'), split, settings, seed, count)
    (folder / 'params.yaml').write_text(CONFIG.format(folder / 'data'))
    tf.keras.utils.set_random_seed(0)
    _, model = _task(folder / 'params.yaml')
    last = model.trainable_variables[-2:]
    assert last[1].shape == [3]
    last[0].assign(400.0 * tf.random.stateless_normal(last[0].shape, [1, 2]))  # the features are small
    tf.train.Checkpoint(**model.checkpoint_items, global_step=tf.Variable(30, dtype=tf.int64)).write(
        str(folder / 'ckpt-30')
    )
    return folder


def _arguments(made: pathlib.Path, out: pathlib.Path, *more: str) -> list[str]:
    return [
        f'--experiment={EXPERIMENT}',
        f'--config_file={made}/params.yaml',
        f'--checkpoint={made}/ckpt-30',
        f'--input={made}/data/unlabelled*',
        f'--output_dir={out}',
        '--shard_size=3',
        '--skip_teacher_evaluation',
        *more,
    ]


@pytest.fixture(scope='module')
def labelled(made: pathlib.Path) -> pathlib.Path:
    """What the command leaves at two scales and mirrored."""
    out = made / 'labels'
    assert pseudo_label.main(_arguments(made, out, '--truth', '--scales=1,1.5', '--flip', '--gallery_images=1')) == 0
    return out


def _maps(record: Any) -> tuple[np.ndarray, np.ndarray]:
    return label_maps.decode(record.label_map_png), label_maps.decode(record.score_map_png)


def test_what_is_left(labelled: pathlib.Path) -> None:
    names = {path.name for path in labelled.iterdir()}
    assert names == {
        '.lock', 'manifest.json', 'pseudo.json', 'gallery.png', 'gallery.json', 'quality.json',
        'pseudo-00000-of-00002.tfrecord', 'pseudo-00001-of-00002.tfrecord',
    }  # fmt: skip
    manifest = json.loads((labelled / 'manifest.json').read_text())
    assert manifest['labels'] == 'label_maps' and manifest['num_pixels'] == 5 * 40 * 72
    asked = {name: manifest['inputs'][name] for name in ('scales', 'flip', 'large_images', 'tile_overlap')}
    assert asked == {'scales': [1.0, 1.5], 'flip': True, 'large_images': 'scale', 'tile_overlap': None}
    quality = json.loads((labelled / 'quality.json').read_text())
    assert quality['images'] == 5 and set(quality['per_category']) == {'background', 'walker', 'windmill'}


def test_labels_are_what_the_network_says_of_each_image(made: pathlib.Path, labelled: pathlib.Path) -> None:
    task, model = _task(made / 'params.yaml', 'task.inference.scales=[1.0,1.5],task.inference.flip=true')
    tf.train.Checkpoint(**model.checkpoint_items).read(f'{made}/ckpt-30').expect_partial()
    for record in list(shards.read(str(labelled)))[:2]:
        image = tf.io.decode_image(record.encoded, channels=3, expand_animations=False)
        resized, info = pipeline.resize_and_pad(image, (32, 32))
        found = task.predict_maps(resized[tf.newaxis], info[tf.newaxis], model, tf.constant([40, 72]))
        classes, scores = _maps(record)
        assert (classes == found['classes'][0].numpy()).mean() > 0.99
        np.testing.assert_allclose(scores.astype(int), found['scores'][0].numpy(), atol=2)


def test_a_second_start(made: pathlib.Path, labelled: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_bytes() for path in labelled.iterdir()}
    pseudo_label.main(_arguments(made, labelled, '--scales=1,1.5', '--flip'))
    assert {path: path.read_bytes() for path in labelled.iterdir()} == before
    printed = capsys.readouterr()
    assert 'nothing to do' in printed.err and 'share of pixels: ' in printed.out
    with pytest.raises(errors.UserError, match=r'made otherwise .flip: there True, now False; scales: there \[1.0, '):
        pseudo_label.main(_arguments(made, labelled))


def test_tiles(made: pathlib.Path, labelled: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """The network sees the pixels as they are; each image is six tiles of 32 pixels."""
    pseudo_label.main(_arguments(made, tmp_path, '--large_images=tile', '--tile_overlap=8', '--gallery_images=0'))
    task, model = _task(made / 'params.yaml')
    tf.train.Checkpoint(**model.checkpoint_items).read(f'{made}/ckpt-30').expect_partial()
    record = next(iter(shards.read(str(tmp_path))))
    image = tf.io.decode_image(record.encoded, channels=3, expand_animations=False)
    info = tf.constant([[[32, 32], [32, 32], [1, 1], [0, 0]]], tf.float32)
    corner = task.predict_maps(image[tf.newaxis, :32, :32], info, model, tf.constant([32, 32]))
    classes, scores = _maps(record)
    assert classes.shape == (40, 72)
    # Tiles begin at 0, 20 and 40; what neighbours share from 20 to 31 is halved.
    np.testing.assert_allclose(scores[:20, :26].astype(int), corner['scores'][0, :20, :26].numpy(), atol=2)
    whole, _ = _maps(next(iter(shards.read(str(labelled)))))
    assert (whole != classes).any()


@pytest.mark.parametrize(
    ('flags', 'told'),
    [
        (['--scales=0.5,x'], "scales is '0.5,x' .*numbers with commas between them"),
        (['--score_floor=0.1'], '--score_floor is 0.1, but of a label map every pixel is stored'),
        (['--large_images=cut'], "invalid choice: 'cut'"),
        (['--tile_overlap=4'], '--large_images=scale cuts no tiles'),
        (['--large_images=tile', '--tile_overlap=32'], 'tile_overlap is 32 .*0 to 31'),
        (['--truth=none*'], "no shards match 'none"),
        (['--checkpoint=none'], "no checkpoint at 'none'"),
    ],
)
def test_mistakes(made: pathlib.Path, tmp_path: pathlib.Path, flags: Sequence[str], told: str) -> None:
    with pytest.raises(errors.UserError, match=told):
        pseudo_label.main(_arguments(made, tmp_path, *flags))
    assert not list(tmp_path.glob('*pseudo*'))


def test_students_that_are_refused(made: pathlib.Path, labelled: pathlib.Path, tmp_path: pathlib.Path) -> None:
    pseudo = f'{{input_path: {labelled}/pseudo*, global_batch_size: 2}}'
    (tmp_path / 'student.yaml').write_text(f'task: {{pseudo_data: {pseudo}}}')
    arguments = [
        f'--experiment=self_training_{EXPERIMENT}',
        f'--config_file={made}/params.yaml',
        f'--config_file={tmp_path}/student.yaml',
        '--mode=train',
        f'--model_dir={tmp_path}/run',
    ]
    with pytest.raises(errors.UserError, match='no pixel in .*score_threshold 1.0 or more; the best has 0.'):
        train.main([*arguments, '--params_override=task.pseudo_data.score_threshold=1.0'])
    seen = f'task.validation_data.input_path={made}/data/unlabelled*,task.pseudo_data.score_threshold=0.1'
    with pytest.raises(errors.UserError, match='task.validation_data .* share 5 images'):
        train.main([*arguments, f'--params_override={seen}'])
    assert not (tmp_path / 'run').exists()
