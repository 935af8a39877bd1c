"""Tests of type checks and of the words errors use."""

import ast
import dataclasses
from collections.abc import Sequence
from typing import Any, Literal, Optional, Union

import pytest
from official.modeling import hyperparams

from official_rethink.common import errors
from official_rethink.configs import checks, detection, simclr, study, study_arms, study_data, types
from tools import source_tree


@pytest.mark.parametrize(
    ('value', 'annotation', 'expected'),
    [
        (3, int, True),
        (True, int, False),
        (3.0, int, False),
        ('3', int, False),
        ('ninety', int, False),
        (3, float, True),
        (3.5, float, True),
        (False, float, False),
        ('3.5', float, False),
        (float('nan'), float, False),
        (float('inf'), float, False),
        (True, bool, True),
        (1, bool, False),
        ('true', bool, False),
        ('a', str, True),
        (3, str, False),
        (None, str, False),
        (None, str | None, True),
        (None, Optional[int], True),  # noqa: UP045  Model Garden writes it so
        ('a', Union[str, float], True),  # noqa: UP007
        (2, Union[str, float], True),  # noqa: UP007
        ([1], Union[str, float], False),  # noqa: UP007
        ([1, 2], list[int], True),
        ((1, 2), list[int], True),
        ([1, 2.5], list[int], False),
        ([1, 2.5], list[float], True),
        ('ab', list[str], False),
        ('ab', Sequence[str], False),
        ([], list[int], True),
        (['a', 1], list, True),
        ([1, 'a'], tuple[int, str], True),
        ([1], tuple[int, str], False),
        ([1, 2, 3], tuple[int, ...], True),
        ('a', Literal['a', 'b'], True),
        ('c', Literal['a', 'b'], False),
        (object(), Any, True),
        ({'a': 1}, dict[str, int], True),
        ([1], dict, False),
    ],
)
def test_fits(value, annotation, expected):
    assert checks.fits(value, annotation) is expected


@pytest.mark.parametrize(
    ('annotation', 'text'),
    [
        (int, 'a whole number'),
        (float | None, 'a number or null'),
        (str | list[str], 'text or a list of (text)'),
        (bool, 'true or false'),
        (types.LossBalance, 'keys and values (alpha, normalize, decay)'),
    ],
)
def test_words(annotation, text):
    assert checks.words(annotation) == text


def test_walk_enters_only_the_chosen_branch():
    task = detection.DetectionTask()
    keys = [key for key, _, _ in checks.walk(task)]
    assert 'model.backbone.resnet.model_id' in keys
    assert not [key for key in keys if key.startswith('model.backbone.spinenet')]
    assert 'train_data.augmentation.policy' in keys


def test_where_falls_back_on_the_parent():
    where = checks.Where({'a': 'file:1', 'a.b[1]': 'file:2'})
    assert where('a.b[1].c') == 'file:2'
    assert where('a.b[0].c') == 'file:1'
    assert where('z') == ''


def test_lookup_enters_lists():
    config = study.StudyConfig()
    config.arms = [study.ArmConfig(name='x')]
    assert checks.lookup(config, 'arms[0].name') == 'x'
    with pytest.raises(KeyError):
        checks.lookup(config, 'arms[0].nam')


@dataclasses.dataclass
class _Numbers(hyperparams.Config):
    a: float | None = 0.0
    b: float = 1.0
    name: str = 'x'


@pytest.mark.parametrize(
    ('method', 'good', 'bad', 'words'),
    [
        (lambda rules, key: rules.positive(key), 1e-9, 0, 'over 0'),
        (lambda rules, key: rules.at_least(2, key), 2, 1.999, '2 or more'),
        (lambda rules, key: rules.share(key), 1, 1.001, 'from 0 to 1'),
        (lambda rules, key: rules.share(key), 0, -0.001, 'from 0 to 1'),
        (lambda rules, key: rules.below_one(key), 0.999, 1, 'from 0 to under 1'),
    ],
)
def test_ranges_at_their_ends(method, good, bad, words):
    where = checks.Where({'a': 'some.yaml:7'})
    for value in (good, None):
        method(checks.Rules(_Numbers(a=value), where), 'a')
    with pytest.raises(errors.UserError) as caught:
        method(checks.Rules(_Numbers(a=bad), where), 'a')
    assert str(caught.value) == f'a is {bad!r} (set in some.yaml:7); allowed: {words}.'


def _our_config_classes():
    modules = (types, detection, simclr, study, study_arms, study_data)
    return [
        cls
        for module in modules
        for cls in vars(module).values()
        if isinstance(cls, type) and issubclass(cls, hyperparams.Config) and cls.__module__ == module.__name__
    ]


def _new_fields(cls):
    """Fields that the class adds to its parents'."""
    inherited = {name for parent in cls.__mro__[1:] for name in vars(parent).get('__annotations__', {})}
    return sorted(set(vars(cls).get('__annotations__', {})) - inherited)


@pytest.mark.parametrize('cls', _our_config_classes(), ids=lambda cls: cls.__name__)
def test_every_field_is_annotated_documented_and_of_its_type(cls):
    # Model Garden's RandomErasing.trials has no annotation and so cannot be set.
    fields = set(checks.annotations(cls))
    plain = {
        name
        for name, value in vars(cls).items()
        if not name.startswith('_') and not callable(value) and not isinstance(value, property)
    }
    assert plain <= fields
    # A default that only differs from the parent's needs no second sentence.
    for name in _new_fields(cls):
        assert f'{name}: ' in cls.__doc__, f'{cls.__name__}.{name} has no sentence'
    checks.check_types(cls(), checks.Where())


def _read_attributes():
    """Names that some module other than the configs' checks and declarations reads as an attribute, or by name."""
    found = set()
    for name, path in source_tree.modules(packages=source_tree.SHIPPED).items():
        if '.validation' in name or '_validation' in name:
            continue
        for node in ast.walk(source_tree.parse(path)):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                found.add(node.attr)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
    return found


def test_every_field_of_ours_is_read_somewhere():
    """A setting that nothing reads is a promise that nothing keeps."""
    # study/data.py reads the sizes of the sets by names it puts together.
    sets = ('labelled', 'unlabelled', 'validation', 'test', 'classification', 'classification_validation')
    read = _read_attributes() | {f'num_{name}' for name in sets}
    # Model Garden reads the inherited ones; its exporter reads the export config.
    unread = {
        f'{cls.__name__}.{name}'
        for cls in _our_config_classes()
        for name in _new_fields(cls)
        if name not in read
    }
    assert unread == set()
