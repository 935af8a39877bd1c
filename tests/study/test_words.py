"""Numbers as people read them."""

import pytest

from official_rethink.study import words


@pytest.mark.parametrize(
    ('value', 'text'),
    [(0.0012, '0.001×'), (0.134, '0.13×'), (0.999, '1×'), (1.26, '1.3×'), (9.96, '10×'), (1280.4, '1,280×')],
)
def test_times(value, text):
    assert words.times(value) == text
