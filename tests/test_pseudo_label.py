"""The command of step 3, with a real network: labels, manifest, restart, SavedModel, refusals."""

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
from official_rethink.data import scenes, shards
from official_rethink.pseudo_labels import box_labels, labelling
from official_rethink.tasks import evaluate
from tests.pseudo_labels import making
from tools import tiny_teacher


@pytest.fixture(scope='module')
def made(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Scenes, a config and an untrained teacher that is sure enough of itself to draw boxes."""
    folder = tmp_path_factory.mktemp('pseudo_label')
    settings = scenes.Settings(kind='detection', height=64, width=80, difficulty=0.3, num_classes=2)
    for seed, (split, count) in enumerate({'train': 4, 'val': 4, 'unlabelled': 12}.items()):
        scenes.write_scenes(str(folder / 'data'), split, settings, seed, count)
    tiny_teacher.write_config(str(folder / 'params.yaml'), str(folder / 'data'))
    tiny_teacher.write_checkpoints(str(folder / 'params.yaml'), {str(folder / 'ckpt-30'): tiny_teacher.SURE})
    return folder


def _arguments(made: pathlib.Path, out: pathlib.Path, *more: str) -> list[str]:
    return [
        f'--experiment={tiny_teacher.EXPERIMENT}',
        f'--config_file={made}/params.yaml',
        f'--checkpoint={made}/ckpt-30',
        f'--input={made}/data/unlabelled*',
        f'--output_dir={out}',
        '--shard_size=5',
        *more,
    ]


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, float]]:
    """What evaluations are to say, one after the other."""
    metrics: list[dict[str, float]] = []
    monkeypatch.setattr(evaluate, 'evaluate', lambda *unused: metrics.pop())
    return metrics


@pytest.fixture(scope='module')
def labelled(made: pathlib.Path) -> pathlib.Path:
    """What the command leaves; the scenes' own labels are the truth, and the teacher is not measured."""
    out = made / 'labels'
    assert pseudo_label.main(_arguments(made, out, '--truth', '--skip_teacher_evaluation')) == 0
    return out


def test_what_is_left(made: pathlib.Path, labelled: pathlib.Path) -> None:
    names = {path.name for path in labelled.iterdir()}
    assert names == {
        '.lock', 'manifest.json', 'pseudo.json', 'gallery.png', 'gallery.json', 'quality.json',
        *(f'pseudo-0000{i}-of-00003.tfrecord' for i in range(3)),
    }  # fmt: skip
    manifest = json.loads((labelled / 'manifest.json').read_text())
    assert manifest['teacher']['checkpoint'] == 'ckpt-30' and manifest['teacher']['step'] == 30
    assert manifest['teacher']['metrics'] is None
    assert [category['name'] for category in manifest['categories']] == ['walker', 'windmill']
    records = list(shards.read(str(labelled)))
    boxes = [annotation for record in records for annotation in record.annotations]
    assert len(records) == manifest['num_images'] == 12
    assert len(boxes) == manifest['num_instances'] == sum(manifest['score_histogram']['counts']) > 12
    assert manifest['mean_score'] == pytest.approx(np.mean([box.score or 0 for box in boxes]), abs=1e-6)
    assert all(0.05 <= (box.score or 0) <= 1 and box.label in (1, 2) for box in boxes)
    quality = json.loads((labelled / 'quality.json').read_text())
    truth = shards.load_description(f'{made}/data/unlabelled*')
    assert quality['images'] == 12 and quality['truth'] == truth['num_instances']


def test_labels_are_what_the_network_says_of_each_image(made: pathlib.Path, labelled: pathlib.Path) -> None:
    task, model = tiny_teacher.build(f'{made}/params.yaml')
    reader = tf.train.Checkpoint(**model.checkpoint_items)
    reader.read(f'{made}/ckpt-30').expect_partial()
    for record in list(shards.read(str(labelled)))[:3]:
        image = tf.io.decode_image(record.encoded, channels=3, expand_animations=False)
        resized, info = pipeline.resize_and_pad(image, (64, 64))
        found = task.predict(resized[tf.newaxis], info[tf.newaxis], model)
        count = int(found['num_detections'][0])
        expected = found['boxes'][0, :count].numpy()
        full = (expected[:, 2] > expected[:, 0]) & (expected[:, 3] > expected[:, 1])
        boxes = np.array([annotation.box for annotation in record.annotations])
        np.testing.assert_allclose(boxes, expected[full], atol=1e-2)
        assert boxes[:, 3].max() > 64  # pixels of the original, 80 wide, not of the network's 64


def test_killed_and_started_again(
    made: pathlib.Path,
    labelled: pathlib.Path,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    measured: list[dict[str, float]],
) -> None:
    """The teacher is measured once, and the first shard labelled once; all bytes are as without the kill."""
    measured.append({'AP': 0.25, 'AP50': 0.5})
    arguments = _arguments(made, tmp_path, '--truth')
    keep, calls = box_labels.filters.keep, []

    def killed(*values: Any) -> Any:
        calls.append(1)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return keep(*values)

    monkeypatch.setattr(box_labels.filters, 'keep', killed)
    with pytest.raises(KeyboardInterrupt):
        pseudo_label.main(arguments)
    assert sorted(path.name for path in tmp_path.glob('*')) == [
        '.labelling', '.lock', 'pseudo-00000-of-00003.tfrecord',
    ]  # fmt: skip
    pseudo_label.main(arguments)
    assert len(calls) == 8 + 7
    for path in labelled.iterdir():
        if path.name != 'manifest.json':
            assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name
    ours, theirs = (json.loads((folder / 'manifest.json').read_text()) for folder in (tmp_path, labelled))
    assert ours['teacher'].pop('metrics') == {'AP': 0.25, 'AP50': 0.5}
    assert ours['teacher'].pop('measured_on').endswith('val*')
    assert theirs['teacher'].pop('metrics') is theirs['teacher'].pop('measured_on') is None
    assert ours | {'date': 0} == theirs | {'date': 0}


def test_a_finished_store(
    made: pathlib.Path, labelled: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (labelled / 'quality.json').unlink()
    before = {path: path.read_bytes() for path in labelled.iterdir()}
    pseudo_label.main(_arguments(made, labelled, f'--truth={made}/data/unlabelled*'))
    after = {path: path.read_bytes() for path in labelled.iterdir()}
    assert after.pop(labelled / 'quality.json')  # measured now, since it was asked for
    assert after == before
    printed = capsys.readouterr()
    assert 'nothing to do' in printed.err
    rows = [line.split() for line in printed.out.splitlines() if line.strip().startswith('0.')]
    kept = json.loads((labelled / 'manifest.json').read_text())['kept_at']
    assert [(float(row[0]), int(row[1]), int(row[3])) for row in rows] == [
        (row['threshold'], row['boxes'], row['images_with_boxes']) for row in kept
    ]
    with pytest.raises(errors.UserError, match='made otherwise .score_floor: there 0.05, now 0.1'):
        pseudo_label.main(_arguments(made, labelled, '--score_floor=0.1'))


def test_saved_model_gives_the_same_labels(
    made: pathlib.Path, labelled: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """A SavedModel with Model Garden's signature: it resizes, and gives boxes of its resized image."""
    task, model = tiny_teacher.build(f'{made}/params.yaml')
    tf.train.Checkpoint(**model.checkpoint_items).read(f'{made}/ckpt-30').expect_partial()

    class Served(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8)])
        def serve(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
            resized, info = tf.map_fn(
                lambda image: pipeline.resize_and_pad(image, (64, 64)),
                inputs,
                fn_output_signature=(tf.TensorSpec([64, 64, 3], tf.uint8), tf.TensorSpec([4, 2], tf.float32)),
            )
            found = task.predict(resized, info, model)
            names = {'boxes': 'detection_boxes', 'scores': 'detection_scores', 'classes': 'detection_classes'}
            outputs = {names[name]: tf.cast(found[name], tf.float32) for name in names}
            return outputs | {'num_detections': found['num_detections'], 'image_info': info}

    served = Served()
    served.weights = model.variables  # the model itself would have each of its layers traced and saved
    tf.saved_model.save(served, str(tmp_path / 'export'), signatures={'serving_default': served.serve})
    out = tmp_path / 'out'
    pseudo_label.main(_arguments(made, out, f'--checkpoint={tmp_path}/export', '--gallery_images=0'))
    teacher = json.loads((out / 'manifest.json').read_text())['teacher']
    assert teacher['metrics']['AP'] > 0 and teacher['step'] is None
    assert not (out / 'gallery.png').exists()
    for ours, theirs in zip(shards.read(str(out)), shards.read(str(labelled)), strict=True):
        assert (ours.source_id, ours.encoded) == (theirs.source_id, theirs.encoded)
        assert [a.label for a in ours.annotations] == [a.label for a in theirs.annotations]
        for one, other in zip(ours.annotations, theirs.annotations, strict=True):
            np.testing.assert_allclose(one.box, other.box, atol=1e-2)
            assert one.score == pytest.approx(other.score, abs=1e-4)


@pytest.fixture
def _finds_red(monkeypatch: pytest.MonkeyPatch) -> None:
    """A teacher that costs nothing; what it finds has score 0.75."""
    teacher = (making.predict, (None, None), None, 30)
    monkeypatch.setattr(pseudo_label, '_build_teacher', lambda *unused: teacher)


@pytest.mark.usefixtures('_finds_red')
def test_a_teacher_of_no_use(
    made: pathlib.Path, tmp_path: pathlib.Path, measured: list[dict[str, float]]
) -> None:
    measured.append({'AP': 0.0, 'AP50': 0.0})
    with pytest.raises(errors.UserError, match='the teacher finds nothing: its AP on .*val.* is 0'):
        pseudo_label.main(_arguments(made, tmp_path))
    assert not list(tmp_path.glob('pseudo*'))


@pytest.mark.usefixtures('_finds_red')
def test_a_teacher_without_validation_data_says_so(
    made: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    override = '--params_override=task.validation_data.input_path=nowhere/val*'
    arguments = _arguments(made, tmp_path, override, '--score_floor=0.95', '--batch_size=4')
    with pytest.raises(labelling.EmptyTeacher, match='no box of score 0.95 or more on all 12 images'):
        pseudo_label.main(arguments)
    told = "The teacher is not measured: its validation data 'nowhere/val*'"
    assert told in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ['.lock']


@pytest.mark.parametrize(
    ('flags', 'told'),
    [
        (['--score_floor=1'], r'score_floor is 1.0 .*allowed: 0 to below 1'),
        (['--score_floor=0.01'], 'itself drops all below 0.05 .*pre_nms_score_threshold'),
        (['--gallery_images=-1'], 'gallery_images is -1'),
        (['--batch_size=0'], 'batch_size is 0'),
        (['--on_error=ignore'], "invalid choice: 'ignore'"),
        (['--scorefloor=0.1'], "unknown flag '--scorefloor'.*Did you mean '--score_floor'"),
        (['--checkpoint=none'], "no checkpoint at 'none'"),
        (['--input=none*'], "no shards match 'none"),
        (['--truth=none*'], "no shards match 'none"),
        (['--params_override=runtime.distribution_strategy=multi_worker_mirrored'], 'a strategy of one host'),
        (
            ['--params_override=task.train_data.input_path=no*,task.validation_data.input_path=no*'],
            "names of the teacher's classes are not known.*task.train_data.input_path=",
        ),
    ],
)
def test_mistakes(made: pathlib.Path, tmp_path: pathlib.Path, flags: Sequence[str], told: str) -> None:
    with pytest.raises(errors.UserError, match=told):
        pseudo_label.main(_arguments(made, tmp_path, *flags))
    assert not list(tmp_path.glob('*pseudo*'))


def test_training_refuses_what_the_manifest_forbids(
    made: pathlib.Path, labelled: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """The student's validation set is the images the teacher labelled."""
    pseudo = f'{{input_path: {labelled}/pseudo*, global_batch_size: 4, score_threshold: 0.1}}'
    (tmp_path / 'student.yaml').write_text(f'task: {{pseudo_data: {pseudo}}}')
    arguments = [
        f'--experiment=self_training_{tiny_teacher.EXPERIMENT}',
        f'--config_file={made}/params.yaml',
        f'--config_file={tmp_path}/student.yaml',
        f'--params_override=task.validation_data.input_path={made}/data/unlabelled*',
        '--mode=train',
        f'--model_dir={tmp_path}/run',
    ]
    with pytest.raises(errors.UserError, match='and task.validation_data .* share 12 images'):
        train.main(arguments)
    assert not (tmp_path / 'run').exists()
