"""The report of a study of starts: samples, curves with drops and meetings, lengths, masks, findings, searches."""

import csv
import io
import re

import pytest

from official_rethink.study import (
    records,
    report,
    report_grids,
    report_measures,
    report_plots,
    report_samples,
    report_starts,
)
from official_rethink.study.report_material import Material
from tests.study import fabricated_starts
from tests.study.test_report import Checker, overflow, words_of


@pytest.fixture(scope='module')
def results():
    return fabricated_starts.results()


@pytest.fixture(scope='module')
def page(results):
    return report.render(results, Material({}))


def test_the_page_is_whole_and_loads_nothing(page):
    checker = Checker()
    checker.feed(page)
    assert checker.open == [] and '<script' not in page
    assert len(checker.ids) == len(set(checker.ids))
    assert all(link.removeprefix('#') in checker.ids for link in checker.links)
    sections = ['results', 'measures', 'starts', 'length', 'findings', 'budget', 'samples', 'labels', 'cost', 'data']
    assert [name for name in checker.ids if name in sections] == sections
    assert 'id="curves"' not in page, 'the curves of all arms are drawn by start already'


@pytest.mark.browser
def test_nothing_is_wider_than_a_phone(page, tmp_path):
    """Differences, seven of curves, length, six of samples, labels: sixteen plots, each once."""
    assert overflow(page, tmp_path, 390) == (0, page.count('<svg') // 2)
    assert page.count('<svg') == 2 * 16


def test_the_page_speaks_of_no_self_training(page):
    words = words_of(page)
    assert 'how should I train on this data?' in words
    assert 'Train from scratch for 2,000 steps: on this data it reaches' in words
    assert 'It trains 4× as long as pretrained_1x: 2,000 steps to 500.' in words
    assert 'Arms train for different numbers of steps: random_1x, pretrained_1x for 500;' in words


def test_what_an_arm_has_of_its_own_stands_under_its_name():
    own = {'params_override': {'task.x': 2}, 'grid': 'rates'}
    arms = [fabricated_starts.arm('a', 500), fabricated_starts.arm('b', 1000, share=0.1, **own)]
    text = words_of(report.render(fabricated_starts.results(arms, 'a'), Material({})))
    assert 'a random start, S1, 100 % of labels, 500 steps ' in text
    assert 'b random start, S1, 10 % of labels, 1,000 steps, task.x=2, values found by rates ' in text


def test_what_was_seen_is_put_in_numbers(results, page):
    """pretrained_1x: 25,600 images before and 500 steps of 8 images: 29.6k; random_4x 16k, 0.54 times that."""
    rows = re.findall(r'<tr>(.*?)</tr>', page)
    row = next(words_of(row) for row in rows if 'random_4x' in row and '16k' in row)
    assert row.split() == 'random_4x 2,000 4× 16k 0.54× 48k 1.3× 65.5M 0.87×'.split()
    assert 'Images seen: random_1x 4k; random_2x 8k; random_4x 16k; pretrained_1x 29.6k;' in page


def test_bars_are_as_long_as_what_was_seen(results):
    """In the wide plot of images: 16,000 of random_4x end where 25,600 before and 4,000 of pretrained_1x would."""
    plot = report_samples._bars(results, 'images').split('</svg>')[0]
    bars = [tuple(map(float, found)) for found in re.findall(r'x="([\d.]+)" y="([\d.]+)" width="([\d.]+)"', plot)]
    unit = bars[2][2] / 16_000
    before, own = bars[3], bars[4]
    assert before[1] == own[1] and before[2] == pytest.approx(25_600 * unit, abs=0.1)
    assert own[0] == pytest.approx(before[0] + before[2], abs=0.1) and own[2] == pytest.approx(4_000 * unit, abs=0.1)
    assert len(bars) == 5 + 2 * 5


def test_the_metric_stands_against_each_count(results):
    for name, most in (('images', '41.6k'), ('instances', '73.6k'), ('pixels', '125M')):
        assert f'AP against {name} seen: random_1x' in report_samples.section(results)
        assert re.search(f'pretrained_4x \\d+\\.\\d after {most}', report_samples.section(results))


def test_very_different_counts_stand_on_a_logarithmic_axis():
    arms = [fabricated_starts.arm('a', 500), fabricated_starts.arm('b', 50_000)]
    plot = report_samples._panel(fabricated_starts.results(arms, 'a'), [[arm] for arm in arms], 'images')
    wide = plot.split('</svg>')[0]
    labels = re.findall(r'class="tick middle"[^>]*>([^<]+)<', wide)
    assert labels[0] in ('1k', '2k') and labels[-1] in ('500k', '1M') and '0' not in labels
    assert len(labels) <= 5


def test_weights_from_elsewhere_are_a_question_mark():
    arms = [fabricated_starts.arm('random', 500), fabricated_starts.arm('weights', 500, True, pretraining=None)]
    text = words_of(report_samples.section(fabricated_starts.results(arms, 'random')))
    assert 'weights starts from weights that came from elsewhere' in text
    row = re.search(r'weights 500 1× (.*?) All that', text)
    assert row and '+ ?' in row[1] and '×' not in row[1]
    assert 'Pale dots belong further to the right' in text


def test_curves_carry_drops_and_a_ring_where_they_meet(results):
    group = report_starts._groups(results)[0]
    assert [arm['name'] for arm in group] == [f'{start}_{n}x' for start in ('random', 'pretrained') for n in (1, 2, 4)]
    shown = report_starts._curves(group, 'AP')
    plot = report_starts._plot(results, group, shown, 'AP', False).split('</svg>')[0]
    assert plot.count('class="drop') == 6 * 2  # two drops of each arm
    assert plot.count('class="ring"') == 1
    meeting = next(item for item in results['meetings'] if item['random'] == 'random_4x')
    text = words_of(report_starts.section(results))
    assert f'random_4x meets pretrained_4x at step {meeting["step"]:,} of 2,000' in text
    assert 'random_1x does not meet pretrained_1x: it ends' in text
    assert 'the mean of the random start is at or over' in text and 'A bar across a curve is a drop' in text


def test_the_ring_is_on_the_curve(results):
    """At 8 images a step, and at the height of the random arm's mean there."""
    group = report_starts._groups(results)[0]
    shown = report_starts._curves(group, 'AP')
    ((images, value),) = report_starts._rings(group, shown, 'AP')
    meeting = next(item for item in results['meetings'] if item['step'])
    assert images == 8 * meeting['step'] and value == dict(shown['random_4x'])[meeting['step']]


@pytest.mark.parametrize(
    ('changes', 'expected'),
    [
        ({}, 'r meets p at step 30 of 40, after 240 images, and ends 1.0 points over it. Seed by seed: 20, not.'),
        (
            {'step': None, 'gap': -0.02, 'seeds': [None, None]},
            'r does not meet p: it ends 2.0 points under it. Nor does it with any seed.',
        ),
        ({'seeds': [30]}, 'r meets p at step 30 of 40, after 240 images, and ends 1.0 points over it.'),
        (
            {'from_the_first': True, 'seeds': [10]},
            'r is level with p or over it from the first validation on.',
        ),
    ],
)
def test_meetings_are_told_in_words(changes, expected):
    item = {'random': 'r', 'pretrained': 'p', 'step': 30, 'steps': 40, 'images': 240, 'gap': 0.01, 'seeds': [20, None]}
    assert report_starts.meeting_words({**item, 'from_the_first': False, **changes}) == expected


def test_catching_up_is_put_in_times_of_the_other_s_samples():
    """0.2 is reached at step 300 of 8 images each; the other took 100 steps, and 1,600 images before: three times its
    steps, and 2,400 images against 2,400."""
    long, short = fabricated_starts.arm('r', 400, seeds=1), fabricated_starts.arm('p', 100, True, seeds=1)
    long['seeds'][0]['stages'][-1]['curves'] = {'AP': [[100, 0.1], [200, 0.15], [300, 0.2], [400, 0.25]]}
    short['seeds'][0]['stages'][-1]['curves'] = {'AP': [[50, 0.1], [100, 0.2]]}
    short['seeds'][0]['pretraining_images'] = 1600
    made = fabricated_starts.results([long, short], 'r')
    text = words_of(report_starts._catching_up(made, [long, short], report_starts._curves([long, short], 'AP')))
    assert re.search(r'p 20\.0 300 3× 1× ', text), text
    short['seeds'][0]['stages'][-1]['curves'] = {'AP': [[50, 0.1], [100, 0.3]]}
    text = words_of(report_starts._catching_up(made, [long, short], report_starts._curves([long, short], 'AP')))
    assert 'p 30.0 \N{EN DASH} \N{EN DASH} \N{EN DASH}' in text


def test_lengths_are_the_papers_first_table(results, page):
    row = re.search(r'<th scope="row">random start, 100 % of labels</th>(.*?)</tr>', page)
    means = [f'{100 * arm["mean"]:.1f}' for arm in results['arms'][:3]]
    assert row and re.findall(r'<td>([\d.]+)<', row[1]) == means
    assert '<th scope="col">500 (1×)</th><th scope="col">1,000 (2×)</th><th scope="col">2,000 (4×)</th>' in page


def test_boxes_and_masks_have_a_table_of_their_own(results, page):
    heads = re.search(r'aria-label="measures".*?<thead>(.*?)</thead>', page)
    assert heads and words_of(heads[1]).split() == 'arm box AP box AP50 box AP75 mask AP mask AP50 mask AP75'.split()
    assert 'mask_AP' not in re.search(r'aria-label="results".*?</table>', page)[0]
    boxes = [{**arm, 'seeds': [{**seed, 'metrics': {'AP': 0.1}} for seed in arm['seeds']]} for arm in results['arms']]
    assert report_measures.section({**results, 'arms': boxes}) == ''


def test_the_csv_has_masks_and_totals(results):
    rows = list(csv.DictReader(io.StringIO(records.to_csv(results))))
    assert len(rows) == 30
    first = next(row for row in rows if row['arm'] == 'pretrained_2x')
    assert first['total_images'] == str(8 * 1000 + 25600) and first['steps'] == '1000'
    assert float(first['mask_AP75']) == results['arms'][4]['seeds'][0]['metrics']['mask_AP75']
    assert 'params_override' not in first and 'label_count' not in first


def test_settings_of_arms_get_a_column():
    arms = [fabricated_starts.arm('a', 500), fabricated_starts.arm('b', 500, label_count=8, params_override={'x.y': 1})]
    rows = list(csv.DictReader(io.StringIO(records.to_csv(fabricated_starts.results(arms, 'a')))))
    assert [row['params_override'] for row in rows[::3]] == ['{}', '{"x.y": 1}']
    assert rows[3]['label_count'] == '8'


def test_findings_of_both_papers_are_told_apart(page):
    words = words_of(page)
    assert words.index('He et al. 2018 A faster start') < words.index('Zoph et al. 2020 Pre-training and labels')
    assert 'Five more findings not asked here' in words and 'that tell neither' in words


def test_one_seed_has_no_spread_anywhere():
    starts = [(start, length) for start in ('random', 'pre') for length in (500, 1000)]
    arms = [fabricated_starts.arm(f'{start}_{n}', n, start != 'random', seeds=1) for start, n in starts]
    words = words_of(report.render(fabricated_starts.results(arms, 'random_500'), Material({})))
    assert '±' not in words and 'Thin lines' not in words and 't-interval' not in words and 'Nor does it' not in words
    assert 'One seed settles nothing' in words


def test_an_arm_evaluated_never_leaves_the_others_their_plot():
    arms = fabricated_starts.arms()[:6]
    for seed in arms[0]['seeds']:
        seed['stages'][-1]['curves'] = {}
    made = fabricated_starts.results(arms)
    assert not report_starts.covered(made)
    text = report_starts.section(made)
    assert 'random_1x' not in words_of(re.sub(r'<svg.*?</svg>', '', text)) and 'random_2x' in text


def test_a_study_of_one_start_has_no_such_section():
    made = fabricated_starts.results([fabricated_starts.arm('a', 500), fabricated_starts.arm('b', 1000)], 'a')
    assert report_starts.section(made) == ''
    page = report.render(made, Material({}))
    assert 'id="length"' in page and 'id="curves"' in page and 'all arms' in page


def test_a_search_is_ranked_and_names_whom_it_favours():
    keys = ['trainer.schedule.base_learning_rate', 'task.losses.l2_weight_decay']
    trials = [
        {'values': dict(zip(keys, values, strict=True)), 'value': value, 'best_step': 100}
        for values, value in (((0.04, 1e-4), 0.3), ((0.02, 1e-4), 0.2), ((9.0, 1e-4), None))
    ]
    entry = {'name': 'rate', 'search': 'once', 'tuned_on': 'pre', 'carried_to': ['pre', 'random'], 'keys': keys}
    entry |= {'seed': 0, 'best': trials[0]['values'], 'trials': trials}
    entry['cost'] = {'steps': 300, 'images': 2400, 'instances': 1, 'pixels': 1, 'seconds': 1.0}
    text = words_of(report_grids.section({'metric': 'AP', 'grids': [entry]}))
    assert 'rank base_learning_rate l2_weight_decay validation AP at step 1 0.04 0.0001 30.0 100 2 0.02' in text
    assert '3 9.0 0.0001 diverged' in text and 'Three combinations' in text[0:40]
    assert 'need not suit random, as in He et al.' in text and 'took 300 steps on 2.4k images' in text
    assert report_grids.section({'metric': 'AP'}) == ''


@pytest.mark.parametrize('name', ['quick', 'pretrained', 'segmentation_quick'])
def test_records_of_before_still_have_a_page(name):
    made = records.load(f'docs/results/{name}.json')
    page = report.render(made, Material({}))
    checker = Checker()
    checker.feed(page)
    assert checker.open == [] and 'id="samples"' in page and 'id="starts"' not in page
    assert records.to_csv(made).count('\n') == 1 + sum(len(arm['seeds']) for arm in made['arms'])


def test_starts_have_one_colour_each(results):
    palette = report_plots.start_colors(results)
    assert palette == {'random': 'c2', 'objects': 'c1'}
    assert f'<i class="{palette["random"]}"></i>random start' in report_starts.section(results)
    assert report_plots._line_colors(results, [[results['arms'][3]], [results['arms'][0]]]) == ['c1', 'c2']


def test_lines_are_named_by_what_no_other_arm_has():
    """Two lengths from a pre-training are not 'all arms' where a random one stands beside them."""
    arms = [fabricated_starts.arm('p', 500, True), fabricated_starts.arm('q', 1000, True)]
    made = fabricated_starts.results(arms, 'p')
    assert report_plots.line_names(made, report_plots.LENGTH) == ['all arms']
    made = fabricated_starts.results([*arms, fabricated_starts.arm('r', 500)], 'p')
    assert report_plots.line_names(made, report_plots.LENGTH) == ['from objects']
