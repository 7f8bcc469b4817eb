"""Which trained model the first round starts from: the given run, or the best of several on what is labelled."""

import logging
from pathlib import Path
from typing import Any

import numpy as np

from active.look import features_of, logits_of
from active.selection import Selection
from datamodule.pool import PoolData
from models.model_file import load_model
from models.runs import find, weights_file

log = logging.getLogger(__name__)
Facts = dict[str, Any]
LOOKED_AT = 500  # labelled images


def starting_weights(start: str | list[str] | None, logs: str, data: PoolData, selection: Selection) -> Facts:
    """weights: a file or None; why: in words."""
    if not start:
        return {"weights": None, "why": "fresh weights"}
    if isinstance(start, str) and start.endswith((".safetensors", ".ckpt")):
        return {"weights": start, "why": f"as asked for: {start}"}
    runs = [find(name, logs) for name in ([start] if isinstance(start, str) else start)]
    if len(runs) == 1:
        return {"weights": str(weights_file(str(runs[0].folder), logs)), "why": f"as asked for: {runs[0].folder.name}"}
    rows = labelled_rows(data)
    scores = {run.listed_as: _score(run.folder, data, rows, selection) for run in runs}
    best = max(runs, key=lambda run: scores[run.listed_as])
    told = ", ".join(f"{name} {score:.4f}" for name, score in sorted(scores.items(), key=lambda one: -one[1]))
    why = f"{best.listed_as} of {len(runs)} by {type(selection).__name__} on {len(rows)} labelled images: {told}"
    log.info("starts from %s", why)
    return {"weights": str(best.model_file), "why": why}


def labelled_rows(data: PoolData) -> Any:
    """Some of the validation images.

    Raises ValueError where there are too few to choose by.
    """
    inventory = data.inventory
    rows = inventory.rows("val")
    if len(rows) < 2 * len(inventory.classes):
        raise ValueError(
            f"active.start names several runs, but only {len(rows)} validation images have a label to choose by: "
            "name one run, or give more of them"
        )
    return rows[np.linspace(0, len(rows) - 1, min(LOOKED_AT, len(rows))).astype(np.int64)]


def _score(folder: Path, data: PoolData, rows: Any, selection: Selection) -> float:
    net, _ = load_model(folder)
    label = data.inventory.codes()[rows]
    features, logits = features_of(net, data, rows), logits_of(net, data, rows)
    return selection.score(features, logits, label, len(data.classes))
