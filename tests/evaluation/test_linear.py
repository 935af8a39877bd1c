"""Logistic regression: by hand, against scikit-learn and finite differences; frozen features; the whole command."""

import json

import numpy as np
import pytest
import tensorflow as tf
from sklearn import linear_model, preprocessing

from official_rethink import linear_evaluation
from official_rethink.common import errors
from official_rethink.data import scenes
from official_rethink.evaluation import features, linear, linear_checkpoint
from official_rethink.modeling import contrastive

NETWORK = """task:
  model:
    input_size: [32, 32, 3]
    backbone: {type: resnet, resnet: {model_id: 10, depth_multiplier: 0.25}}
    norm_activation: {activation: relu, use_sync_bn: false}
"""


def _clouds(count=60, dimensions=4, classes=3, seed=0):
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % classes + 5
    centres = np.random.default_rng(1).normal(size=[classes, dimensions])
    return centres[labels - 5] + generator.normal(size=[count, dimensions]), labels


# --- the classifier


def test_objective_by_hand():
    """One example (2), two classes, weights (1, 0), bias (0, 1): logits 2 and 1.

    Class 1 is right: ln(1 + e^-1) + 0.5 * 0.3 * 1. With p = 1 / (1 + e): the weights' gradients are
    -2 p + 0.3 and 2 p, the biases' -p and p.
    """
    value, gradient = linear.objective(np.array([1.0, 0.0, 0.0, 1.0]), np.array([[2.0]]), np.array([[1.0, 0.0]]), 0.3)
    p = 1 / (1 + np.e)
    assert value == pytest.approx(np.log(1 + np.exp(-1)) + 0.15)
    np.testing.assert_allclose(gradient, [-2 * p + 0.3, 2 * p, -p, p])


def test_gradient_against_finite_differences():
    values, labels = _clouds(9)
    targets = (labels[:, None] == np.unique(labels)).astype(float)
    point = np.random.default_rng(3).normal(size=15)
    _, gradient = linear.objective(point, values, targets, 0.01)
    for index in range(15):
        step = np.eye(15)[index] * 1e-6
        up, down = (linear.objective(point + sign * step, values, targets, 0.01)[0] for sign in (1, -1))
        assert gradient[index] == pytest.approx((up - down) / 2e-6, abs=1e-7)


@pytest.mark.parametrize('penalty', [1e-3, 0.1])
def test_fit_is_scikit_learns(penalty):
    """Its C weighs the sum of the losses: C = 1 / (penalty * N)."""
    values, labels = _clouds()
    ours = linear.fit(values, labels, penalty)
    theirs = linear_model.LogisticRegression(C=1 / (penalty * len(labels)), tol=1e-10, max_iter=10_000)
    theirs.fit(preprocessing.StandardScaler().fit_transform(values), labels)
    np.testing.assert_allclose(ours.weights.T, theirs.coef_, atol=2e-3)
    others, _ = _clouds(seed=7)
    standard = preprocessing.StandardScaler().fit(values).transform(others)
    np.testing.assert_array_equal(ours.predict(others), theirs.predict(standard))


def test_what_can_be_told_apart_is_and_what_cannot_is_not():
    corners = np.array([[0.0, 0.0], [0.0, 9.0], [9.0, 0.0]] * 10)
    labels = np.array([3, 1, 7] * 10)
    result = linear.evaluate(corners, labels, corners[:6], labels[:6])
    assert (result.top1, result.train_top1, result.errors) == (1.0, 1.0, 0)
    same = linear.evaluate(np.ones([30, 2]), labels, np.ones([6, 2]), labels[:6])
    assert same.top1 == pytest.approx(1 / 3) and same.errors == 4


def test_a_class_that_was_not_trained_on_is_wrong():
    values, labels = _clouds(30, classes=2)
    classifier = linear.fit(values, labels, 0.01)
    assert classifier.accuracy(values, np.full(30, 99)) == 0.0


def test_penalty_is_chosen_on_every_fifth_training_example():
    """Noise in many dimensions: the little-penalised fits tell the examples by heart, so the largest wins."""
    generator = np.random.default_rng(0)
    noise, labels = generator.normal(size=[100, 60]), np.arange(100) % 2
    noise[:, 0] += 1.5 * labels
    held_out = np.arange(100) % 5 == 4
    scores = [
        linear.fit(noise[~held_out], labels[~held_out], penalty).accuracy(noise[held_out], labels[held_out])
        for penalty in linear.PENALTIES
    ]
    chosen = linear.choose_penalty(noise, labels)
    assert scores[linear.PENALTIES.index(chosen)] == max(scores)
    assert linear.choose_penalty(noise[:3], labels[:3]) == 1e-3, 'nothing to hold out: the middle one'


@pytest.mark.parametrize(
    ('values', 'labels', 'says'),
    [
        (np.ones([4, 2]), np.ones(4), '1 class'),
        (np.array([[np.nan], [1.0]]), np.array([0, 1]), 'not finite'),
    ],
)
def test_what_cannot_be_fitted_is_named(values, labels, says):
    with pytest.raises(errors.UserError, match=says):
        linear.fit(values, labels, 0.1)


# --- features, and the command


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    """Scenes of four classes, a network's YAML, and its random weights as a checkpoint."""
    folder = tmp_path_factory.mktemp('linear')
    settings = scenes.Settings(height=32, width=32, difficulty=0.0, kind='classification', num_classes=4)
    for split, seed, count in (('train', 1, 48), ('val', 2, 16)):
        scenes.write_scenes(str(folder / 'objects'), split, settings, seed, count)
    several = scenes.Settings(height=32, width=32, num_classes=3)
    scenes.write_scenes(str(folder / 'scenes'), 'train', several, 3, 8, labelled=False)
    (folder / 'run' / 'best').mkdir(parents=True)
    (folder / 'run' / 'params.yaml').write_text(NETWORK)
    tf.keras.utils.set_random_seed(11)
    network = linear_checkpoint.find_model(str(folder / 'run' / 'best'))
    backbone = contrastive.build_backbone(network.backbone, network.norm_activation, [32, 32, 3])
    tf.train.Checkpoint(backbone=backbone).save(str(folder / 'run' / 'best' / 'ckpt'))
    return folder, backbone


def test_features_leave_the_backbone_exactly_as_it_was(place):
    """Its running statistics too; so an image's features do not hang on the others of its batch."""
    folder, backbone = place
    before = [variable.numpy() for variable in backbone.variables]
    features_of = features.extractor(backbone)
    found = features.extract(features_of, f'{folder}/objects/val-*', (32, 32))
    for variable, old in zip(backbone.variables, before, strict=True):
        np.testing.assert_array_equal(variable, old)
    assert found.values.shape == (16, backbone.output_specs['5'][-1]) and set(found.labels) <= {1, 2, 3, 4}
    images = tf.constant(np.random.default_rng(0).integers(0, 256, [3, 32, 32, 3], np.uint8))
    np.testing.assert_allclose(features_of(images)[1:2], features_of(images[1:2]), rtol=1e-4, atol=1e-5)


def _arguments(folder, **changes):
    values = {
        'checkpoint': folder / 'run' / 'best',
        'train': f'{folder}/objects/train-*',
        'validation': f'{folder}/objects/val-*',
        'output': folder / 'result.json',
        **changes,
    }
    return [f'--{name}={value}' for name, value in values.items()]


def test_the_command_measures_the_checkpoint_and_random_weights(place, capsys):
    """The checkpoint is a random network of seed 11: with --seed=11 both rows are the same measurement."""
    folder, _ = place
    assert linear_evaluation.main(_arguments(folder, seed=11)) == 0
    result = json.loads((folder / 'result.json').read_text())
    assert result['checkpoint'] == result['random_weights']
    assert (result['train_images'], result['validation_images'], result['num_classes']) == (48, 16, 4)
    row = result['checkpoint']
    assert row['top1'] == pytest.approx(1 - row['errors'] / 16)
    assert row['standard_error'] == pytest.approx(np.sqrt(row['top1'] * (1 - row['top1']) / 16))
    assert f'checkpoint      {100 * row["top1"]:5.1f} %' in capsys.readouterr().out
    linear_evaluation.main(_arguments(folder, seed=12))
    other = json.loads((folder / 'result.json').read_text())
    assert other['checkpoint'] == result['checkpoint'] and other['random_weights'] != result['random_weights']


def test_images_without_a_class_are_named(place):
    folder, _ = place
    with pytest.raises(errors.UserError, match=r"image '\d+' of .* has no class of its own"):
        linear_evaluation.main(_arguments(folder, train=f'{folder}/scenes/train-*'))


@pytest.mark.parametrize(
    ('text', 'says'),
    [
        ('trainer: {}\n', 'has no task.model'),
        ('task: {model: {input_size: [32, 32, 3]}}\n', 'task.model.backbone is not set'),
        (NETWORK.replace('type: resnet', 'type: resnte'), 'resnte'),
        (NETWORK.replace('[32, 32, 3]', '[32, 32]'), r'allowed: \[height, width, 3\]'),
        (NETWORK.replace('0.25', '0.5'), 'does not fit the model: .* shapes differ'),
    ],
)
def test_a_network_that_is_not_the_checkpoints_is_named(place, tmp_path, text, says):
    folder, _ = place
    (tmp_path / 'network.yaml').write_text(text)
    with pytest.raises(errors.UserError, match=says):
        linear_evaluation.main([*_arguments(folder), f'--config_file={tmp_path}/network.yaml'])


def test_a_checkpoint_without_its_network_and_none_at_all_are_named(place, tmp_path):
    folder, _ = place
    with pytest.raises(errors.UserError, match='nothing says which network .* --config_file'):
        linear_evaluation.main(_arguments(folder, checkpoint=tmp_path))
    (tmp_path / 'params.yaml').write_text(NETWORK)
    with pytest.raises(errors.UserError, match='no checkpoint in the folder'):
        linear_evaluation.main(_arguments(folder, checkpoint=tmp_path))
    with pytest.raises(errors.UserError, match='--seed'):
        linear_evaluation.main(_arguments(folder, seed=-1))
