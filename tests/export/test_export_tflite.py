"""The commands that make TensorFlow Lite files and 16-bit networks, and the one that lays exports side by side."""

import argparse
import json
import pathlib
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from export import compare_exports, export_saved_model, export_tflite
from export.serving import model
from official_rethink.common import errors
from official_rethink.configs import parse
from official_rethink.serving import answers, likeness, lite, verification
from official_rethink.tasks import detection
from tests.pseudo_labels import making
from tools import tiny_teacher


@pytest.fixture(scope='module')
def made(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Labelled pictures, a config, and two checkpoints of untrained networks."""
    folder = tmp_path_factory.mktemp('tflite')
    making.write(folder / 'data', 'val', 7, labelled=True)
    config = folder / 'params.yaml'
    tiny_teacher.write_config(str(config), str(folder / 'data'), num_classes=4, side=32, width=0.25)
    # Anchors that lie side by side within the image, for what crosses its edge is clipped before suppression or after;
    # and all that there is, for of equal scores one side may leave out others than the other.
    text = config.read_text().replace('anchor_size: 3.0', 'anchor_size: 1.0')
    config.write_text(text.replace('max_num_detections: 10', 'max_num_detections: 60'))
    params = parse.load_experiment(tiny_teacher.EXPERIMENT, [str(config)])
    for seed, name in enumerate(('one', 'other')):
        tf.keras.utils.set_random_seed(seed)
        network = detection.DetectionTask(params.task).build_model()
        for variable in network.trainable_variables:
            if 'scores' in variable.name and 'bias' in variable.name:
                variable.assign(tf.fill(variable.shape, tiny_teacher.SURE))
            elif 'scores' in variable.name:
                variable.assign(tf.random.stateless_normal(variable.shape, [1, seed], stddev=0.5))
        checkpoint = tf.train.Checkpoint(**network.checkpoint_items, global_step=tf.Variable(30, dtype=tf.int64))
        checkpoint.write(str(folder / name / 'ckpt-30'))
    return folder


def _arguments(made: pathlib.Path, *more: str) -> list[str]:
    return [*_network(made), f'--checkpoint={made}/one/ckpt-30', *more]


def _network(made: pathlib.Path) -> list[str]:
    return [f'--experiment={tiny_teacher.EXPERIMENT}', f'--config_file={made}/params.yaml']


@pytest.fixture(scope='module')
def exports(made: pathlib.Path) -> dict[str, pathlib.Path]:
    """A float32 file and a network in bfloat16."""
    found = {'lite': made / 'lite', 'half': made / 'half'}
    assert export_tflite.main(_arguments(made, f'--export_dir={found["lite"]}')) == 0
    more = ['--precision=bfloat16', '--input_type=image_bytes', '--min_agreement=0', f'--export_dir={found["half"]}']
    assert export_saved_model.main(_arguments(made, *more)) == 0
    return found


def _json(path: pathlib.Path) -> Any:
    return json.loads(path.read_text())


def test_what_is_written(exports: dict[str, pathlib.Path]) -> None:
    folder = exports['lite']
    about, report = _json(folder / 'export.json'), _json(folder / 'verification.json')
    assert about['bytes'] == (folder / 'model.tflite').stat().st_size and about['quantization'] == 'none'
    assert about['input'] == {'name': 'image', 'shape': [1, 32, 32, 3], 'type': 'uint8', 'colours': 'RGB'}
    assert about['class_names'] == ['background', 'red', '???', 'blue'] and about['checkpoint']['step'] == 30
    assert about['suppression']['score_threshold'] == 0.05 and about['suppression']['max_detections'] == 60
    assert (folder / 'labels.txt').read_text().splitlines() == about['class_names']
    assert report['passed'] and report['likeness']['found'] == report['likeness']['confirmed'] == 1.0
    assert report['likeness']['images'] == 7 and report['operations']['float32']['TFLite_Detection_PostProcess'] == 1


def test_a_network_of_16_bits(exports: dict[str, pathlib.Path]) -> None:
    """The SavedModel has exactly the rounded weights, and is told beside the network of 32 bits."""
    folder = exports['half']
    report = _json(folder / 'verification.json')
    assert _json(folder / 'export.json')['precision'] == 'bfloat16'
    assert report['weights_equal'] and set(report['signatures']) == {'image_bytes', 'serving_default'}
    assert report['signatures']['image_bytes']['mean_score_difference'] > 0
    kinds = {variable.dtype.name for variable in tf.saved_model.load(str(folder / 'saved_model')).weights}
    assert kinds == {'bfloat16', 'float32'}


def test_clients_of_16_bits_see_no_difference(exports: dict[str, pathlib.Path]) -> None:
    """Signatures take and give the types that float32's do, and the prediction server loads them."""
    loaded = tf.saved_model.load(str(exports['half'] / 'saved_model'))
    signature = loaded.signatures['image_bytes']
    (given,) = signature.structured_input_signature[1].values()
    kinds = {name: spec.dtype.name for name, spec in signature.structured_outputs.items()}
    assert given.dtype == tf.string and kinds == {
        'detection_boxes': 'float32',
        'detection_scores': 'float32',
        'detection_classes': 'int32',
        'num_detections': 'int32',
        'image_info': 'float32',
    }
    served = model.Model(model.find(str(exports['half'])))
    assert served.class_names == ['background', 'red', '???', 'blue'] and served.facts['step'] == 30
    image = answers.pixels(making.record(0))
    (found,) = served.run([image])
    expected = signature(inputs=tf.constant([making.record(0).encoded]))
    count = int(expected['num_detections'][0])
    assert count and found['boxes'].dtype == np.float32
    np.testing.assert_array_equal(found['scores'], expected['detection_scores'][0, :count])
    np.testing.assert_array_equal(found['boxes'], expected['detection_boxes'][0, :count])
    # Boxes are decoded in float32; in 16 bits, coordinates would lie on a coarse grid.
    assert (tf.cast(tf.cast(found['boxes'], tf.bfloat16), tf.float32).numpy() != found['boxes']).any()


def test_what_differs_is_refused(
    made: pathlib.Path,
    exports: dict[str, pathlib.Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another network's file, as a converter at fault would make it."""
    content = (exports['lite'] / 'model.tflite').read_bytes()
    monkeypatch.setattr(lite, 'convert', lambda *_: content)
    out = made / 'refused'
    assert export_tflite.main([*_network(made), f'--checkpoint={made}/other', f'--export_dir={out}']) == 1
    told = capsys.readouterr().err
    assert '(quantization none) finds something else than the checkpoint' in told
    assert 'needed: 90% (--min_agreement)' in told
    assert not out.exists() and not _json(made / 'refused.failed.json')['passed']


def test_side_by_side(
    made: pathlib.Path, exports: dict[str, pathlib.Path], capsys: pytest.CaptureFixture[str]
) -> None:
    output = made / 'exports.json'
    folders = [f'--export={folder}' for folder in exports.values()]
    assert compare_exports.main(_arguments(made, *folders, f'--output={output}', '--timed_images=3')) == 0
    found = _json(output)
    first, phone, half = found['rows']
    assert found['images'] == 7 and [row['name'] for row in found['rows']] == ['checkpoint', 'lite', 'half']
    assert phone['AP'] == first['AP'] and 0 <= half['AP'] <= 1 and -1 < first['AP']
    assert phone['bytes'] == (exports['lite'] / 'model.tflite').stat().st_size
    assert first['bytes'] == sum(path.stat().st_size for path in (made / 'one').glob('ckpt-30.*'))
    assert all(0 < row['latency_ms']['p50'] <= row['latency_ms']['p95'] for row in found['rows'])
    assert all(row['processor_ms']['p50'] > 0 for row in found['rows'])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ['AP', 'AP50', 'MB', 'ms', '(p50)', 'ms', '(p95)', 'processor', 'ms', '(p50)']
    assert len(lines) == 4
    assert lines[2].split()[:2] == ['lite', f'{100 * phone["AP"]:.1f}']


def test_exports_of_another_checkpoint(made: pathlib.Path, exports: dict[str, pathlib.Path]) -> None:
    with pytest.raises(errors.UserError, match=r'was made from another checkpoint \(ckpt-30\) than --checkpoint'):
        compare_exports.main([*_network(made), f'--checkpoint={made}/other', f'--export={exports["lite"]}'])


@pytest.mark.parametrize(
    ('command', 'flags', 'told'),
    [
        (export_tflite, ['--quantization=int4'], "invalid choice: 'int4'"),
        (export_tflite, ['--min_agreement=2'], r'min_agreement is 2.0 \(set in --min_agreement\); allowed: a share'),
        (export_tflite, ['--representative_images=0'], 'representative_images is 0'),
        (export_tflite, ['--verify_input=', '--experiment=maskrcnn_resnetfpn_gn_coco'], 'a detector of two stages'),
        (export_tflite, ['--experiment=seg_deeplabv3plus_resnet_pascal'], 'trains no detector'),
        (export_tflite, ['--representative_input=somewhere'], 'is for --quantization=int8 alone, .* it is none'),
        (export_tflite, ['--quantization=int8'], 'train and validation data are not there .* --representative_input'),
        (export_tflite, [], 'test and validation data are not there .* compare on with --verify_input'),
        (export_saved_model, ['--precision=int8'], r"'int8' \(choose from 'float32', 'bfloat16', 'float16'\)"),
        (
            export_saved_model,
            ['--precision=float16', '--experiment=maskrcnn_resnetfpn_gn_coco'],
            'two stages, so --precision cannot be chosen for it',
        ),
    ],
)
def test_mistakes_are_named(
    made: pathlib.Path, tmp_path: pathlib.Path, command: Any, flags: list[str], told: str
) -> None:
    """Before anything is loaded; with a config whose data are not there."""
    lacking = ','.join(f'task.{name}_data.input_path={tmp_path}/none' for name in ('validation', 'train'))
    given = [f'--checkpoint={made}/one/ckpt-30', f'--export_dir={tmp_path}/out', f'--labels={made}/data/val.json']
    given += [f'--verify_input={made}/data/val*'] * bool(flags)
    if not any(flag.startswith('--experiment') for flag in flags):
        given += [*_network(made), f'--params_override={lacking}']
    with pytest.raises(errors.UserError, match=told):
        command.main([*given, *flags])
    assert not (tmp_path / 'out').exists()


def test_a_suppression_that_is_replaced_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    alike = likeness.compare(*[[verification.Found(np.array([[0.0, 0, 9, 9]]), np.array([0.9]), np.array([1]))]] * 2)
    report = {'checkpoint': 'ckpt-3', 'step': 3, 'bytes': 2_340_000, 'operations': {}, 'likeness': alike}
    for soft in (True, False):
        args = argparse.Namespace(export_dir='out', quantization='none')
        export_tflite._print(args, {**report, 'soft_nms_replaced': soft}, {1: 'red'})
        told = capsys.readouterr().out
        assert 'ckpt-3 (step 3), 1 classes, in out/model.tflite, 2.34 MB' in told
        assert ('in place of Soft-NMS, which TensorFlow Lite has not' in told) == soft


def test_compare_mistakes(made: pathlib.Path) -> None:
    with pytest.raises(errors.UserError, match='two stages, so there is nothing to compare'):
        compare_exports.main(['--experiment=maskrcnn_resnetfpn_gn_coco', f'--checkpoint={made}/one'])
    with pytest.raises(errors.UserError, match='threads is 0'):
        compare_exports.main(_arguments(made, '--threads=0'))
    with pytest.raises(errors.UserError, match=r'export is .*data.* \(set in --export\); allowed: a folder that'):
        compare_exports.main(_arguments(made, f'--export={made}/data'))
