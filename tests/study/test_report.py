"""The report: opened from disk in a real browser, and read for what it must say."""

import html.parser
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from official_rethink.study import report, report_plots
from tests.study import fabricated

_BROWSERS = ('chromium', 'chromium-browser', 'google-chrome', 'chrome')
_FLAGS = (
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--enable-logging=stderr',
    '--v=0',
)


@pytest.fixture(scope='module')
def page(tmp_path_factory):
    """The report of the large made-up study, on disk."""
    folder = tmp_path_factory.mktemp('large')
    results, plan = fabricated.study(folder)
    path = folder / 'report.html'
    path.write_text(report.build(results, plan, str(folder / 'out')))
    return path


@pytest.fixture(scope='module')
def small_page(tmp_path_factory):
    """The report of two arms with one seed."""
    folder = tmp_path_factory.mktemp('small')
    results, plan = fabricated.study(folder, fabricated.TWO_ARMS)
    return report.build(results, plan, str(folder / 'out'))


def _browser() -> str:
    found = next((path for name in _BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f'no browser to open the report with; none of {", ".join(_BROWSERS)} is installed')
    return found


def _open(page: pathlib.Path, profile: pathlib.Path, *flags: str) -> subprocess.CompletedProcess[str]:
    profile.mkdir()
    command = [_browser(), *_FLAGS, f'--user-data-dir={profile}', *flags, page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)


@pytest.mark.browser
def test_the_browser_logs_nothing_and_shows_every_part(page, tmp_path):
    shown = _open(page, tmp_path / 'profile', '--dump-dom')
    assert 'CONSOLE' not in shown.stderr, shown.stderr
    dom = shown.stdout
    assert re.search(r'<h1 id="answer">Self-train: on this data', dom)
    for section in ('results', 'samples', 'budget', 'curves', 'labels', 'cost', 'pseudo-labels', 'pictures', 'data'):
        assert f'<section id="{section}"' in dom
    assert dom.count('<table>') == 4
    assert dom.count('<svg') == 22  # eleven plots, each for wide and narrow pages
    assert dom.count('<img') == 1 + 6 * 3  # the gallery, and six test images thrice


@pytest.mark.browser
def test_a_console_line_would_be_seen(tmp_path):
    """That the test above can fail: the same browser, the same flags, a page that does log."""
    page = tmp_path / 'noisy.html'
    page.write_text('<!DOCTYPE html><title>x</title><script>console.error("heard")</script>')
    shown = _open(page, tmp_path / 'profile', '--dump-dom')
    assert 'CONSOLE' in shown.stderr and 'heard' in shown.stderr


def overflow(text: str, tmp_path: pathlib.Path, width: int) -> tuple[int, int]:
    """(pixels that a page is wider than its frame, plots that are shown).

    In a frame, since a browser's own window has a least width; a title is the way out of the page.
    """
    frame = tmp_path / 'frame.html'
    text = text.replace('</body>', '<p id="probe"></p></body>')
    script = (
        '<script>onload = () => { const page = document.documentElement;'
        'const wide = page.scrollWidth - page.clientWidth;'
        "const plots = [...document.querySelectorAll('svg')];"
        'const shown = plots.filter(plot => plot.getBoundingClientRect().width > 0);'
        "parent.postMessage([wide, shown.length], '*'); }</script>"
    )
    (tmp_path / 'inner.html').write_text(text.replace('</body>', f'{script}</body>'))
    frame.write_text(
        '<!DOCTYPE html><title>waiting</title>'
        '<script>onmessage = event => document.title = event.data.join()</script>'
        f'<iframe src="inner.html" style="width:{width}px;height:800px;border:0"></iframe>'
    )
    shown = _open(frame, tmp_path / 'profile', '--virtual-time-budget=5000', '--dump-dom')
    title = re.search(r'<title>(\d+),(\d+)</title>', shown.stdout)
    assert title is not None, shown.stdout
    return int(title.group(1)), int(title.group(2))


@pytest.mark.browser
@pytest.mark.parametrize('width', [390, 1280])
def test_nothing_is_wider_than_the_page(page, tmp_path, width):
    assert overflow(page.read_text(), tmp_path, width) == (0, 11)  # no overflow, one version of each plot


class Checker(html.parser.HTMLParser):
    """Collects what the page loads, and checks that tags nest."""

    _VOID = {'meta', 'link', 'img', 'br', 'line', 'circle', 'polyline', 'rect'}

    def __init__(self):
        super().__init__()
        self.open, self.loads, self.ids, self.links, self.images = [], [], [], [], []

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        if tag not in self._VOID:
            self.open.append(tag)
        self.ids += [values['id']] if 'id' in values else []
        self.links += [values['href']] if tag == 'a' else []
        self.loads += [values[name] for name in ('src', 'href') if name in values and tag != 'a']
        self.images += [values.get('alt')] if tag == 'img' else []

    def handle_endtag(self, tag):
        if tag not in self._VOID:
            assert self.open.pop() == tag


def test_the_page_is_whole_and_loads_nothing(page):
    checker = Checker()
    text = page.read_text()
    checker.feed(text)
    assert checker.open == []
    assert all(source.startswith('data:') for source in checker.loads)
    assert '<script' not in text and 'url(' not in text
    assert len(checker.ids) == len(set(checker.ids))
    assert all(link.removeprefix('#') in checker.ids for link in checker.links)
    assert all(checker.images), 'a picture without words for those who cannot see it'


def words_of(text: str) -> str:
    return re.sub(r'\s+', ' ', re.sub(r'<style>.*?</style>|<[^>]+>', ' ', text, flags=re.DOTALL))


def test_budget_costs_and_conditions_are_told(page):
    words = words_of(page.read_text())
    assert (
        'A supervised arm trains for 4,000 steps, a self-training arm for 2,000 as teacher and 2,000 as '
        'student: the same number.'
    ) in words
    assert 'of each run the best checkpoint counts, not the last' in words
    # 2,000 teacher steps of 8 images, 2,000 student steps of 16, and 50 labelled ones.
    assert 'self_training read 48,050 images and supervised 32,000' in words
    assert 'best of 4 arms, chosen after the fact' in words
    assert 'three seeds' in words and '± ' in words


def test_the_table_holds_the_record_s_numbers(page):
    rows = re.findall(r'<tr>(.*?)</tr>', page.read_text(), flags=re.DOTALL)
    student = next(words_of(row) for row in rows if 'self_training' in row and 'self-training' in row)
    assert re.search(r'self_training .*25\.\d ± \d\.\d \+3\.\d \[\+\d\.\d, \+\d\.\d\] ', student), student


def test_one_seed_is_not_dressed_up(small_page):
    words = words_of(small_page)
    assert 'in a single run' in words and 'not settled' in words
    assert 't-interval' not in words and '±' not in words
    assert 'No two arms of this study differ in label_fraction alone.' in words
    assert 'No two arms of this study differ in augmentation alone.' in words.replace('  ', ' ')


def test_a_run_that_was_evaluated_once_is_a_dot():
    arm = {'name': 'a', 'self_training': False}
    arm['seeds'] = [{'stages': [{'stage': 'supervised', 'step': 'x', 'cost': {'steps': 10}}]}]
    results = {'arms': [arm], 'baseline': 'a', 'metric': 'AP'}
    assert report_plots.training_curves(results, {'x': [(10, 0.2)]}).count('<circle') == 2  # wide and narrow
    line = report_plots.training_curves(results, {'x': [(5, 0.1), (10, 0.2)]})
    assert '<circle' not in line and line.count('<polyline') == 2
    assert report_plots.training_curves(results, {}) == ''


def test_names_from_the_study_file_are_escaped(tmp_path):
    results, plan = fabricated.study(tmp_path, fabricated.TWO_ARMS)
    results['data']['categories'] = ['<b>bold</b>', 'a & b']
    text = report.build(results, plan, str(tmp_path / 'out'))
    assert '<b>bold' not in text and '&lt;b&gt;bold' in text and 'a &amp; b' in text


def test_a_study_without_pictures_or_truth_still_has_a_report(tmp_path):
    results, plan = fabricated.study(tmp_path, fabricated.TWO_ARMS)
    for name in ('quality.json', 'gallery.png', 'test_detections.json'):
        for path in tmp_path.rglob(name):
            os.remove(path)
    text = report.build(results, plan, str(tmp_path / 'out'))
    assert '<img' not in text and 'id="pictures"' not in text and 'id="pseudo-labels"' in text


def test_a_supervised_study_says_nothing_of_pseudo_labels(tmp_path):
    text = fabricated.TWO_ARMS.replace(
        '{name: self_training, self_training: true, score_threshold: 0.4}', '{name: S2, augmentation: S2}'
    )
    results, plan = fabricated.study(tmp_path, text)
    page = report.build(results, plan, str(tmp_path / 'out'))
    assert 'id="pseudo-labels"' not in page and 'unlabelled' not in results['data']
    assert 'read the same number of images' in page
