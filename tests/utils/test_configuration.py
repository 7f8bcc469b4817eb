"""Compositions, and what is said of a key or an option that is not there."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conftest import ROOT
from utils.build import ConfigurationError
from utils.configuration import composed, known_keys, no_such_key, overridden

REFUSING = """
import os
import hydra
from utils.configuration import command

@hydra.main(version_base="1.3", config_path=None)
def main(cfg):
    print("HYDRA_FULL_ERROR" in os.environ)
    raise ValueError("this is no good")

command(main)
"""


@pytest.mark.parametrize("traced", [False, True])
def test_a_mistake_is_one_line_and_a_trace_where_hydra_is_asked_for_it(tmp_path, traced):
    """What the command asks of Hydra for itself is none of its children's business."""
    (tmp_path / "own.py").write_text(REFUSING)
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)} | ({"HYDRA_FULL_ERROR": "1"} if traced else {})
    line = [sys.executable, "own.py", "hydra.run.dir=run", "hydra.job.chdir=false"]
    done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout == f"{traced}\n"
    assert (done.stderr == "error: this is no good\n") is not traced
    assert ("Traceback" in done.stderr) is traced and done.returncode == (1 if traced else 2)


def test_a_misspelt_option_is_refused_with_the_nearest_one_alone():
    with pytest.raises(ConfigurationError) as refused:
        composed(["callback=[ema,early_stoping]"])
    assert str(refused.value) == "callback=early_stoping: callback has no such option; did you mean early_stopping?"


def test_a_stored_configuration_takes_values_but_no_other_groups():
    stored = {"seed": 0, "trainer": {"max_epochs": 3}}
    assert overridden(stored, ["trainer.max_epochs=5"])["trainer"]["max_epochs"] == 5
    with pytest.raises(ConfigurationError, match=r"trainer\.max_epoch=5.*did you mean trainer\.max_epochs"):
        overridden(stored, ["trainer.max_epoch=5"])
    with pytest.raises(ConfigurationError, match="has its own trainer"):
        overridden(stored, ["trainer=default"])


def test_a_key_is_known_with_all_that_would_bring_it():
    known = known_keys()
    assert known["limits.latency_ms"] == ["experiment=auto", "models=auto"]  # no main file takes limits=default
    assert known["benchmark.models"] == known["finetune.candidates"] == ["models=auto"]
    assert known["callback.freeze.epochs"] == ["callback=freeze"]
    for option in known["limits.latency_ms"]:
        assert composed([option], ["limits.latency_ms=5"])["limits"]["latency_ms"] == 5


def test_the_keys_of_a_yaml_are_known_where_it_puts_them():
    known = known_keys()
    assert "models.architecture" in known and "models.models.architecture" not in known


def test_a_group_of_other_commands_is_named_with_them():
    assert "it can be chosen in test.py or python -m serving" in no_such_key("engine")
    assert no_such_key("engine.type").endswith(" or engine=eager in test.py or python -m serving")
    assert no_such_key("limits.latency_ms").endswith("experiment=auto or models=auto, or is in benchmark.py")
    assert no_such_key("callback.freeze.epochs").endswith("it comes with callback=freeze")
    assert "did you mean benchmark.batch_size" in no_such_key("benchmark.batchsize")


def test_many_threads_may_compose_at_once():
    lines = [
        [f"optimizers={option}", f"optimizers.lr=0.0{number}"] for option in ("adamw", "sgd") for number in (1, 2, 3)
    ]
    with ThreadPoolExecutor(len(lines)) as pool:
        found = list(pool.map(composed, lines))
    assert [one["optimizers"]["lr"] for one in found] == 2 * [0.01, 0.02, 0.03]


def test_a_line_that_cannot_be_read_is_named_with_the_way_out():
    with pytest.raises(ConfigurationError, match="^seed=a=b: it cannot .*: =b; a text .*twice: 'seed=\"TEXT\"'$"):
        composed(["seed=a=b"])
    with pytest.raises(ConfigurationError, match=r"closed: \[a; a text .*twice: 'seed=\[\"TEXT\",\"TEXT\"\]'$"):
        composed(["seed=[a"])
    with pytest.raises(ConfigurationError, match=r"^seed=1,2: several values are a sweep, which needs -m"):
        composed(["seed=1,2"])


def test_a_word_that_sets_nothing_is_told_how_a_value_is_set():
    with pytest.raises(ConfigurationError, match="^nonsense: what is set is written as KEY=VALUE; --help"):
        composed(["nonsense"])
