"""Arms that train at the same time, each in a process of its own."""

import json

import pytest


@pytest.mark.soak
def test_arms_of_the_automatic_optimizer_side_by_side_are_those_of_one_process(command, tmp_path):
    little = ("datamodule.n_samples=300", "models.num_filters=4", "models.blocks=1", "trainer.max_epochs=3",
              "trainer.speed=fp32", "trainer.threads=1", "trainer.accelerator=cpu", "logger.tensorboard=null",
              "optimizers.option=auto", "optimizers.candidates=[sgd,adamw]")  # fmt: skip
    for name, count in (("one", 1), ("two", 2)):
        done = command("train.py", *little, f"optimizers.search.at_once={count}", f"run_name={name}")
        assert done.returncode == 0, done.stderr
    runs = [tmp_path / "logs/default" / name for name in ("one", "two")]
    first, second = (json.loads((run / "auto_optimizer.json").read_text())["ranked"] for run in runs)
    assert [one | {"seconds": 0} for one in first] == [one | {"seconds": 0} for one in second] and len(first) == 6
    weights = [(run / "model.safetensors").read_bytes() for run in runs]
    assert weights[0] == weights[1]


def test_more_arms_at_once_than_there_are_cores_are_refused(command, tmp_path):
    many = ("optimizers.option=auto", "optimizers.search.at_once=999", "trainer.accelerator=cpu", "trainer.speed=fp32")
    done = command("train.py", *many, "trainer.threads=1", "datamodule.n_samples=300")
    assert done.returncode == 2 and "optimizers.search.at_once=999 needs 999 CPUs, there are" in done.stderr
