"""What is refused before the first step: data that does not fit, configs that clash."""

import json

import pytest

from official_rethink.common import errors
from official_rethink.study import check, overrides
from tests.study import fake

_CATEGORIES = ((1, 'walker'), (2, 'boat'))


def _write_set(folder, name, hashes, categories=_CATEGORIES):
    """A data set's description, and an empty shard beside it: all that checks look at."""
    folder.mkdir(exist_ok=True)
    shard = f'{name}-00000-of-00001.tfrecord'
    (folder / shard).write_bytes(b'')
    description = {
        'format_version': 1,
        'split': name,
        'num_images': len(hashes),
        'num_instances': len(hashes),
        'categories': [{'id': number, 'name': word} for number, word in categories],
        'image_ids': [str(index) for index in range(len(hashes))],
        'image_hashes': list(hashes),
        'image_categories': [[1]] * len(hashes),
        'shards': [shard],
    }
    (folder / f'{name}.json').write_text(json.dumps(description))
    return f'{folder}/{name}-*'


def _own(tmp_path, override='', **changed):
    sets = {'train': 'ab', 'more': 'cde', 'val': 'f', 'test': 'g'} | changed
    folder = tmp_path / 'shards'
    patterns = {
        name: _write_set(folder, name, *([v] if isinstance(v, str) else v)) for name, v in sets.items()
    }
    text = fake.STUDY.replace(
        'data: {scenes: {num_labelled: 20, num_unlabelled: 50, num_validation: 10, num_test: 10}}',
        f"data: {{labelled: '{patterns['train']}', unlabelled: '{patterns['more']}', "
        f"validation: '{patterns['val']}', test: '{patterns['test']}'}}",
    )
    return fake.load(tmp_path, override, text)


def test_own_data_decides_classes_and_work(tmp_path):
    plan = check.make_plan(_own(tmp_path))
    student = next(step for step in plan.steps.values() if step.kind == 'student')
    label = next(step for step in plan.steps.values() if step.kind == 'label')
    assert student.config['task']['model']['num_classes'] == 3  # ids 1 and 2, and the background
    assert label.total == 3 and '--truth' not in label.arguments
    assert not [step for step in plan.steps.values() if step.kind == 'scenes']
    assert any(path.endswith('shards/train.json') for path in student.inputs)


@pytest.mark.parametrize(
    ('changed', 'words'),
    [
        ({'val': 'bx'}, ['labelled', 'validation', 'share 1 image']),
        ({'test': 'ex'}, ['unlabelled', 'test', 'share 1 image']),
        ({'val': ('f', ((1, 'walker'), (2, 'ship')))}, ['data.validation', "'ship'", "'boat'"]),
        ({'train': ('ab', ())}, ['data.labelled', 'no classes']),
    ],
)
def test_sets_that_do_not_fit_are_refused(tmp_path, changed, words):
    with pytest.raises(errors.UserError) as caught:
        check.make_plan(_own(tmp_path, **changed))
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_missing_shards_are_named_with_the_field(tmp_path):
    with pytest.raises(errors.UserError, match=r'data\.unlabelled: no shards match .*none'):
        check.make_plan(_own(tmp_path, 'data.unlabelled=shards/none*'))


@pytest.mark.parametrize(
    ('override', 'words'),
    [
        (
            "supervised.params_override='trainer.train_steps=7'",
            ['trainer.train_steps is 7', 'budget decides'],
        ),
        ("self_training.params_override='task.seed=7'", ['self_training', 'task.seed', 'seeds decides']),
        ('supervised.experiment=retinanet_eficientnet_coco', ["Did you mean 'retinanet_efficientnet_coco'?"]),
        ('supervised.experiment=self_training_retinanet_efficientnet_coco', ['roles swapped']),
        ("supervised.params_override='task.losses.focal_loss_gamma=-3'", ['focal_loss_gamma', '-3']),
        ("supervised.config_files=['none.yaml']", ['none.yaml']),
        ('arms.strict.initialization=weights/none', ["arm 'strict'", 'weights/none', 'checkpoint']),
        (
            "supervised.params_override='task.model.detection_generator.pre_nms_score_threshold=0.2'",
            ['pseudo_labels.score_floor is 0.05', '0.2 or more'],
        ),
    ],
)
def test_settings_that_clash_are_refused(tmp_path, override, words):
    with pytest.raises(errors.UserError) as caught:
        check.make_plan(fake.load(tmp_path, override))
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize('batch', [8, 24, 256])
def test_a_training_is_as_long_as_the_budget_at_any_batch_size(tmp_path, batch):
    """The schedule counts in batches of 256; 41 steps of 24 are no whole number of them."""
    role = f"params_override='task.train_data.global_batch_size={batch}'"
    override = f'budget.teacher_steps=41,supervised.{role},self_training.{role}'
    plan = check.make_plan(fake.load(tmp_path, override))  # refuses a training of another length
    teacher = next(step for step in plan.steps.values() if step.kind == 'teacher')
    assert teacher.total == 41 and teacher.images_per_step == batch


def test_length_by_hand():
    """100 steps of 8 are 50 of 16; 101 of 8 are 50.5, so they are counted as passes over a batch."""
    assert overrides._length(overrides.Batch(8, 0, 16), 100) == {'base_train_steps': 50, 'train_epochs': None}
    assert overrides._length(overrides.Batch(8, 0, 16), 101) == {
        'base_train_steps': None,
        'train_epochs': 101.0,
        'train_examples': 8,
    }


def test_a_set_without_what_is_learnt_is_refused_before_the_first_step(tmp_path):
    config = _own(tmp_path)
    path = tmp_path / 'shards' / 'train.json'
    path.write_text(json.dumps(json.loads(path.read_text()) | {'num_instances': 0}))
    with pytest.raises(errors.UserError, match=r'of the study: the images of task.train_data .* have no box at all'):
        check.make_plan(config)


_STARTS = """
data: {scenes: {num_labelled: 20}}
pretraining: [{name: classes, kind: classification, experiment: imagenet_resnet, steps: 60}]
baseline: random
arms: [{name: random}, {name: pretrained, pretraining: classes}]
"""
_RESNET = 'task.model.backbone={type: resnet, resnet: '


@pytest.mark.parametrize(
    ('override', 'words'),
    [
        ('', ["backbone.type is 'resnet' in pretraining 'classes'", "'efficientnet' in arm 'pretrained'"]),
        (f'{_RESNET}{{model_id: 34}}}}', ["resnet.model_id is 50 in pretraining 'classes' and 34 in arm 'pretrained'"]),
        (
            f'{_RESNET}{{model_id: 50}}}},task.model.norm_activation.normalization=group',
            ["normalization is 'batch' in pretraining 'classes' and 'group'", 'set both alike'],
        ),
    ],
)
def test_a_backbone_that_an_arm_cannot_take_over_is_refused_before_it_is_trained(tmp_path, override, words):
    with pytest.raises(errors.UserError) as caught:
        check.make_plan(fake.load(tmp_path, f"supervised.params_override='{override}'" if override else '', _STARTS))
    assert all(word in str(caught.value) for word in words), str(caught.value)
