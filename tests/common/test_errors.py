"""The form of a user's mistake."""

from official_rethink.common import errors


def test_bad_value_names_field_value_range_and_place():
    error = errors.bad_value('task.seed', 'x', 'a whole number', where='a.yaml:3')
    assert str(error) == "task.seed is 'x' (set in a.yaml:3); allowed: a whole number."


def test_unknown_name_suggests_the_nearest():
    error = errors.unknown_name('policy', 'S11', ['S1', 'S2'])
    assert str(error) == "unknown policy 'S11'. Did you mean 'S1'? Allowed: S1, S2."


def test_case_does_not_hide_the_nearest():
    assert errors.nearest('RESNET', ['efficientnet', 'resnet']) == 'resnet'
    assert errors.nearest('s4', ['S1', 'S4']) == 'S4'


def test_no_suggestion_when_nothing_is_near():
    assert errors.nearest('zebra', ['backbone', 'head']) == ''
    assert 'Did you mean' not in str(errors.unknown_name('module', 'zebra', ['backbone']))
