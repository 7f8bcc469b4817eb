"""The optional trackers, with their real packages and without a network."""

import sqlite3

import pytest


@pytest.mark.soak
def test_both_trackers_record_a_run_below_its_folder(command, tmp_path):
    done = command(
        "train.py", "logger=[wandb,mlflow]", "logger.wandb.offline=true", "trainer.max_epochs=1",
        "datamodule.n_samples=200", "trainer.speed=fp32", "models.num_filters=4", "run_name=tracked",
        WANDB_SILENT="true",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "logs/default/tracked"
    assert list(folder.glob("wandb/offline-run-*/*.wandb"))
    with sqlite3.connect(folder / "mlflow.db") as database:
        names = {name for (name,) in database.execute("select key from metrics")}
        [status] = [status for (status,) in database.execute("select status from runs")]
    database.close()
    assert {"val/loss", "val/accuracy"} <= names and status == "FINISHED"
