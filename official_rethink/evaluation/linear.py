"""Linear evaluation: how well one linear layer tells classes apart by features that stay as they are.

Multinomial logistic regression with an L2 penalty, fitted in float64 by L-BFGS: a convex problem, so that its
solution is a property of features and labels, and of no schedule.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from scipy import optimize

from official_rethink.common import errors

PENALTIES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
"""Candidates for the weight of the L2 penalty; one is chosen on a held-out fifth of the training examples."""
HELD_OUT = 5
_MAX_ITERATIONS = 2000


@dataclasses.dataclass(frozen=True)
class Classifier:
    """One linear layer on standardised features.

    Attributes:
        mean: float64 [F], taken from features.
        scale: float64 [F], features are divided by.
        weights: float64 [F, K].
        bias: float64 [K].
        classes: int [K], the class ids the columns stand for.
    """

    mean: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    bias: np.ndarray
    classes: np.ndarray

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Returns the class id of each row of features [N, F]."""
        standard = (np.asarray(features, np.float64) - self.mean) / self.scale
        return self.classes[np.argmax(standard @ self.weights + self.bias, axis=1)]

    def accuracy(self, features: np.ndarray, labels: np.ndarray) -> float:
        """The share of rows whose class is right; a class that was not trained on is never right."""
        return float(np.mean(self.predict(features) == labels))


@dataclasses.dataclass(frozen=True)
class Result:
    """What a linear evaluation gives.

    Attributes:
        top1: accuracy on the validation examples, in [0, 1].
        train_top1: accuracy on the training examples.
        penalty: the weight of the penalty that was chosen.
        errors: how many of the validation examples are wrong.
    """

    top1: float
    train_top1: float
    penalty: float
    errors: int


def objective(
    parameters: np.ndarray, features: np.ndarray, targets: np.ndarray, penalty: float
) -> tuple[float, np.ndarray]:
    """Mean cross entropy + penalty / 2 * sum of squared weights, and its gradient.

    Args:
        parameters: float64 [(F + 1) * K]: weights row by row, then the biases, which carry no penalty.
        features: float64 [N, F].
        targets: float64 [N, K], one-hot.
        penalty: 0 or more.
    """
    count, classes = targets.shape
    table = parameters.reshape(-1, classes)
    weights, bias = table[:-1], table[-1]
    logits = features @ weights + bias
    logits -= logits.max(axis=1, keepdims=True)
    log_shares = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    value = -np.sum(targets * log_shares) / count + 0.5 * penalty * np.sum(weights**2)
    difference = (np.exp(log_shares) - targets) / count
    gradient = np.vstack([features.T @ difference + penalty * weights, difference.sum(axis=0)])
    return float(value), gradient.ravel()


def fit(features: np.ndarray, labels: np.ndarray, penalty: float) -> Classifier:
    """Fits a classifier.

    Args:
        features: [N, F]; standardised by their own mean and deviation, a constant one stays constant.
        labels: int [N], any ids.
        penalty: weight of the squared weights, over 0 for the solution to be the only one.

    Raises:
        UserError: fewer than two classes, or features that are not finite.
    """
    features, labels = np.asarray(features, np.float64), np.asarray(labels)
    classes = np.unique(labels)
    if len(classes) < 2:
        raise errors.UserError(
            f'the training examples have {len(classes)} class(es); there is nothing to tell apart with less than two.'
        )
    if not np.isfinite(features).all():
        raise errors.UserError(
            'some features are not finite numbers; were the weights trained to the end without a NaN?'
        )
    mean, deviation = features.mean(axis=0), features.std(axis=0)
    # A feature that is the same everywhere says nothing; rounding may leave it a deviation.
    scale = np.where(deviation > 1e-10 * np.maximum(np.abs(mean), 1.0), deviation, 1.0)
    standard = (features - mean) / scale
    targets = (labels[:, np.newaxis] == classes).astype(np.float64)
    start = np.zeros((features.shape[1] + 1) * len(classes))
    found = optimize.minimize(
        objective,
        start,
        args=(standard, targets, penalty),
        jac=True,
        method='L-BFGS-B',
        options={'maxiter': _MAX_ITERATIONS, 'maxfun': 2 * _MAX_ITERATIONS, 'ftol': 1e-10, 'gtol': 1e-6},
    )
    table = found.x.reshape(-1, len(classes))
    return Classifier(mean, scale, table[:-1], table[-1], classes)


def choose_penalty(features: np.ndarray, labels: np.ndarray, penalties: Sequence[float] = PENALTIES) -> float:
    """Returns the penalty that does best on every fifth training example after a fit on the others.

    Of equally good ones the largest; with too few examples to hold some out, the middle one.
    """
    held_out = np.arange(len(labels)) % HELD_OUT == HELD_OUT - 1
    if not held_out.any() or len(np.unique(labels[~held_out])) < 2:
        return sorted(penalties)[len(penalties) // 2]
    scores = {
        penalty: fit(features[~held_out], labels[~held_out], penalty).accuracy(features[held_out], labels[held_out])
        for penalty in penalties
    }
    return max(scores, key=lambda penalty: (scores[penalty], penalty))


def evaluate(
    train_features: np.ndarray,
    train_labels: np.ndarray,
    validation_features: np.ndarray,
    validation_labels: np.ndarray,
) -> Result:
    """Fits on the training examples and measures on the validation examples, which choose nothing.

    Args:
        train_features: [N, F].
        train_labels: int [N].
        validation_features: [V, F].
        validation_labels: int [V].
    """
    penalty = choose_penalty(train_features, train_labels)
    classifier = fit(train_features, train_labels, penalty)
    wrong = int(np.sum(classifier.predict(validation_features) != validation_labels))
    return Result(
        top1=1.0 - wrong / len(validation_labels),
        train_top1=classifier.accuracy(train_features, train_labels),
        penalty=penalty,
        errors=wrong,
    )
