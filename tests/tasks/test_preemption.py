"""A training that is told to stop saves what it has done; started again, it ends where an undisturbed one does."""

import json
import os
import signal

import pytest
import tensorflow as tf

from official_rethink import train as train_command
from official_rethink.common import entry_point, errors, stopping
from official_rethink.tasks import controller as controllers
from official_rethink.tasks import run_log
from official_rethink.tasks import trainer as trainers
from official_rethink.tasks.crew import Crew
from tests.bad_inputs import world

STEPS, WINDOW = 8, 4
_QUICK = 'task.train_data.augmentation.policy=S1'


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp('preemption')
    world.build(folder)
    return folder


def _train(place, name, monkeypatch):
    """Runs the command as `python -m official_rethink.train` does; returns its exit code."""
    command = ['train', '--experiment=retinanet_efficientnet_coco', f'--config_file={place}/model.yaml']
    command += ['--mode=train_and_eval', f'--model_dir={place}/{name}']
    # The shipped policy takes as long to trace as the network.
    override = f'trainer.schedule.base_train_steps={STEPS},trainer.steps_per_loop={WINDOW},{_QUICK}'
    monkeypatch.chdir(place)
    monkeypatch.setattr(entry_point.sys, 'argv', [*command, f'--params_override={override}'])
    with pytest.raises(SystemExit) as end:
        entry_point.run(train_command.main)
    return end.value.code


def _record(folder):
    """The log without times."""
    entries = run_log.read_metrics(str(folder))
    return [(e['kind'], e['step'], {k: v for k, v in e['metrics'].items() if k != 'seconds'}) for e in entries]


def _signal_after(stretches, number, monkeypatch):
    """The process gets the signal in the stretch of that number; every stretch is a step."""
    monkeypatch.setattr(trainers, 'STRETCH_SECONDS', 0.0)
    done, count = trainers.Pace.done, []

    def told(pace, steps, seconds):
        count.append(steps)
        if len(count) == stretches:
            os.kill(os.getpid(), number)
        return done(pace, steps, seconds)

    monkeypatch.setattr(trainers.Pace, 'done', told)
    return count


@pytest.mark.slow
def test_sigterm_in_the_middle_of_a_window(place, monkeypatch, capsys):
    """Stopped after 2 of 4 steps of a window: log, scores and weights are as without."""
    with monkeypatch.context() as patch:
        assert _train(place, 'whole', patch) == 0
    with monkeypatch.context() as patch:
        count = _signal_after(6, signal.SIGTERM, patch)
        assert _train(place, 'stopped', patch) == 143
    assert count == [1] * 6
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith('stopped by SIGTERM after step 6 of 8, which is saved')
    assert tf.train.latest_checkpoint(str(place / 'stopped')).endswith('ckpt-6')
    with monkeypatch.context() as patch:
        assert _train(place, 'stopped', patch) == 0
    assert _record(place / 'stopped') == _record(place / 'whole')
    whole, stopped = (json.loads((place / name / 'test.json').read_text()) for name in ('whole', 'stopped'))
    assert stopped == whole
    costs = [json.loads((place / name / 'cost.json').read_text()) for name in ('whole', 'stopped')]
    assert [cost['images'] for cost in costs] == [STEPS * 2] * 2


def test_the_pace_finds_the_steps_that_fit(monkeypatch):
    """Ten seconds for the first step, which compiles, then 0.1 s each: 20 fit into two seconds, reached by fours."""
    pace = trainers.Pace(Crew(tf.distribute.get_strategy()))
    sizes = []
    for _ in range(6):
        steps = pace.steps(1000)
        sizes.append(steps)
        assert not pace.done(steps, 10.0 if len(sizes) == 1 else 0.1 * steps)
    assert sizes == [1, 1, 4, 16, 20, 20]
    assert pace.steps(7) == 7
    assert not pace.done(7, 60.0)  # it became slow
    assert pace.steps(7) == 1


def test_the_pace_tells_of_a_signal(monkeypatch):
    pace = trainers.Pace(Crew(tf.distribute.get_strategy()))
    monkeypatch.setattr(stopping, 'requested', lambda: signal.SIGTERM)
    assert pace.done(1, 0.1)


@pytest.mark.parametrize(
    ('step', 'end'),
    # Evaluated every 10 steps in windows of 4, a second network from step 25 on.
    [(0, 4), (4, 8), (6, 8), (8, 12), (10, 14), (21, 24), (24, 28), (25, 29), (27, 29), (29, 33), (30, 34), (33, 34)],
)
def test_windows_begin_where_those_of_an_undisturbed_run_do(step, end):
    controller = object.__new__(controllers.Controller)
    controller.first_steps, controller.eval_interval, controller._steps_per_loop = (0, 25), 10, 4
    assert controller._window_end(step) == end


def test_a_silent_worker_writes_nothing(tmp_path, capsys):
    log = run_log.RunLog(str(tmp_path), total_steps=10, images_per_step=2, pixels_per_image=4, writes=False)
    log.resume(0)
    log.train(5, {'training_loss': 1.0, 'instances': 3.0})
    log.validation(5, {'AP': 0.5})
    with pytest.raises(errors.UserError, match='nan between steps 5 and 10'):
        log.train(10, {'training_loss': float('nan'), 'instances': 3.0})
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr() == ('', '')


def test_a_window_s_time_goes_on(tmp_path):
    """What a stopped process had trained of a window counts with the rest of it."""
    log = run_log.RunLog(str(tmp_path), total_steps=10, images_per_step=2, pixels_per_image=4)
    log.resume(7, 40.0)
    log.train(10, {'training_loss': 1.0, 'instances': 3.0})
    assert 40.0 <= log.entries[-1]['metrics']['seconds'] < 50.0
    log.train(15, {'training_loss': 1.0, 'instances': 3.0})
    assert log.entries[-1]['metrics']['seconds'] < 10.0


def test_a_student_that_goes_on_is_not_taken_for_one_without_labels():
    """Its last labelled window ended at step 990; a restart at 1,000 begins no new count, and forgives nothing."""
    statistic = 'pseudo/boxes_per_image'
    entries = [
        {'kind': 'train', 'step': step, 'metrics': {statistic: boxes}}
        for step, boxes in ((980, 1.0), (990, 2.0), (1000, 0.0))
    ]
    watch = run_log.EmptyPseudoLabels(abort_after_steps=20, score_threshold=0.5)
    watch.resume(entries, 1000)
    watch.check(1005, {statistic: 0.0})
    with pytest.raises(errors.UserError, match='in the last 20 steps'):
        watch.check(1010, {statistic: 0.0})
