"""Class names: where they come from, how they are written, what is refused."""

import json
import pathlib

import pytest

from official_rethink.common import errors
from official_rethink.serving import labels
from tests.pseudo_labels import making
from tests.tasks import small


def test_from_the_first_data_that_is_there(tmp_path: pathlib.Path) -> None:
    params = small.small_params()
    params.train_data.input_path = str(tmp_path / 'gone*')
    params.validation_data.input_path = making.write(tmp_path, 'val', 1, labelled=True)
    assert labels.find(params) == {1: 'red', 3: 'blue'}


def test_unknown(tmp_path: pathlib.Path) -> None:
    params = small.small_params()
    params.train_data.input_path = making.write(tmp_path, 'train', 1)
    with pytest.raises(errors.UserError, match=r'with --labels.*train_data: .* is unlabelled\. task'):
        labels.find(params)


@pytest.mark.parametrize(
    'content', ['{"2": "b", "1": "a"}', '{"format_version": 1, "categories": [%s, %s]}']
)
def test_from_a_file(tmp_path: pathlib.Path, content: str) -> None:
    if '%s' in content:
        content %= ('{"id": 2, "name": "b"}', '{"id": 1, "name": "a"}')
    (tmp_path / 'labels.json').write_text(content)
    found = labels.find(small.small_params(), str(tmp_path / 'labels.json'))
    assert list(found.items()) == [(1, 'a'), (2, 'b')]


@pytest.mark.parametrize(
    ('content', 'told'),
    [
        ('{"4": "cat"}', "class 4 'cat', but task.model.num_classes is 4: ids 1 to 3"),
        ('{"0": "cat"}', "class 0 'cat'"),
        ('{"1": " "}', 'the name of class 1 is'),
        ('{"1": "a\\nb"}', 'one line of text'),
        ('{}', 'names no classes'),
        ('[1, 2]', 'names no classes'),
        ('{"cat": 1}', 'names no classes'),
        ('{"format_version": 1, "categories": [{"id": 1}]}', 'names no classes'),
        ('{', 'is not valid JSON'),
    ],
)
def test_refused_files(tmp_path: pathlib.Path, content: str, told: str) -> None:
    (tmp_path / 'labels.json').write_text(content)
    with pytest.raises(errors.UserError, match=told):
        labels.find(small.small_params(), str(tmp_path / 'labels.json'))


def test_write(tmp_path: pathlib.Path) -> None:
    names = labels.by_id({1: 'red', 3: 'blü'}, 5)
    assert names == ['background', 'red', '???', 'blü', '???']
    paths = labels.write({1: 'red', 3: 'blü'}, names, str(tmp_path))
    assert pathlib.Path(paths['labels_txt']).read_text(encoding='utf-8').splitlines() == names
    text = pathlib.Path(paths['labels_json']).read_text(encoding='utf-8')
    assert json.loads(text) == {'1': 'red', '3': 'blü'}
    assert labels.find(small.small_params(), paths['labels_json']) == {1: 'red', 3: 'blü'}
