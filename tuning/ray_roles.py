"""How Ray Tune asks the study what to try, and tells it what came of it."""

import json
from dataclasses import asdict
from typing import Any

from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from tuning.orders import Ending, Order, dead
from tuning.study import Study


def config_of(order: Order) -> dict[str, Any]:
    """What Ray hands to a worker."""
    return {"trial": {"number": order.number, "order": json.dumps(asdict(order))}}


def number_of(config: dict[str, Any]) -> int:
    """The trial's, from what Ray has."""
    return int(config["trial"]["number"])


class Unpickled:
    """Ray pickles its helpers to restore them; a search goes on by its journal instead, so nothing is handed out."""

    def __reduce__(self) -> tuple[type[object], tuple[()]]:
        return object, ()

    def __deepcopy__(self, memo: dict[int, Any]) -> "Unpickled":
        return self


class Asking(Unpickled, Searcher):
    """Ray's way to ask the study what to try next, and to say that a trial has left."""

    def __init__(self, study: Study) -> None:
        super().__init__()
        self.study, self.numbers = study, dict[str, int]()

    def suggest(self, trial_id: str) -> Any:
        order = self.study.next()
        if order is None:
            return Searcher.FINISHED
        self.numbers[trial_id] = order.number
        return config_of(order)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Hears of trials that ended by themselves, were stopped, or whose worker died too often."""
        number = self.numbers[trial_id]
        if error:
            ending = dead()
        elif result and "ending" in result:
            ending = Ending(**json.loads(result["ending"]))
        else:
            ending = Ending(stopped=True)
        self.study.end(number, ending)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the journal holds what a search needs to go on."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing, as above."""

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Nothing, as above."""


class Telling(Unpickled, FIFOScheduler):
    """Ray's way to tell the study of a validation, and to hear whether the trial should go on."""

    def __init__(self, study: Study) -> None:
        super().__init__()
        self.study = study

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        if "ending" in result:
            return str(self.STOP)
        goes_on = self.study.report(number_of(trial.config), result["epoch"], json.loads(result["figures"]))
        return str(self.CONTINUE if goes_on else self.STOP)
