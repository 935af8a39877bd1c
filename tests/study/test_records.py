"""results.json and results.csv: the agreed form, and sums worked out by hand."""

import csv
import io
import json

import pytest

from official_rethink.common import errors
from official_rethink.study import records, report, runner
from tests.study import fake

_SEED_KEYS = {'seed', 'value', 'metrics', 'steps', 'images', 'instances', 'pixels', 'seconds'}
_ARM_KEYS = {
    'name',
    'initialization',
    'augmentation',
    'label_fraction',
    'self_training',
    'mean',
    'std',
    'seeds',
}


@pytest.fixture(scope='module')
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp('study')
    config = fake.load(folder)
    plan = fake.make_plan(config)
    runner.Runner(plan, str(folder / 'out'), [fake.Commands()]).run()
    return records.collect(config, plan, str(folder / 'out'))


def test_the_form_others_rely_on(results):
    assert {'study', 'data', 'metric', 'arms'} <= set(results)
    assert [arm['name'] for arm in results['arms']] == ['supervised', 'self_training', 'strict']
    for arm in results['arms']:
        assert set(arm) >= _ARM_KEYS
        assert [seed['seed'] for seed in arm['seeds']] == [0, 1]
        assert all(set(seed) >= _SEED_KEYS for seed in arm['seeds'])
    assert json.loads(json.dumps(results)) == results


def test_mean_and_spread_are_those_of_the_seeds(results):
    for arm in results['arms']:
        first, second = (seed['value'] for seed in arm['seeds'])
        assert arm['mean'] == pytest.approx((first + second) / 2)
        # Two values: each lies half their distance from the mean, so the variance is distance² / 2.
        assert arm['std'] == pytest.approx(abs(first - second) / 2**0.5)


def test_differences_are_paired_by_seed(results):
    baseline, student = results['arms'][:2]
    expected = [a['value'] - b['value'] for a, b in zip(student['seeds'], baseline['seeds'], strict=True)]
    assert baseline['difference'] is None
    assert student['difference']['mean'] == pytest.approx(sum(expected) / 2)


def test_cost_counts_every_stage(results):
    """40 teacher and 40 student steps of 8 images in the fake's account, and 50 images labelled once."""
    supervised, student = (arm['seeds'][0] for arm in results['arms'][:2])
    assert (supervised['steps'], supervised['images']) == (80, 640)
    assert (student['steps'], student['images']) == (80, 640 + 50)
    assert student['instances'] == 24 * 80 and student['pixels'] == 512 * 80
    assert student['seconds'] >= 4.0
    assert [stage['stage'] for stage in student['stages']] == ['teacher', 'label', 'student']


def test_budget_says_what_the_supervised_arm_got(results):
    assert results['budget']['supervised_steps'] == 80


def test_the_value_is_the_best_checkpoint_of_the_student(results):
    arm = results['arms'][1]
    for seed in arm['seeds']:
        assert seed['value'] == seed['metrics']['AP'] == seed['stages'][-1]['value']
        assert seed['value'] != seed['stages'][0]['value']


def test_csv_has_a_line_for_each_arm_and_seed(results):
    rows = list(csv.DictReader(io.StringIO(records.to_csv(results))))
    assert len(rows) == 6
    assert rows[2]['arm'] == 'self_training' and rows[2]['seed'] == '0'
    assert float(rows[2]['AP']) == results['arms'][1]['seeds'][0]['value']
    assert rows[0]['self_training'] == 'False'


def test_one_seed_has_no_spread(tmp_path):
    config = fake.load(tmp_path, 'seeds=[0]')
    plan = fake.make_plan(config)
    runner.Runner(plan, str(tmp_path / 'out'), [fake.Commands()]).run()
    results = records.collect(config, plan, str(tmp_path / 'out'))
    assert [arm['std'] for arm in results['arms']] == [None] * 3


def test_loading_what_is_no_result_is_refused(tmp_path):
    (tmp_path / 'x.json').write_text('{"arms": []}')
    with pytest.raises(errors.UserError, match='not the result of a study'):
        records.load(str(tmp_path / 'x.json'))


_STARTS = """
name: starts
seeds: [0, 1]
budget: {supervised_steps: 40, validation_interval: 20}
data: {scenes: {num_labelled: 20, num_validation: 10, num_test: 10, num_classification: 10,
                num_classification_validation: 5}}
pretraining: [{name: classes, kind: classification, experiment: imagenet_resnet, steps: 100}]
baseline: pre
arms:
- {name: pre, pretraining: classes}
- {name: pre_long, pretraining: classes, steps: 80}
- {name: random}
- {name: random_long, steps: 80}
- {name: few, label_count: 5}
"""


@pytest.fixture(scope='module')
def starts(tmp_path_factory):
    folder = tmp_path_factory.mktemp('starts')
    config = fake.load(folder, text=_STARTS)
    plan = fake.make_plan(config)
    runner.Runner(plan, str(folder / 'out'), [fake.Commands()]).run()
    return records.collect(config, plan, str(folder / 'out')), plan, str(folder / 'out')


def test_curves_and_meetings_stand_in_the_record(starts):
    """The fake's curves go straight from nought to the value: the higher one is ahead from the first on."""
    made, _, _ = starts
    assert json.loads(json.dumps(made)) == made
    value = made['arms'][0]['seeds'][0]['value']
    stage = made['arms'][0]['seeds'][0]['stages'][-1]
    assert stage['curves'] == {'AP': [[20, pytest.approx(value / 2)], [40, pytest.approx(value)]]}
    assert stage['drops'] == []
    pairs = [(item['random'], item['pretrained']) for item in made['meetings']]
    assert pairs == [('random', 'pre'), ('random_long', 'pre_long')]
    means = {arm['name']: arm['mean'] for arm in made['arms']}
    for item in made['meetings']:
        gap = means[item['random']] - means[item['pretrained']]
        assert item['gap'] == pytest.approx(gap) and item['step'] == (20 if gap > 0 else None)
        assert item['from_the_first'] == (gap > 0)


def test_a_pretraining_is_in_the_totals(starts):
    """100 steps of 8 images before, in the fake's account, and 40 or 80 of the arm's own."""
    rows = list(csv.DictReader(io.StringIO(records.to_csv(starts[0]))))
    totals = {row['arm']: (row['images'], row['total_images']) for row in rows}
    assert totals['pre'] == ('320', '1120') and totals['pre_long'] == ('640', '1440')
    assert totals['random_long'] == ('640', '640')
    assert [row['label_count'] for row in rows if row['arm'] == 'few'] == ['5', '5']


def test_the_report_of_starts_is_built_from_the_folder(starts):
    page = report.build(*starts)
    for section in ('starts', 'length', 'samples', 'findings'):
        assert f'<section id="{section}"' in page
    assert 'id="curves"' in page  # few has no pre-trained counterpart, so its curve is drawn there
