"""tune.backend=local: trials one after the other in this process; nothing to start, so the best for small work."""

from functools import partial

import torch

from tuning.study import Study
from tuning.trial import run_trial


def search(study: Study) -> None:
    """Runs trials until the study is over."""
    study.gpus = _gpus(study)
    while (order := study.next()) is not None:
        study.end(order.number, run_trial(order, partial(study.report, order.number)))


def _gpus(study: Study) -> float:
    there = torch.cuda.device_count() if study.problem.config["trainer"]["accelerator"] != "cpu" else 0
    asked = study.settings.gpus_per_trial
    if asked != "auto" and asked > there:
        raise ValueError(f"tune.gpus_per_trial={asked} but there are {there} GPUs here: use {there} or less")
    return float(there > 0 and asked != 0)
