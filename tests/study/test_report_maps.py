"""The report of segmentation networks: what it says of label maps, and the pictures of them."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from official_rethink.data import label_maps
from official_rethink.study import outputs, report
from tests.study import fabricated_maps
from tests.study.test_report import Checker, words_of


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp('maps')
    results, plan = fabricated_maps.study(folder)
    return results, plan, folder


@pytest.fixture(scope='module')
def page(made):
    results, plan, folder = made
    return report.build(results, plan, str(folder / 'out'))


def test_the_page_is_whole_and_loads_nothing(page):
    checker = Checker()
    checker.feed(page)
    assert checker.open == [] and all(source.startswith('data:') for source in checker.loads)
    assert len(checker.ids) == len(set(checker.ids)) and all(checker.images)
    assert all(link.removeprefix('#') in checker.ids for link in checker.links)
    # A gallery and six test images thrice, of each network.
    assert len(checker.images) == 2 * (1 + 6 * 3)


def test_nothing_speaks_of_boxes(page):
    words = words_of(page.split('<footer>')[0])
    after = words[words.index('A supervised arm trains for') :]
    assert 'boxes' not in after and ' AP' not in after and 'mIoU' in after


def test_each_network_tells_its_labels(page):
    words = words_of(page)
    assert words.count('averaged over the scales 0.75, 1, 1.25 and the mirrored image') == 2
    # 875 of 1000 pixels, and 700 of 1000 background, by the made-up manifest.
    assert words.count('With the first seed, 87.5 % of all pixels score 0.5 or more.') == 2
    assert 'Of all pixels the teacher gave background 70.0 %, walker 10.0 %' in words
    assert 'nasfpn_self_training keeps pixels from 0.5 up. ' in words
    assert 'deeplab_self_training keeps pixels from 0.5 up. ' in words
    assert words.count('share of these that are right') == 2


def test_classes_have_a_table(made, page):
    row = re.search(r'<th scope="row">walker</th>(.*?)</tr>', page)
    first = made[0]['arms'][0]['seeds']
    mean = sum(seed['metrics']['PerCategory/walker/IoU'] for seed in first) / 3
    assert row and row[1].startswith(f'<td>{100 * mean:.1f}</td>') and row[1].count('<td>') == 4
    tower = re.search(r'<th scope="row">tower</th>(.*?)</tr>', page)
    assert tower and tower[1].count('\N{EN DASH}') == 4


def test_data_are_told_by_their_pixels(made, page):
    shares = made[0]['data']['test']['pixel_shares']
    assert next(iter(shares)) == 'background' and sum(shares.values()) == pytest.approx(1)
    assert f'8 images; of their pixels background {100 * shares["background"]:.1f} %' in words_of(page)


def test_the_legend_has_the_palette_s_colours(page):
    assert 'style="background:#800000"' in page  # class 1 of PASCAL's palette
    assert 'style="background:#e0e0c0"' in page  # 255
    assert bytes(label_maps.palette()[255]).hex() == 'e0e0c0'


def test_pictures_are_tinted_where_a_class_is(page):
    """The truth's picture of the first test image is not its student's, whose label map is shifted."""
    cells = re.findall(r'<span>(truth|teacher|student)</span><img src="data:image/jpeg;base64,([^"]+)"', page)
    assert [name for name, _ in cells[:3]] == ['truth', 'teacher', 'student'] and len(cells) == 2 * 18
    pictures = [np.asarray(Image.open(io.BytesIO(base64.b64decode(data))), int) for _, data in cells[:3]]
    assert all(picture.shape == (400, 400, 3) for picture in pictures)
    assert np.abs(pictures[0] - pictures[1]).mean() > np.abs(pictures[0] - pictures[2]).mean() > 0.5


def test_without_truth_maps_or_pictures_there_is_still_a_report(made, tmp_path):
    text = fabricated_maps.STUDY.replace('seeds: [0, 1, 2]', 'seeds: [0]')
    results, plan = fabricated_maps.study(tmp_path, text)
    for name in ('quality.json', 'gallery.png', '*.png'):
        for path in tmp_path.rglob(name):
            path.unlink()
    page = report.build(results, plan, str(tmp_path / 'out'))
    assert '<img' not in page and 'id="pictures"' not in page
    words = words_of(page)
    assert 'How many pixels score at least so much; first seed.' in words
    assert 'share of these that are right' not in words and '±' not in words


def test_counts_without_a_pixel_have_no_shares():
    assert outputs.class_shares({}) == {}
    assert outputs.class_shares({'pixels_per_category': {'0': 0, '1': 0}}) == {}
    found = outputs.class_shares({'pixels_per_category': {'0': 3, '2': 1}, 'categories': [{'id': 2, 'name': 'boat'}]})
    assert found == {'background': 0.75, 'boat': 0.25}
