"""What the settings of a search refuse, before torch is imported."""

import subprocess
import sys
from pathlib import Path

import pytest

from tuning.settings import TuneSettings

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"trials": 0}, r"tune\.trials=0"),
        ({"grace_epochs": 0}, r"tune\.grace_epochs=0"),
        ({"epochs": 0}, r"tune\.epochs=0"),
        ({"reduction": 1}, r"tune\.reduction=1"),
        ({"cpus_per_trial": 0}, r"tune\.cpus_per_trial=0"),
        ({"gpus_per_trial": -1}, r"tune\.gpus_per_trial=-1"),
        ({"max_time": "12 minutes"}, r"tune\.max_time=12 minutes: write it as"),
        ({"objective": []}, "name at least one figure"),
        ({"objective": ["val/loss", "val/loss"]}, "name each figure once"),
        ({"mode": ["min", "max"]}, r"give one of min and max for each of \['val/loss'\]$"),
        ({"space": []}, "holds nothing to search"),
        ({"backend": "local", "address": "auto"}, r"is for tune\.backend=ray"),
        ({"backend": "ray", "at_once": 2}, r"tune\.at_once=2 is for tune\.backend=local"),
        ({"at_once": 0}, r"tune\.at_once=0"),
        ({"perturb_epochs": 0}, r"tune\.perturb_epochs=0"),
        ({"searcher": "bayesopt", "objective": ["val/loss", "parameters"]}, "lowers one figure"),
        ({"scheduler": "pbt", "backend": "local"}, r"by turns: use tune\.backend=ray"),
        ({"scheduler": "pbt", "trials": 3}, r"tune\.trials=3 is no population"),
        ({"scheduler": "pbt", "objective": "latency_ms"}, "one figure of each validation"),
    ],
)
def test_what_cannot_work_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        TuneSettings(**given)


@pytest.mark.parametrize("argument", ["tune.trials=0", "trainer.tune=maybe", "tune.searcher=tpee"])
def test_the_command_refuses_it_without_torch(argument):
    code = f"import atexit, runpy, sys; sys.argv = ['train.py', 'trainer.tune=True', {argument!r}]\n"
    code += "atexit.register(lambda: print({'torch', 'ray', 'optuna'} & set(sys.modules)))\n"
    code += "runpy.run_path('train.py', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == "set()\n", done.stderr
    assert argument.partition("=")[0] in done.stderr
