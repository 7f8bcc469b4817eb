"""The report during training: from the round on, with its charts in TensorBoard, at no price for the weights."""

import json

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

SMALL = ("datamodule.n_samples=200", "trainer.max_epochs=3", "trainer.speed=fp32", "trainer.threads=1",
         "models.num_filters=4", "models.blocks=1")  # fmt: skip


def test_rounds_from_the_given_one_on_are_shown_and_the_weights_stay_the_same(command, tmp_path):
    shown = command("train.py", *SMALL, "run_name=shown", "callback=visualisation", "callback.do_not_visualize_round=2")
    plain = command("train.py", *SMALL, "run_name=plain", "logger.tensorboard=null")
    assert shown.returncode == plain.returncode == 0, shown.stderr + plain.stderr
    folders = [tmp_path / "logs/default" / name for name in ("shown", "plain")]
    first, second = (json.loads((folder / "model.json").read_text())["weights_sha256"] for folder in folders)
    assert first == second
    events = EventAccumulator(str(folders[0])).Reload()
    charts = [tag for tag in events.Tags()["images"] if tag.startswith("report/")]
    assert "report/curve_loss" in charts and len(charts) > 4
    assert [event.step for event in events.Images("report/curve_loss")] == [4, 6]
    assert "46 test" not in shown.stderr and (folders[0] / "report/index.html").is_file()
