"""A linear classifier on embeddings, fitted in well under a second: how much the features hold."""

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from active.view import Array, Places


def fit(features: Array, label: Places, classes: int, penalty: float = 1e-3) -> Array:
    """Weights (D + 1, classes) of a softmax regression, the last row the biases.

    features: (n, D). penalty: half the weight of the squared weights against the mean loss over the samples.
    """
    inputs = with_ones(features)
    wanted = np.eye(classes)[label]

    def loss(flat: Array) -> tuple[float, Array]:
        weights = flat.reshape(inputs.shape[1], classes)
        logits = inputs @ weights
        shrunk = weights[:-1]
        value = -(wanted * log_softmax(logits, axis=1)).sum() / len(label) + penalty / 2 * (shrunk**2).sum()
        slope = inputs.T @ (softmax(logits, axis=1) - wanted) / len(label)
        slope[:-1] += penalty * shrunk
        return float(value), slope.ravel()

    found = minimize(loss, np.zeros(inputs.shape[1] * classes), jac=True, method="L-BFGS-B", options={"maxiter": 200})
    weights: Array = found.x.reshape(inputs.shape[1], classes)
    return weights


def logits(features: Array, weights: Array) -> Array:
    """(n, classes)"""
    return np.asarray(with_ones(features) @ weights)


def with_ones(features: Array) -> Array:
    return np.hstack([np.asarray(features, np.float64), np.ones((len(features), 1))])
