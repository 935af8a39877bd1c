"""Resuming, sharing, refusing: the runner with commands that only write files."""

import pathlib
import threading
import time

import pytest

from official_rethink.common import errors, files
from official_rethink.study import estimate, records, runner
from tests.study import fake

_PER_SEED = 1 + 1 + 1 + 2  # supervised, teacher, labels (both shared), two students
_STEPS = 4 + 2 * _PER_SEED


def _run(config, out, commands, **kwargs):
    plan = fake.make_plan(config)
    runner.Runner(plan, str(out), [commands], **kwargs).run()
    return records.collect(config, plan, str(out))


def test_arms_that_need_the_same_step_share_it(tmp_path):
    commands = fake.Commands()
    results = _run(fake.load(tmp_path), tmp_path / 'out', commands)
    assert len(commands.calls) == len(set(commands.calls)) == _STEPS
    strict, loose = results['arms'][2]['seeds'][0]['stages'], results['arms'][1]['seeds'][0]['stages']
    assert [stage['step'] for stage in strict[:2]] == [stage['step'] for stage in loose[:2]]
    assert strict[0]['shared_with'] == ['self_training', 'strict']
    assert strict[2]['step'] != loose[2]['step']


@pytest.mark.parametrize('kill_at', range(_STEPS))
def test_killed_in_any_step_and_started_again_ends_with_the_same_records(tmp_path, kill_at):
    config = fake.load(tmp_path)
    expected = _run(config, tmp_path / 'whole', fake.Commands())
    first, second = fake.Commands(kill_at=kill_at), fake.Commands()
    with pytest.raises(fake.Killed):
        _run(config, tmp_path / 'out', first)
    results = _run(config, tmp_path / 'out', second)
    assert records.without_times(results) == records.without_times(expected)
    # The killed step is taken again, no finished one is.
    assert first.calls[:kill_at] + second.calls == fake_order(config)


def fake_order(config):
    return [step.name.split('/')[-1] for step in fake.make_plan(config).steps.values()]


def test_a_finished_study_runs_nothing(tmp_path):
    config = fake.load(tmp_path)
    expected = _run(config, tmp_path / 'out', fake.Commands())
    again = fake.Commands()
    assert _run(config, tmp_path / 'out', again) == expected
    assert again.calls == []


def test_a_lost_product_is_made_again(tmp_path):
    config = fake.load(tmp_path)
    _run(config, tmp_path / 'out', fake.Commands())
    lost = next((tmp_path / 'out').glob('training/supervised-*-seed1/test.json'))
    lost.unlink()
    again = fake.Commands()
    _run(config, tmp_path / 'out', again)
    assert again.calls == [lost.parent.name]


def test_a_changed_setting_is_refused_and_named(tmp_path):
    _run(fake.load(tmp_path), tmp_path / 'out', fake.Commands())
    changed = fake.load(tmp_path, 'budget.student_steps=60')
    again = fake.Commands()
    with pytest.raises(errors.UserError) as caught:
        _run(changed, tmp_path / 'out', again)
    text = str(caught.value)
    # The supervised arm follows the budget: 40 + 60 steps in place of 40 + 40.
    assert (
        'training/supervised' in text
        and 'train_steps: 80 became 100' in text
        and '--on_changed=rerun' in text
    )
    assert again.calls == []


def test_rerun_takes_changed_steps_and_what_follows_from_them_again(tmp_path):
    _run(fake.load(tmp_path), tmp_path / 'out', fake.Commands())
    changed = fake.load(tmp_path, 'data.scenes.seed=7,seeds=[0]')
    again = fake.Commands()
    _run(changed, tmp_path / 'out', again, on_changed='rerun')
    assert again.calls == fake_order(changed)


def test_rerun_leaves_what_did_not_change(tmp_path):
    _run(fake.load(tmp_path), tmp_path / 'out', fake.Commands())
    changed = fake.load(tmp_path, 'pseudo_labels.score_floor=0.1')
    again = fake.Commands()
    _run(changed, tmp_path / 'out', again, on_changed='rerun')
    # The labels are made anew and, in this fake, come out the same: the students stay.
    assert {name.split('-')[0] for name in again.calls} == {'random'} and len(again.calls) == 2


def test_keep_takes_finished_steps_as_they_are_and_says_so(tmp_path):
    expected = _run(fake.load(tmp_path), tmp_path / 'out', fake.Commands())
    changed = fake.load(tmp_path, 'data.scenes.difficulty=0.9')
    again = fake.Commands()
    results = _run(changed, tmp_path / 'out', again, on_changed='keep')
    assert again.calls == []
    assert [arm['mean'] for arm in results['arms']] == [arm['mean'] for arm in expected['arms']]
    with pytest.raises(errors.UserError, match='--on_changed=keep'):
        _run(changed, tmp_path / 'out', again)
    changed = fake.load(tmp_path, 'budget.supervised_steps=100')
    results = _run(changed, tmp_path / 'out', again, on_changed='keep')
    stage = results['arms'][0]['seeds'][0]['stages'][0]
    assert 'train_steps: 80 became 100' in stage['kept_although']
    assert results['arms'][1]['seeds'][0]['stages'][0]['kept_although'] is None


def test_keep_never_goes_on_with_a_half_made_step(tmp_path):
    with pytest.raises(fake.Killed):
        _run(fake.load(tmp_path), tmp_path / 'out', fake.Commands(kill_at=4))
    with pytest.raises(errors.UserError, match='--on_changed=rerun') as caught:
        _run(
            fake.load(tmp_path, 'budget.validation_interval=10'),
            tmp_path / 'out',
            fake.Commands(),
            on_changed='keep',
        )
    assert '=keep' not in str(caught.value)


def test_a_half_made_folder_of_other_inputs_is_not_resumed(tmp_path):
    with pytest.raises(fake.Killed):
        _run(fake.load(tmp_path), tmp_path / 'out', fake.Commands(kill_at=4))
    changed = fake.load(tmp_path, 'budget.validation_interval=10')
    with pytest.raises(errors.UserError, match='validation_interval: 20 became 10'):
        _run(changed, tmp_path / 'out', fake.Commands())


def test_a_changed_input_file_is_noticed(tmp_path):
    checkpoint = tmp_path / 'weights.index'
    checkpoint.write_text('one')
    text = fake.STUDY.replace(
        '{name: supervised}', f"{{name: supervised, initialization: '{tmp_path}/weights'}}"
    )
    config = fake.load(tmp_path, 'seeds=[0]', text)
    _run(config, tmp_path / 'out', fake.Commands())
    checkpoint.write_text('two')
    with pytest.raises(errors.UserError, match='weights.index'):
        _run(config, tmp_path / 'out', fake.Commands())


def test_a_failed_step_stops_the_study_with_the_end_of_its_log(tmp_path):
    commands = fake.Commands(fail_at=5)
    with pytest.raises(errors.UserError) as caught:
        _run(fake.load(tmp_path), tmp_path / 'out', commands)
    text = str(caught.value)
    assert 'training/teacher-random-S1-labels1.0-seed0 ended with exit code 1' in text
    assert 'last words' in text and 'log.txt' in text and 'python -m official_rethink.train' in text
    assert len(commands.calls) == 6
    assert not (tmp_path / 'out' / 'training' / commands.calls[-1] / 'done.json').exists()


def test_a_step_that_ends_well_without_its_product_is_a_failure(tmp_path):
    def silent(module, arguments, log_path, poll):
        return 0

    with pytest.raises(errors.UserError, match=r'data/labelled ended without labelled\.json'):
        _run(fake.load(tmp_path), tmp_path / 'out', silent)


@pytest.mark.parametrize('value', [0.0, -1.0])
def test_a_teacher_that_finds_nothing_stops_the_study_before_it_labels(tmp_path, value):
    commands = fake.Commands()
    commands.teacher_ap = value
    with pytest.raises(errors.UserError, match=r'finds nothing: AP .* budget\.teacher_steps'):
        _run(fake.load(tmp_path), tmp_path / 'out', commands)
    assert commands.calls[-1].startswith('teacher')


def test_no_pseudo_box_over_an_arms_threshold_stops_the_study(tmp_path):
    commands = fake.Commands()
    commands.counts = [40, 30, 0, 0]  # none from 0.5 on
    with pytest.raises(errors.UserError) as caught:
        _run(fake.load(tmp_path), tmp_path / 'out', commands)
    text = str(caught.value)
    assert "arm 'strict'" in text and 'scores 0.6 or more' in text and 'boxes appear at 0.45' in text
    assert not commands.calls[-1].startswith('student')


def test_a_leftover_of_a_killed_write_is_removed(tmp_path):
    place = tmp_path / 'data' / 'labelled'
    place.mkdir(parents=True)
    (place / 'done.json.12ab34cd.tmp').write_text('{')
    (place / 'labelled.json').write_text('{}')
    runner.clean_temporary(str(tmp_path))
    assert sorted(path.name for path in place.iterdir()) == ['labelled.json']


def test_dry_run_tells_what_is_done_what_is_left_and_what_it_costs(tmp_path):
    config, out = fake.load(tmp_path), str(tmp_path / 'out')
    plan = fake.make_plan(config)
    text = estimate.plan_text(plan, out, 'error')
    # Two seeds of 80 supervised, 40 teacher and 2 * 40 student steps; 8 images a step, students 16.
    assert '400 training steps on 4,480 images, 100 images to label' in text
    assert 'unknown until a first step has been measured' in text
    assert not pathlib.Path(out).exists()
    with pytest.raises(fake.Killed):
        _run(config, out, fake.Commands(kill_at=5))
    # Killed in the teacher half-way: its metrics say step 40, so nothing but its end is left of it.
    text = estimate.plan_text(plan, out, 'error')
    assert '9 of 14 steps to do: 280 training steps' in text
    # Measured: 80 supervised steps in 2 s, so 40 + 80 steps more take 3 s; labels and students are not known.
    assert 'time left: 3s and the time of steps not yet measured (label, student)' in text
    _run(config, out, fake.Commands())
    assert 'nothing left to do' in estimate.plan_text(plan, out, 'error')


def test_dry_run_names_changed_steps(tmp_path):
    out = str(tmp_path / 'out')
    _run(fake.load(tmp_path), out, fake.Commands())
    changed = fake.make_plan(fake.load(tmp_path, 'data.scenes.difficulty=0.9'))
    text = estimate.plan_text(changed, out, 'error')
    assert '--difficulty=0.5' in text and '--difficulty=0.9' in text and '--on_changed=rerun' in text


def test_done_records_what_the_result_depends_on(tmp_path):
    _run(fake.load(tmp_path), tmp_path / 'out', fake.Commands())
    done = files.read_json(str(tmp_path / 'out' / 'data' / 'test' / 'done.json'))
    assert done['key'] == files.hash_of(done['inputs'])
    assert done['command'][:4] == ['python', '-m', 'official_rethink.prepare', 'scenes']
    assert str(tmp_path) not in str(done['inputs'])  # the folder may be moved


class _Meeting(fake.Commands):
    """Commands that wait for another one to be under way, and note how many were."""

    def __init__(self, needed: int, together: list[int]):
        super().__init__()
        self.needed, self.together = needed, together
        self.condition = threading.Condition()
        self.busy = 0

    def __call__(self, module, arguments, log_path, poll):
        with self.condition:
            self.busy += 1
            self.condition.notify_all()
            self.condition.wait_for(lambda: self.busy >= self.needed, timeout=0.2)
            self.together.append(self.busy)
        code = super().__call__(module, arguments, log_path, poll)
        with self.condition:
            self.busy -= 1
        return code


def test_steps_side_by_side_end_with_the_records_of_one_after_the_other(tmp_path):
    config = fake.load(tmp_path)
    expected = _run(config, tmp_path / 'one', fake.Commands())
    plan, out, together = fake.make_plan(config), tmp_path / 'two', []
    commands = _Meeting(2, together)
    runner.Runner(plan, str(out), [commands, commands]).run()
    results = records.collect(config, plan, str(out))
    assert records.without_times(results) == records.without_times(expected)
    assert max(together) == 2 and len(together) == _STEPS
    assert sorted(commands.calls) == sorted(fake_order(config))


def test_a_failed_step_ends_the_one_beside_it(tmp_path):
    polls = []

    def slow(module, arguments, log_path, poll):
        for _ in range(500):
            polls.append(module)
            poll()
            time.sleep(0.01)
        return 0

    def failing(module, arguments, log_path, poll):
        pathlib.Path(log_path).write_text('out of luck\n')
        time.sleep(0.05)
        return 1

    plan = fake.make_plan(fake.load(tmp_path))
    with pytest.raises(errors.UserError, match='out of luck'):
        runner.Runner(plan, str(tmp_path / 'out'), [slow, failing]).run()
    assert 0 < len(polls) < 400
