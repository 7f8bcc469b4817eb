"""What a Ray worker runs: trial after trial in one process, so that torch and the images are loaded once."""

import json
from dataclasses import asdict
from typing import Any

from ray import tune

from tuning.trial import Order, run_trial


def trainable(config: dict[str, Any]) -> None:
    """One trial. A trial that should stop does so inside of `tune.report`, which then does not come back."""

    def report(epoch: int, figures: dict[str, float]) -> bool:
        tune.report({"epoch": epoch, "figures": json.dumps(figures)})
        return True

    ending = run_trial(Order(**json.loads(config["order"])), report)
    tune.report({"ending": json.dumps(asdict(ending))})
