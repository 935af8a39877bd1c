"""The policy table, against the paper's Table 1 as the fact sheet has it."""

import dataclasses

import pytest

from official_rethink.augment import policies
from official_rethink.common import errors


def test_table_is_the_papers():
    s1, s2, s3, s4 = (policies.get_policy(name) for name in ('S1', 'S2', 'S3', 'S4'))
    assert (s1.scale_min, s1.scale_max, s1.autoaugment, s1.randaugment_layers) == (0.8, 1.2, '', 0)
    assert (s2.scale_min, s2.scale_max, s2.autoaugment, s2.randaugment_layers) == (0.8, 1.2, 'v0', 0)
    assert (s3.scale_min, s3.scale_max, s3.autoaugment, s3.randaugment_layers) == (0.5, 2.0, 'v0', 0)
    assert (s4.scale_min, s4.scale_max, s4.autoaugment, s4.randaugment_layers) == (0.5, 2.0, '', 2)
    assert s4.randaugment_magnitude == 10.0
    assert {policy.flip_probability for policy in (s1, s2, s3, s4)} == {0.5}
    assert list(policies.POLICIES) == ['S1', 'S2', 'S3', 'S4']


def test_override_replaces_only_what_it_names():
    changed = policies.get_policy('S4', randaugment_magnitude=5, scale_min=0.1)
    expected = dataclasses.replace(policies.POLICIES['S4'], randaugment_magnitude=5, scale_min=0.1)
    assert changed == expected
    assert policies.POLICIES['S4'].scale_min == 0.5


def test_unknown_policy_names_the_nearest():
    with pytest.raises(errors.UserError, match=r"'S44'.*Did you mean 'S4'.*Allowed: S1, S2, S3, S4"):
        policies.get_policy('S44')


def test_unknown_field_names_the_nearest_and_the_policy():
    with pytest.raises(errors.UserError, match=r"'scale_mim' \(set in augmentation policy S1\).*'scale_min'"):
        policies.get_policy('S1', scale_mim=0.5)


@pytest.mark.parametrize(
    ('field', 'value'),
    [
        ('scale_min', 0.0),
        ('scale_min', 1.3),  # above S1's scale_max
        ('scale_max', float('nan')),
        ('scale_max', '1.2'),
        ('flip_probability', 1.5),
        ('flip_probability', True),
        ('randaugment_layers', 2.0),
        ('randaugment_layers', -1),
        ('randaugment_magnitude', 11),
        ('autoaugment', 'v1'),
        ('fill', 'gray'),
        ('resampling', 'twice'),
    ],
)
def test_bad_values_are_named(field, value):
    with pytest.raises(errors.UserError) as caught:
        policies.get_policy('S1', **{field: value})
    assert str(value) in str(caught.value) and 'S1' in str(caught.value)


def test_both_algorithms_at_once_are_refused():
    with pytest.raises(errors.UserError, match="randaugment_layers is 2 .*autoaugment is 'v0'"):
        policies.get_policy('S2', randaugment_layers=2)
