"""Paths to the ends of a tree, by hand."""

import pytest

from official_rethink.common import nested


@pytest.mark.parametrize(
    ('tree', 'ends'),
    [
        ({}, {}),
        ({'a': 1}, {'a': 1}),
        ({'b': {'y': [1, {'z': 2}], 'x': None}, 'a': 'c'}, {'b.y': [1, {'z': 2}], 'b.x': None, 'a': 'c'}),
        ({'a': {}, 'b': {'c': {}}}, {}),
        ({1: {2: 'x'}}, {'1.2': 'x'}),
        (None, {'': None}),  # an empty YAML file
    ],
)
def test_every_end_by_its_path(tree, ends):
    found = nested.leaves(tree)
    assert found == ends
    assert list(found) == list(ends)


def test_below_a_path():
    assert nested.leaves({'b': {'c': 1}, 'd': 2}, 'a') == {'a.b.c': 1, 'a.d': 2}
