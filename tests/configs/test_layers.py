"""Tests of reading YAML files and `--params_override`, with Model Garden's reader as the oracle."""

import pytest
import yaml
from official.modeling.hyperparams import params_dict

from official_rethink.common import errors
from official_rethink.configs import layers


def _write(tmp_path, text):
    path = tmp_path / 'some.yaml'
    path.write_text(text)
    return str(path)


def test_file_gives_values_and_lines(tmp_path):
    path = _write(tmp_path, 'a:\n  b: 1\n  c: [1, 2]\nd: {e: x}\n')
    layer = layers.read_file(path)
    assert layer.values == {'a': {'b': 1, 'c': [1, 2]}, 'd': {'e': 'x'}}
    assert layer.place('a.b') == f'{path}:2'
    assert layer.place('a.c') == f'{path}:3'
    assert layer.place('a.c[1]') == f'{path}:3'
    assert layer.place('d.e') == f'{path}:4'


def test_empty_file_and_empty_override_say_nothing(tmp_path):
    assert layers.read_file(_write(tmp_path, '# only a comment\n')).values == {}
    assert layers.read_override('').values == {}
    assert layers.read_override('  ').values == {}


@pytest.mark.parametrize(
    ('text', 'value'),
    [
        ('1e-3', 0.001),  # YAML 1.1 alone takes the first three for text
        ('1.5e3', 1500.0),
        ('-2E+2', -200.0),
        ('.5e1', 5.0),
        ('0.1', 0.1),
        ('3', 3),
        ('true', True),
        ('null', None),
        ('b0', 'b0'),
        ('49S', '49S'),
        ('"7"', '7'),
    ],
)
def test_numbers_read_as_people_mean_them(tmp_path, text, value):
    read = layers.read_file(_write(tmp_path, f'a: {text}\n')).values['a']
    assert read == value and type(read) is type(value)
    read = layers.read_override(f'a={text}').values['a']
    assert read == value and type(read) is type(value)


def test_missing_file_and_folder_are_named(tmp_path):
    for path in (str(tmp_path / 'none.yaml'), str(tmp_path)):
        with pytest.raises(errors.UserError, match='no configuration file at') as caught:
            layers.read_file(path)
        assert path in str(caught.value)


def test_broken_yaml_names_file_and_line(tmp_path):
    path = _write(tmp_path, 'a: 1\nb: [1, 2\nc: 3\n')
    with pytest.raises(errors.UserError, match=r'some\.yaml:3 is not valid YAML'):
        layers.read_file(path)


def test_binary_file_is_named(tmp_path):
    path = tmp_path / 'x.yaml'
    path.write_bytes(b'\xff\xfe\x00a')
    with pytest.raises(errors.UserError, match='not UTF-8'):
        layers.read_file(str(path))


def test_key_written_twice_is_an_error(tmp_path):
    with pytest.raises(errors.UserError, match=r"some\.yaml:3: the key 'a\.b' is written twice"):
        layers.read_file(_write(tmp_path, 'a:\n  b: 1\n  b: 2\n'))


@pytest.mark.parametrize('text', ['- 1\n- 2\n', 'just text\n', '3\n'])
def test_a_file_has_to_hold_keys_and_values(tmp_path, text):
    with pytest.raises(errors.UserError, match='allowed: keys and values'):
        layers.read_file(_write(tmp_path, text))


def test_python_objects_are_refused_but_saved_tuples_are_read(tmp_path):
    with pytest.raises(errors.UserError, match='not valid YAML'):
        layers.read_file(_write(tmp_path, 'a: !!python/object/apply:os.getcwd []\n'))
    path = _write(tmp_path, yaml.dump({'a': (1, 2)}))
    assert layers.read_file(path).values == {'a': [1, 2]}


# What Model Garden's own reader makes of each; ours has to agree.
_AS_MODEL_GARDEN = [
    'a=1',
    'a=1,b=2',
    'a=1, b.c=x, b.d.e=2.5',
    'a=[1,2,3],b=true',
    "a='x,y',b=3",
    'a="x",b=null',
    'a[0]=1,a[1]=2',
    'task.model.input_size=[96, 96, 3],trainer.train_steps=10',
    'a=gs://bucket/data/train*',
    'a=dir/train*,b=-1',
    'a=',
]


@pytest.mark.parametrize('text', _AS_MODEL_GARDEN)
def test_override_equals_model_gardens_reading(text):
    expected = yaml.load(params_dict.nested_csv_str_to_json_str(text), Loader=params_dict._LOADER)
    assert layers.read_override(text).values == expected


@pytest.mark.parametrize(
    ('text', 'values'),
    [
        ('a=*.tfrecord', {'a': '*.tfrecord'}),  # an alias to YAML
        ('a=x: y', {'a': 'x: y'}),
        ("a=it's", {'a': "it's"}),
        ('a={b: 1, c: [2, 3]},d=4', {'a': {'b': 1, 'c': [2, 3]}, 'd': 4}),
        ('{a: {b: 1}}', {'a': {'b': 1}}),
        ('{"a": [1, 2]}', {'a': [1, 2]}),
        ('a=grpc://10.0.0.1:8470', {'a': 'grpc://10.0.0.1:8470'}),
    ],
)
def test_override_values_that_model_garden_cannot_read(text, values):
    layer = layers.read_override(text)
    assert layer.values == values
    assert set(layer.places.values()) == {'--params_override'}


def test_override_can_name_a_file(tmp_path):
    path = _write(tmp_path, 'a: 1\n')
    layer = layers.read_override(path)
    assert layer.values == {'a': 1} and layer.place('a') == f'{path}:1'


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('a', "'a' is not key=value"),
        ('a=backbone,decoder', r"'decoder' is not key=value.*key=\[a,b\]"),
        ('=3', 'not key=value'),
        ('a=1,a=2', "'a' is given twice"),
        ('a=1,a.b=2', "'a' of 'a.b' is given a value and keys below it"),
        ('a[1]=2', r'a\[0\] is missing'),
        ('a=3,a[0]=2', 'given as a whole and by index'),
        ('{a: 1', 'not valid YAML'),
    ],
)
def test_malformed_overrides_are_explained(text, message):
    with pytest.raises(errors.UserError, match=message) as caught:
        layers.read_override(text)
    assert '--params_override' in str(caught.value)
