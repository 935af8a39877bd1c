"""Every YAML of He et al. is the cell it says it is: start, network, length to the iteration, augmentation, labels."""

import pathlib
import re

import pytest

from official_rethink import registry_imports  # noqa: F401
from official_rethink.configs import layers, parse
from tests.configs.test_config_files import ROOT, _header, _leaf_keys

HE = {path.stem: path for path in sorted((ROOT / 'configs' / 'he2018').glob('*.yaml'))}
ONE_X = 90_000
# Table 1 of the paper, box AP, from 2x to 6x (section 5.1 of the fact sheet).
TABLE_1 = {
    'r50_random': (36.8, 39.5, 40.6, 40.7, 41.3),
    'r50_pretrained': (40.3, 40.8, 40.9, 40.9, 41.1),
    'r101_random': (38.2, 41.0, 41.8, 42.2, 42.7),
    'r101_pretrained': (41.8, 42.3, 42.3, 41.9, 42.2),
}
# Two lengths have no multiple of 1x in their names.
STEPS = {'voc_r101_pretrained': 18_000, 'voc_r101_random': 144_000, 'less_data_10k_pretrained': 60_000}
LABELS = {'35k': 35_000, '10k': 10_000, '3500': 3500, '1k': 1000}


@pytest.fixture(scope='module')
def loaded():
    """Name -> header and resolved config."""
    headers = {name: _header(path) for name, path in HE.items()}
    return {
        name: (header, parse.load_experiment(header['experiment'], [str(HE[name])]))
        for name, header in headers.items()
    }


def test_there_is_a_file_for_every_cell():
    """Table 1; Figure 4; Figure 5 but a bar that is Table 3's; Table 3; Figure 6; VGG; less data; VOC; baselines."""
    assert len(HE) == 20 + 10 + (2 * 2 * 3 - 1) + (1 + 3 + 2) + 4 + 2 + (3 + 2 + 2 + 3) + 2 + 3


def test_headers_say_whose_figures_they_expect(loaded):
    for name, (header, _) in loaded.items():
        path = HE[name].relative_to(ROOT).as_posix()
        assert {'table', 'row', 'experiment', 'command', 'hardware', 'expected', 'unknown'} <= set(header), name
        command = header['command']
        assert f'--experiment={header["experiment"]}' in command and f'--config_file={path}' in command, name
        assert re.search(r"(the paper's|detectron2's) figure|the paper has no number", header['expected']), name
        if not header['expected'].startswith('the paper has no number'):
            assert re.search(r'\d\.\d', header['expected']), name
    for row, values in TABLE_1.items():
        for times, value in zip(range(2, 7), values, strict=True):
            assert loaded[f'table1_{row}_{times}x'][0]['expected'].startswith(f'{value} AP')


def test_starts(loaded):
    for name, (header, params) in loaded.items():
        pretrained = 'pretrained' in name or 'finetuned' in name
        assert bool(params.task.init_checkpoint) == pretrained, name
        assert ('checkpoint' in header.get('needs', '')) == pretrained, name
        if pretrained:
            assert params.task.init_checkpoint_modules == ['backbone'], name


def test_lengths_and_drops(loaded):
    """Nx is N times 90,000 steps; the drops are 60,000 and 20,000 steps before the end, whatever N."""
    for name, (_, params) in loaded.items():
        steps, rate = params.trainer.train_steps, params.trainer.optimizer_config.learning_rate.stepwise
        share = 16 / params.task.train_data.global_batch_size
        times = re.search(r'_(\d+)x$', name)
        if times:
            assert steps == int(times.group(1)) * ONE_X * share, name
        elif name.startswith(('figure5', 'table3')):
            assert steps == (6 if 'pretrained' in name else 9) * ONE_X, name
        if name in STEPS:
            assert steps == STEPS[name]
        if params.trainer.schedule.base_drops_before_end:
            assert rate.boundaries == [steps - 60_000 * share, steps - 20_000 * share], name
        else:  # shorter than that, or next to it
            assert steps <= 60_000 and rate.boundaries == [round(0.6667 * steps), round(0.8889 * steps)], name
    at_64 = loaded['detectron2_r50_gn_random_9x'][1]
    assert at_64.trainer.train_steps == 202_500
    rate = at_64.trainer.optimizer_config.learning_rate.stepwise
    assert rate.boundaries == [187_500, 197_500] and rate.values[0] == pytest.approx(0.08)


def test_less_data_is_tuned_as_said(loaded):
    """Section 5.7: sides of 512 to 800, rate 0.04, decay factor 0.02; by default the large set's."""
    for name, (_, params) in loaded.items():
        if not name.startswith('less_data'):
            continue
        count = LABELS[name.split('_')[2]]
        assert params.task.train_data.split_file == f'coco/splits/count_{count}_seed_0.json'
        assert params.trainer.schedule.train_examples == count
        rate = params.trainer.optimizer_config.learning_rate.stepwise
        tuned = not name.endswith('default')
        assert params.task.train_data.augmentation.shorter_side_min == (512 if tuned else None)
        assert rate.values == pytest.approx([0.04, 0.0008, 0.000016] if tuned else [0.02, 0.002, 0.0002]), name


def test_what_the_enhanced_baselines_add(loaded):
    for name, (header, params) in loaded.items():
        if not name.startswith(('figure5', 'table3')):
            continue
        task = params.task
        assert task.train_data.augmentation.shorter_side_min == 640, name
        cascade = name.endswith(('cascade', 'test_aug'))
        assert bool(task.model.roi_sampler.cascade_iou_thresholds) == cascade, name
        late = params.trainer.train_steps - 270_000 if cascade and 'pretrained' not in name else 0
        assert task.cascade.first_step == late, name
        augmented = name.endswith('test_aug')
        assert ('--mode=eval' in header['command']) == augmented == task.inference.flip, name
        assert len(task.inference.scales) == (9 if augmented else 1)
        if augmented:  # measures the weights that another file trains
            trained = loaded[re.search(r'--checkpoint=runs/he2018/(\w+)/best', header['command']).group(1)][1]
            assert trained.task.model.as_dict() == task.model.as_dict()


def test_files_differ_only_in_what_a_cell_is_about():
    allowed = (
        *('task.init_checkpoint', 'task.train_data.', 'task.cascade.', 'task.inference.', 'trainer.schedule.'),
        *('task.model.backbone.type', 'task.model.backbone.resnet.model_id', 'task.model.backbone.resnext.'),
    )
    voc = ('task.model.num_classes', 'task.model.include_mask', 'task.validation_data.', 'task.evaluation_protocols')
    voc = (*voc, 'trainer.best_checkpoint_eval_metric')
    baseline = ('task.model.norm_activation.', 'task.model.detection_head.')
    for name, path in HE.items():
        more = voc if name.startswith('voc') else baseline if name.startswith('finetuned') else ()
        keys = list(_leaf_keys(layers.read_file(str(pathlib.Path(path))).values))
        assert keys and all(key.startswith((*allowed, *more)) for key in keys), name
