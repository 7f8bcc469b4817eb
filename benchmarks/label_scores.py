"""How well wrong labels are found: ours and cleanlab's four scores, judged by the same figures."""

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.metrics import average_precision_score, roc_auc_score

from models.label_errors import Findings, lowest

Array = NDArray[Any]
Cell = dict[str, Any]

SCORES: dict[str, dict[str, Any]] = {  # cleanlab's, by its names
    "cleanlab self_confidence": {"method": "self_confidence"},
    "cleanlab normalized_margin": {"method": "normalized_margin"},
    "cleanlab normalized_margin, adjusted": {"method": "normalized_margin", "adjust_pred_probs": True},
    "cleanlab confidence_weighted_entropy": {"method": "confidence_weighted_entropy"},
}


def judged(true: Array, found: Findings) -> Cell:
    """auroc, ap: of the score. miss: share of the wrong labels that are not among the so many lowest scores.

    suggested_right: of the wrong labels, of the flagged ones of them, of all flagged. precision, recall: of the flags.
    """
    wrong = found.given != true
    right, flagged = found.suggested == true, found.flagged
    return ranked(wrong, found.score) | {
        "suggested_right": float(right[wrong].mean()),
        "suggested_right_flagged_wrong": float(right[wrong & flagged].mean()),
        "suggested_right_flagged": float(right[flagged].mean()),
        "flagged": int(flagged.sum()),
        "wrong": int(wrong.sum()),
        "precision": float(wrong[flagged].mean()),
        "recall": float(flagged[wrong].mean()),
    }


def ranked(wrong: Array, score: Array) -> Cell:
    return {
        "auroc": float(roc_auc_score(wrong, -score)),
        "ap": float(average_precision_score(wrong, -score)),
        "miss": 1 - float(lowest(score, int(wrong.sum()))[wrong].mean()),
    }


def cleanlab(given: Array, true: Array, logits: Array, seconds: float) -> Cell:
    """Confident learning on out-of-fold logits; `seconds`, which they took, are added to each score's own."""
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    probs = softmax(logits.astype(np.float64), axis=1)
    before = time.process_time()
    flagged = find_label_issues(given, probs, filter_by="both", n_jobs=1)
    seconds += time.process_time() - before
    suggested = probs.argmax(axis=1)
    cell: Cell = {}
    for name, options in SCORES.items():
        before = time.process_time()
        score = get_label_quality_scores(given, probs, **options)
        spent = time.process_time() - before
        found = Findings(given, suggested, score, np.argsort(np.argsort(score)) + 1, flagged)
        cell[name] = judged(true, found) | {"cpu_s": seconds + spent}
    return cell
