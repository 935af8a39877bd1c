"""Which steps a study takes, with which flags."""

import pytest

from official_rethink.study import steps
from tests.study import fake


def _plan(tmp_path, override='', text=fake.STUDY):
    return fake.make_plan(fake.load(tmp_path, override, text))


def test_needs_come_before_the_steps_that_need_them(tmp_path):
    seen = set()
    for step in _plan(tmp_path, 'arms.strict.label_fraction=0.5').steps.values():
        assert seen >= set(step.needs)
        seen.add(step.name)


def test_label_fractions_are_split_files_for_each_seed(tmp_path):
    plan = _plan(tmp_path, 'arms.strict.label_fraction=0.5')
    splits = [step for step in plan.steps.values() if step.kind == 'split']
    assert [step.arguments[2:4] for step in splits] == [
        ('--fractions=0.5', '--seed=0'),
        ('--fractions=0.5', '--seed=1'),
    ]
    student = plan.steps[plan.runs[2].stages['student']]
    found = student.config['task']['train_data']['split_file']
    # The place and name that `prepare split` writes to, by its own function.
    from official_rethink.data import splits as split_files

    folder = splits[0].arguments[4].removeprefix('--output_dir=')
    assert found == split_files.split_path(folder, 0.5, 0)
    assert splits[0].name in student.needs


def test_the_four_sets_of_scenes_are_drawn_from_different_seeds(tmp_path):
    drawn = [step.arguments for step in _plan(tmp_path).steps.values() if step.kind == 'scenes']
    seeds = {flag for flags in drawn for flag in flags if flag.startswith('--seed=')}
    other = [
        step.arguments
        for step in _plan(tmp_path, 'data.scenes.seed=1').steps.values()
        if step.kind == 'scenes'
    ]
    assert len(seeds) == 4
    assert not seeds & {flag for flags in other for flag in flags if flag.startswith('--seed=')}


def test_a_student_reads_what_its_teacher_wrote(tmp_path):
    plan = _plan(tmp_path)
    stages = plan.runs[1].stages
    task = plan.steps[stages['student']].config['task']
    assert task['init_checkpoint'] == f'{{out}}/{stages["teacher"]}/best'
    assert task['init_checkpoint_modules'] == 'all'
    assert task['pseudo_data']['manifest'] == f'{{out}}/{stages["label"]}/manifest.json'
    assert task['pseudo_data']['score_threshold'] == 0.4
    label = plan.steps[stages['label']]
    assert (
        f'--checkpoint={{out}}/{stages["teacher"]}/best' in label.arguments and '--truth' in label.arguments
    )


def test_a_student_may_start_anew(tmp_path):
    plan = _plan(tmp_path, 'arms.strict.student_init=initialization')
    task = plan.steps[plan.runs[2].stages['student']].config['task']
    assert task['init_checkpoint'] == '' and 'init_checkpoint_modules' not in task
    assert plan.runs[2].stages['teacher'] == plan.runs[1].stages['teacher']


@pytest.mark.parametrize(
    'change',
    [
        'augmentation=S2',
        'label_fraction=0.5',
        'initialization=w',
        'score_threshold=0.7',
        'student_init=initialization',
    ],
)
def test_arms_that_differ_never_share_a_student(tmp_path, change):
    alike = fake.STUDY.replace('score_threshold: 0.6', 'score_threshold: 0.4')
    plan = _plan(tmp_path, f'arms.strict.{change}', alike)
    assert plan.runs[1].stages['student'] != plan.runs[2].stages['student']


def test_equal_arms_are_one(tmp_path):
    plan = _plan(tmp_path, 'arms.strict.score_threshold=0.4')
    assert plan.runs[1].stages == plan.runs[2].stages


def test_the_study_s_file_is_the_last_config_file(tmp_path):
    text = (
        fake.STUDY + 'supervised: {experiment: retinanet_efficientnet_coco, config_files: [a.yaml, b.yaml]}\n'
    )
    step = next(step for step in _plan(tmp_path, '', text).steps.values() if step.kind == 'supervised')
    flags = step.filled_arguments('/runs/x')
    configs = [flag for flag in flags if flag.startswith('--config_file=')]
    assert configs == [
        '--config_file=a.yaml',
        '--config_file=b.yaml',
        f'--config_file=/runs/x/{step.name}/study.yaml',
    ]
    assert (
        step.filled_config('/runs/x')['task']['test_data']['input_path']
        == '/runs/x/data/test/test-*.tfrecord'
    )


def test_fingerprints_follow_content_not_names_of_folders(tmp_path):
    for name in ('a', 'b'):
        (tmp_path / name).mkdir()
        (tmp_path / name / 'x').write_text('same')
    first, second = (steps.fingerprint([str(tmp_path / name / '*')]) for name in ('a', 'b'))
    assert first == second
    (tmp_path / 'b' / 'x').write_text('else')
    assert steps.fingerprint([str(tmp_path / 'b' / '*')]) != first


def test_large_files_are_told_apart_by_size_and_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(steps, '_WHOLE_FILE', 10)
    monkeypatch.setattr(steps, '_EDGE', 4)
    path = tmp_path / 'x'
    seen = set()
    for content in (b'0123456789ab', b'0123456789aX', b'X123456789ab', b'0123456789abc'):
        path.write_bytes(content)
        seen.add(str(steps.fingerprint([str(path)])))
    assert len(seen) == 4


def test_comments_and_docstrings_are_no_code():
    first = steps.code_of('"""Doc."""\ndef f(x):\n    """Doc."""\n    return x  # why\n')
    second = steps.code_of('"""Other."""\n\n\ndef f(x):\n    """Other."""\n    return (x)\n')
    third = steps.code_of('"""Doc."""\ndef f(x):\n    """Doc."""\n    return -x\n')
    assert first == second != third


def test_code_version_covers_what_computes_and_no_more():
    versions = {module: steps.code_version(module) for module in steps._CODE}
    assert len(set(versions.values())) == 4
    # Of the study itself nothing computes but the ranking of a grid.
    assert {part for parts in steps._CODE.values() for part in parts if 'study' in part} == {'study/select.py'}
