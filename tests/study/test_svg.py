"""Scales and ticks of the charts, by hand."""

from xml.etree import ElementTree

import pytest

from official_rethink.study import svg


@pytest.mark.parametrize(
    ('low', 'high', 'count', 'expected'),
    [
        (0, 1, 6, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0, 27, 5, [0, 10, 20, 30]),
        (-3.2, 4.1, 7, [-4, -2, 0, 2, 4, 6]),
        (5, 5, 3, [2.5, 5, 7.5]),
        (0, 0, 3, [-1, 0, 1]),
    ],
)
def test_ticks_are_round_and_cover_the_range(low, high, count, expected):
    assert svg.ticks(low, high, count) == expected


def test_values_land_where_they_should():
    chart = svg.Chart(120, 100, (0, 10), (0, 1), left=10, right=10, top=20, bottom=30)
    assert (chart.x(0), chart.x(5), chart.x(10)) == (10, 60, 110)
    assert (chart.y(0), chart.y(0.5), chart.y(1)) == (70, 45, 20)


def test_names_are_escaped_and_the_picture_is_well_formed():
    chart = svg.Chart(100, 100, (0, 1), (0, 1))
    chart.grid([0, 1], [0, 1], 'x < y', 'a & b')
    chart.line([(0, 0), (1, 1)], 'curve')
    chart.text((1, 2), '<script>')
    root = ElementTree.fromstring(chart.render('less < more "quoted"'))
    assert root.attrib['aria-label'] == 'less < more "quoted"'
    assert '<script>' in [element.text for element in root]


def test_a_line_of_one_point_is_left_out():
    chart = svg.Chart(100, 100, (0, 1), (0, 1))
    chart.line([(0, 0)], 'curve')
    assert 'polyline' not in chart.render('x')


@pytest.mark.parametrize(
    ('low', 'high', 'count', 'expected'),
    [
        (1000, 10_000, 5, [1000, 2000, 5000, 10_000]),
        (4000, 41_600, 4, [2000, 5000, 10_000, 20_000, 50_000]),
        (8.5e6, 1.3e8, 4, [3e6, 1e7, 3e7, 1e8, 3e8]),
        (1, 1e9, 4, [1, 1e3, 1e6, 1e9]),
    ],
)
def test_logarithmic_ticks_cover_the_range(low, high, count, expected):
    found = svg.log_ticks(low, high, count)
    assert found[0] <= low and found[-1] >= high
    assert found == pytest.approx(expected)


def test_a_logarithmic_axis_puts_ten_halfway_to_a_hundred():
    chart = svg.Chart(120, 100, (1, 100), (0, 1), left=10, right=10, top=20, bottom=30, log=True)
    assert (chart.x(1), chart.x(10), chart.x(100)) == (10, 60, 110)


@pytest.mark.parametrize(
    ('value', 'text'),
    [(0, '0'), (950, '950'), (999.6, '1k'), (12_800, '12.8k'), (2_838_888, '2.84M'), (8.8e12, '8.8T')],
)
def test_large_numbers_are_short(value, text):
    assert svg.short(value) == text


def test_a_bar_has_no_negative_width():
    chart = svg.Chart(100, 100, (0, 1), (0, 1))
    chart.bar((10, 20), (30, 25), 'part')
    chart.bar((10, 20), (5, 25), 'part')
    page = chart.render('x')
    assert 'x="10.0" y="20.0" width="20.0" height="5.0"' in page and 'width="0.0"' in page
