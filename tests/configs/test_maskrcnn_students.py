"""The students of two-stage detection: each experiment has one, and what the two share."""

import pytest

from official_rethink.common import errors
from official_rethink.configs import checks, maskrcnn, maskrcnn_students, parse

EXPERIMENT = 'maskrcnn_resnetfpn_gn_coco'
STUDENT = f'self_training_{EXPERIMENT}'


def test_every_two_stage_experiment_has_a_student() -> None:
    """Its model, losses, data and schedule are the experiment's; it reads as many pseudo as human examples."""
    lines = parse.experiments()
    names = [name for name in lines if not name.startswith('self_training_') and 'rcnn' in name]
    assert EXPERIMENT in names
    for name in names:
        alone, student = parse.load_experiment(name), parse.load_experiment(f'self_training_{name}')
        assert isinstance(alone.task, maskrcnn.MaskRCNNTask)
        assert type(student.task) is maskrcnn_students.SelfTrainingMaskRCNNTask
        assert lines[f'self_training_{name}'] == f'Self-training student: {lines[name]}'
        for key in checks.fields(alone.task):
            ours, theirs = getattr(student.task, key), getattr(alone.task, key)
            as_dict = hasattr(ours, 'as_dict')
            assert (ours.as_dict() if as_dict else ours) == (theirs.as_dict() if as_dict else theirs), key
        assert student.trainer.as_dict() == alone.trainer.as_dict()
        pseudo, human = student.task.pseudo_data, student.task.train_data
        differing = {key for key in checks.fields(human) if getattr(pseudo, key) != getattr(human, key)}
        assert {key for key in differing if key != 'augmentation'} == {'input_path'}
        assert pseudo.augmentation.as_dict() == human.augmentation.as_dict()


def test_the_experiment_itself_reads_no_pseudo_labels() -> None:
    """Making the student leaves the experiment's own config alone."""
    parse.load_experiment(STUDENT)
    assert not hasattr(parse.load_experiment(EXPERIMENT).task, 'pseudo_data')


@pytest.mark.parametrize(
    ('override', 'told'),
    [
        ('pseudo_data.mask_crop_size=28', r'pseudo_data.mask_crop_size is 28 .*mask_crop_size is 112.*be equal'),
        ('pseudo_data.max_num_instances=20', r'pseudo_data.max_num_instances is 20 .*share a batch'),
        ('pseudo_data.global_batch_size=0', 'human and pseudo examples are both needed'),
        ('pseudo_data.score_threshold=1.5', r'score_threshold is 1.5 .*from 0 to 1'),
        ('balance.alpha=-1', r'balance.alpha is -1 .*0 or more'),
        ('pseudo_data.mask_crop_sise=28', "Did you mean 'task.pseudo_data.mask_crop_size'"),
    ],
)
def test_bad_values(override: str, told: str) -> None:
    with pytest.raises(errors.UserError, match=told):
        parse.load(STUDENT, (), f'task.{override}')


def test_without_masks_their_size_does_not_matter() -> None:
    parse.load(STUDENT, (), 'task.model.include_mask=false,task.pseudo_data.mask_crop_size=28')
