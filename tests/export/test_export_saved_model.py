"""The command of step 6, with a real network: what is written, the document's five lines, refusals."""

import json
import os
import pathlib
import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from export import export_saved_model
from official_rethink.common import errors, files
from official_rethink.configs import parse
from official_rethink.pseudo_labels import teacher
from official_rethink.serving import module
from official_rethink.tasks import detection as detection_task
from tests.pseudo_labels import making
from tools import tiny_teacher

DOCUMENT = pathlib.Path(__file__).parents[2] / 'docs' / 'serving.md'


@pytest.fixture(scope='module')
def made(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Images of many sizes, a config, an untrained checkpoint that draws boxes, and one that draws none."""
    folder = tmp_path_factory.mktemp('export')
    making.write(folder / 'data', 'val', 7, labelled=True)
    config = str(folder / 'params.yaml')
    tiny_teacher.write_config(config, str(folder / 'data'), num_classes=4, side=32, width=0.25)
    biases = {str(folder / 'sure' / 'ckpt-30'): tiny_teacher.SURE, str(folder / 'blind' / 'ckpt-30'): -20.0}
    tiny_teacher.write_checkpoints(config, biases)
    return folder


def _arguments(made: pathlib.Path, out: pathlib.Path, *more: str) -> list[str]:
    return [
        f'--experiment={tiny_teacher.EXPERIMENT}',
        f'--config_file={made}/params.yaml',
        f'--checkpoint={made}/sure/ckpt-30',
        f'--export_dir={out}',
        *more,
    ]


@pytest.fixture(scope='module')
def exported(made: pathlib.Path) -> pathlib.Path:
    out = made / 'export'
    assert export_saved_model.main(_arguments(made, out, '--verify_images=5')) == 0
    return out


def _json(path: pathlib.Path) -> Any:
    return json.loads(path.read_text())


def test_what_is_left(made: pathlib.Path, exported: pathlib.Path) -> None:
    assert sorted(os.listdir(exported)) == [
        'export.json', 'labels.json', 'labels.txt', 'params.yaml', 'saved_model', 'verification.json'
    ]  # fmt: skip
    assert not list(made.glob('.export*'))
    names = ['background', 'red', '???', 'blue']
    about = _json(exported / 'export.json')
    assert about['class_names'] == names
    assert about['input_size'] == [32, 32, 3] and about['batch_size'] is None
    assert about['checkpoint']['name'] == 'ckpt-30' and about['checkpoint']['step'] == 30
    assert about['checkpoint']['digest'] == teacher.find(f'{made}/sure/ckpt-30').digest
    params = parse.load_experiment(tiny_teacher.EXPERIMENT, [f'{made}/params.yaml'])
    assert about['config_hash'] == files.hash_of(params.as_dict())
    assert parse.load_experiment(tiny_teacher.EXPERIMENT, [f'{exported}/params.yaml']).as_dict() == params.as_dict()
    assert set(about['signatures']) == {*module.INPUT_TYPES, 'serving_default', 'metadata'}
    # ImageNet's, in 0 to 255.
    np.testing.assert_allclose(about['preprocessing']['mean'], [123.675, 116.28, 103.53])
    np.testing.assert_allclose(about['preprocessing']['standard_deviation'], [58.395, 57.12, 57.375])
    assets = exported / 'saved_model' / 'assets'
    assert (assets / 'labels.txt').read_text().splitlines() == names
    assert _json(assets / 'labels.json') == {'1': 'red', '3': 'blue'}
    report = _json(exported / 'verification.json')
    assert report['passed'] and report['images'] == 5 and report['detections'] > 5
    assert set(report['signatures']) == {*module.INPUT_TYPES, 'serving_default'}
    assert all(found['max_box_difference_pixels'] <= 0.01 for found in report['signatures'].values())


def test_the_lines_of_the_document_run(exported: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """In a process that has none of this project."""
    (code,) = re.findall(r'```python\n(.*?)```', DOCUMENT.read_text(), re.DOTALL)
    assert len(code.splitlines()) == 5
    assert 'score > 0.5' in code  # which an untrained network does not reach
    code = code.replace('score > 0.5', 'score > 0.05')
    (tmp_path / 'photo.jpg').write_bytes(making.png(48, 64, (8, 16, 24, 40)))
    (tmp_path / 'export').symlink_to(exported)
    script = tmp_path / 'load.py'
    script.write_text(code + "import sys\nassert not {'official_rethink', 'official'} & set(sys.modules)\n")
    environment = {name: value for name, value in os.environ.items() if name != 'PYTHONPATH'}
    done = subprocess.run(
        [sys.executable, '-I', str(script)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert re.match(r"\[\('(red|blue|\?\?\?)', (np\.float32\()?0\.\d+\)?, array\(\[", done.stdout), done.stdout


def test_is_a_teacher(made: pathlib.Path, exported: pathlib.Path) -> None:
    """As pseudo_label uses it: fed with images already resized."""
    found = teacher.find(str(exported))
    assert found.is_saved_model and found.path == str(exported / 'saved_model')
    assert teacher.gives_shares(found.path) is False
    loaded = teacher.SavedModel(found.path, (32, 32), False, tf.distribute.get_strategy())
    task = detection_task.DetectionTask(parse.load_experiment(tiny_teacher.EXPERIMENT, [f'{made}/params.yaml']).task)
    model = task.build_model()
    tf.train.Checkpoint(**model.checkpoint_items).read(f'{made}/sure/ckpt-30').expect_partial()
    for images, labels in task.build_inputs(task.task_config.validation_data).take(1):
        expected = task.predict(images, labels['image_info'], model)
        ours = loaded.predict(images, labels['image_info'])
    assert int(tf.reduce_sum(ours['num_detections'])) > 4
    for name in ('boxes', 'scores', 'classes', 'num_detections'):
        np.testing.assert_allclose(ours[name], expected[name], atol=1e-3)


def test_other_weights_are_found_out(
    made: pathlib.Path,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One weight of the file differs by a little; an older export survives, and is replaced later."""
    out = tmp_path / 'export'
    out.mkdir()
    (out / 'export.json').write_text('old')
    write = tf.saved_model.save

    def tamper(servable: Any, *args: Any, **kwargs: Any) -> None:
        (weight,) = [value for value in servable.weights if 'box' in value.name and 'bias' in value.name][:1]
        weight.assign_add(tf.fill(weight.shape, 0.01))
        write(servable, *args, **kwargs)
        weight.assign_sub(tf.fill(weight.shape, 0.01))

    more = ('--input_type=tf_example', '--batch_size=3', '--overwrite', '--verify_images=4')
    arguments = _arguments(made, out, *more)
    with monkeypatch.context() as context:
        context.setattr(tf.saved_model, 'save', tamper)
        assert export_saved_model.main(arguments) == 1
    assert os.listdir(out) == ['export.json']
    assert sorted(os.listdir(tmp_path)) == ['export', 'export.failed.json']
    assert 'differs from the checkpoint (serving_default: boxes' in capsys.readouterr().err
    report = _json(tmp_path / 'export.failed.json')
    assert not report['passed'] and not report['signatures']['tf_example']['passed']
    # A hundredth of an anchor's 24 or 48 pixels, over a scale of 0.67 or less, is more than 0.3 pixels.
    assert report['signatures']['tf_example']['max_box_difference_pixels'] > 0.1
    assert export_saved_model.main(arguments) == 0
    assert _json(out / 'verification.json')['passed'] and _json(out / 'export.json')['batch_size'] == 3


@pytest.mark.parametrize(
    ('more', 'told'),
    [
        (['--checkpoint={}/none'], "no checkpoint at '.*none'"),
        (['--checkpoint={}/data'], 'no checkpoint in the folder'),
        (['--experiment=retinanet_efficientnet'], "Did you mean 'retinanet_efficientnet_coco'"),
        (['--experiment=self_training_retinanet_spinenet_coco'], r'soft_nms_sigma is 0\.3 \(set in factory\)'),
        (['--export_dir={}/data'], 'is no export'),
        (['--input_type=image'], "invalid choice: 'image'"),
        (['--batch_size=0'], 'batch_size is 0 .*allowed: 1 or more'),
        (['--verify_images=0'], 'verify_images is 0'),
        (['--verify_input={}/gone*'], 'no shards match'),
        (['--verify_image=3'], "Did you mean '--verify_images'"),
        (['--labels={}/none.json'], 'no file at'),
        (['--params_override=task.validation_data.input_path=gone*'], 'names of the classes are not known'),
        (
            ['--params_override=task.validation_data.input_path=gone*', '--labels={}/data/val.json'],
            r"data are not there \('gone\*'\); .* with --verify_input",
        ),
        (['--params_override=task.model.head.num_filters=16'], 'does not fit the model'),
        (['--checkpoint={}/blind'], 'finds nothing on 7 images'),
    ],
)
def test_refused(made: pathlib.Path, tmp_path: pathlib.Path, more: list[str], told: str) -> None:
    (made / 'blind' / 'checkpoint').write_text('model_checkpoint_path: "ckpt-30"\n')
    arguments = _arguments(made, tmp_path / 'out', '--input_type=image_bytes')
    with pytest.raises(errors.UserError, match=told):
        export_saved_model.main([*arguments, *(value.format(made) for value in more)])
    assert os.listdir(tmp_path) == []


def test_a_saved_model_is_no_checkpoint(
    made: pathlib.Path, exported: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    with pytest.raises(errors.UserError, match='is a SavedModel already'):
        export_saved_model.main(_arguments(made, tmp_path / 'out', f'--checkpoint={exported}'))
    with pytest.raises(errors.UserError, match='holds an export already'):
        export_saved_model.main(_arguments(made, exported))
