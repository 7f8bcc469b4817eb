"""What a training's validations report, as its configuration tells; free of torch, so that it is known at once."""

import re
from collections.abc import Mapping
from typing import Any

OURS = ("models.", "active.", "serving.")
LOSS = "val/loss"


def reported(config: Mapping[str, Any]) -> list[str] | None:
    """The figures of a validation; None where a task or callback of the user's own may log others."""
    task, callbacks = config["task"], [node for node in config["callback"].values() if isinstance(node, Mapping)]
    if not all(str(node["_target_"]).startswith(OURS) for node in (task, *callbacks) if "_target_" in node):
        return None
    metrics, heads = task.get("metrics") or (), task.get("num_classes")
    names = [name for name in metrics if metrics[name] is not None] if isinstance(metrics, Mapping) else [
        snake_case(name) for name in metrics
    ]  # fmt: skip
    places = [f"{head.replace('.', '_')}/" for head in heads] if isinstance(heads, Mapping) else [""]
    return [LOSS, *(f"val/{place}{name}" for place in places for name in names)]


def snake_case(name: str) -> str:
    """F1Score → f1_score, AUROC → auroc."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
