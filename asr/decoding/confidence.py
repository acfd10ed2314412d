"""From evidence to confidence: a logistic curve with two numbers, which `asr tune` fits on development speech."""

import math
from collections.abc import Sequence

import numpy as np

from asr.decoding.options import Calibration


def confidence(evidence: float, calibration: Calibration) -> float:
    """Estimated chance that a word with this evidence (mean log-odds of its units) is right, in [0, 1]."""
    return 1.0 / (1.0 + math.exp(-max(-50.0, min(50.0, calibration.offset + calibration.slope * evidence))))


def evidence_of(value: float, calibration: Calibration) -> float:
    """The evidence that `confidence` made `value` of."""
    value = min(max(value, 1e-9), 1 - 1e-9)
    return (math.log(value / (1 - value)) - calibration.offset) / calibration.slope


def fit(evidence: Sequence[float], right: Sequence[bool]) -> Calibration:
    """Logistic regression of `right` on `evidence`, by Newton's method. A weak prior tames few words and separable ones."""
    x = np.stack([np.asarray(evidence, float), np.ones(len(evidence))], axis=1)             # (n, 2)
    y = np.asarray(right, float)
    prior, weights = np.array([Calibration().slope, Calibration().offset]), np.array([Calibration().slope, Calibration().offset])
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(x @ weights, -50, 50)))
        gradient = x.T @ (p - y) + (weights - prior)
        hessian = (x * (p * (1 - p))[:, None]).T @ x + np.eye(2)
        change = np.linalg.solve(hessian, gradient)
        weights = weights - change
        if np.abs(change).max() < 1e-6:
            break
    return Calibration(slope=max(0.05, float(weights[0])), offset=float(weights[1]))        # confidence never falls with evidence
