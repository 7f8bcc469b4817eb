"""What a Ray worker runs: trial after trial in one process, so that torch and the images are loaded once."""

import json
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from shutil import copy
from tempfile import TemporaryDirectory
from typing import Any

from ray import tune

from models.run import Run
from tuning.orders import Order
from utils.loading import loading


def trainable(config: dict[str, Any]) -> None:
    """One trial. A trial that should stop does so inside of `tune.report`, which then does not come back."""
    with loading():
        from tuning.trial import run_trial  # torch, which the process that asks does not need

    order = Order(**json.loads(config["trial"]["order"]))

    def report(epoch: int, figures: dict[str, float]) -> bool:
        told = {"epoch": epoch, "figures": json.dumps(figures)}
        if not order.is_handed_on(epoch):
            tune.report(told)
            return True
        with TemporaryDirectory() as place:
            tune.report(told, checkpoint=state(order, Path(place)))
        return True

    with ExitStack() as held:
        former = tune.get_checkpoint()
        place = held.enter_context(former.as_directory()) if former else None
        ending = run_trial(replace(order, goes_on_from=place), report)
    tune.report({"ending": json.dumps(asdict(ending))})


def state(order: Order, place: Path) -> Any:
    """What another trial needs to go on from this one, as Ray hands it over."""
    run = Run(Path(order.folder))
    for file in (run.last, run.configuration_file):
        copy(file, place)
    return tune.Checkpoint.from_directory(place)
