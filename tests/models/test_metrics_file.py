"""metrics.csv over a resume."""

import csv

from models.metrics_file import MetricsFile


def rows(folder):
    with (folder / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def test_figures_of_one_step_share_a_row_and_new_columns_are_added(tmp_path):
    log = MetricsFile(str(tmp_path))
    log.log_metrics({"val/loss": 1.0}, step=5)
    log.log_metrics({"train/loss": 2.0}, step=5)
    log.log_metrics({"val/loss": 0.5, "val/accuracy": 0.9}, step=9)
    log.save()
    assert rows(tmp_path)[0] == {"step": "5", "train/loss": "2.0", "val/accuracy": "", "val/loss": "1.0"}
    assert len(rows(tmp_path)) == 2


def test_a_resumed_run_keeps_earlier_rows_and_replaces_what_it_repeats(tmp_path):
    first = MetricsFile(str(tmp_path))
    for step in (1, 2, 3):
        first.log_metrics({"loss": float(step)}, step=step)
    first.save()
    resumed = MetricsFile(str(tmp_path))
    resumed.log_metrics({"loss": 20.0}, step=2)
    resumed.save()
    assert [(row["step"], row["loss"]) for row in rows(tmp_path)] == [("1", "1.0"), ("2", "20.0")]
