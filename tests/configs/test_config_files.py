"""Every YAML of the project's experiments loads strictly with its experiment, and says what it is."""

import pathlib
import re

import pytest
from official.core import task_factory

from official_rethink import registry_imports  # noqa: F401
from official_rethink.configs import layers, parse

ROOT = pathlib.Path(__file__).parents[2]
ZOPH = sorted((ROOT / 'configs' / 'zoph2020').glob('*.yaml'))
QUICK = sorted((ROOT / 'configs' / 'quick').glob('*retinanet_*net.yaml'))
QUICK = [path for path in QUICK if re.search('efficientnet|spinenet', path.name)]
QUICK += [ROOT / 'configs' / 'quick' / name for name in ('simclr.yaml', 'maskrcnn.yaml', 'fasterrcnn_voc.yaml')]
TWO_STAGE = ('keypointrcnn', 'cascadercnn', 'maskrcnn_resnext', 'maskrcnn_efficientnet', 'fasterrcnn_vgg')
QUICK += [ROOT / 'configs' / 'quick' / f'{name}.yaml' for name in TWO_STAGE]
QUICK += sorted((ROOT / 'configs' / 'quick').glob('*seg_*.yaml'))
# Two initialisations of Table 1; Table 2 in four columns and two students; Figure 1's row; six rows of Table 3 in
# three columns; the four rows of Table 4; Table 5; joint training in Table 7, whose other columns are Table 3's; the
# segmentation of Table 6, B7 and L2 with and without self-training and DeepLabv3+; supervised and three sources in two
# columns of Table 13; the two columns of Table 8 that are not Table 13's.
EXPECTED_FILES = 2 + 3 * 4 + 4 + 6 * 3 + 4 + 4 + 4 + (4 + 1) + 4 * 2 + 2


def _header(path):
    """The keys of the comment at a file's head, continuation lines joined."""
    found, key = {}, ''
    for line in path.read_text().split('\n'):
        if not line.startswith('#'):
            break
        start = re.match(r'# (table|row|experiment|needs|command|hardware|expected|unknown):(.*)', line)
        key = start.group(1) if start else key
        found[key] = found.get(key, '') + ' ' + (start.group(2) if start else line.lstrip('# '))
    return {name: ' '.join(text.split()) for name, text in found.items()}


def _leaf_keys(values, prefix=''):
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _leaf_keys(value, f'{prefix}{name}.')
        else:
            yield prefix + name


def test_there_is_a_file_for_every_row():
    assert len(ZOPH) == EXPECTED_FILES
    assert len(QUICK) == 4 + 3 + len(TWO_STAGE) + 4


@pytest.mark.parametrize('path', ZOPH + QUICK, ids=lambda path: path.stem)
def test_file_loads_and_its_header_is_whole(path):
    header = _header(path)
    assert {'table', 'row', 'experiment', 'command', 'hardware', 'expected'} <= set(header)
    name = path.relative_to(ROOT).as_posix()
    command = header['command']
    assert f'--experiment={header["experiment"]}' in command and f'--config_file={name}' in command
    assert all((ROOT / used).is_file() for used in re.findall(r'--config_file=(\S+)', command))
    assert re.search(r'paper|ours', header['expected']), 'whose figure is it?'

    params = parse.load_experiment(header['experiment'], [str(path)])
    task = task_factory.get_task(params.task)
    assert task.output_size == tuple(params.task.model.input_size[:2])
    assert params.task.model.backbone.get() is not None


@pytest.mark.parametrize('path', ZOPH, ids=lambda path: path.stem)
def test_a_students_teacher_is_the_one_its_command_asks(path):
    header = _header(path)
    params = parse.load_experiment(header['experiment'], [str(path)])
    assert ('unknown' in header) and re.search(r'\d\d\.\d', header['expected'])
    if not header['experiment'].startswith('self_training_'):
        assert 'pseudo_label' not in header['command']
        return
    teacher = re.search(r'--checkpoint=(\S+)', header['command']).group(1)
    store = re.search(r'--output_dir=(\S+)', header['command']).group(1)
    assert params.task.pseudo_data.input_path.startswith(store)
    if 'imagenet' in header['experiment']:
        return  # Noisy Student: from random weights, with more pseudo-labelled images
    assert params.task.init_checkpoint == teacher
    assert params.task.pseudo_data.global_batch_size == params.task.train_data.global_batch_size
    assert params.task.pseudo_data.augmentation.policy == params.task.train_data.augmentation.policy


def test_published_lengths():
    # Rand Init: 45,000 steps with S1, 120,000 with S4 (section 4 of the fact sheet).
    for policy, steps in (('s1', 45_000), ('s4', 120_000)):
        path = ROOT / 'configs' / 'zoph2020' / f'table2_rand_init_{policy}.yaml'
        params = parse.load_experiment('retinanet_efficientnet_coco', [str(path)])
        assert params.trainer.train_steps == steps
        assert params.task.train_data.augmentation.policy == policy.upper()


def test_students_of_table_5_halve_batch_and_rate():
    path = ROOT / 'configs' / 'zoph2020' / 'table5_spinenet_190_self_training.yaml'
    params = parse.load_experiment('self_training_retinanet_spinenet_coco', [str(path)])
    rate = params.trainer.optimizer_config.learning_rate.stepwise
    assert params.trainer.train_steps == 2 * 185_200
    assert rate.values == pytest.approx([0.15, 0.015, 0.0015])
    assert rate.boundaries == [2 * 171_310, 2 * 180_570]
    model = params.task.model
    assert (model.head.num_convs, model.head.num_filters) == (7, 512)


@pytest.mark.parametrize('path', ZOPH, ids=lambda path: path.stem)
def test_rows_differ_only_in_what_a_row_is_about(path):
    allowed = (
        'task.init_checkpoint',
        'task.train_data.',
        'task.pseudo_data.',
        'trainer.schedule.',
        'task.model.backbone.spinenet.',
        'task.model.backbone.type',
        'task.model.backbone.efficientnet.model_id',
        'task.model.backbone.resnet.model_id',
        'task.model.norm_activation.activation',
        'task.model.head.',
        'task.joint.',
        'task.classification_data.',
        'task.classification_validation_data.',
    )
    keys = list(_leaf_keys(layers.read_file(str(path)).values))
    assert keys and all(key.startswith(allowed) for key in keys)
