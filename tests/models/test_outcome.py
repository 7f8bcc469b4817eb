"""What a finished training says."""

from models.outcome import Outcome, tell
from models.runs import Run


def test_no_report_is_promised_where_no_image_was_left_to_judge_by(tmp_path, capsys):
    told = {"epochs": 1, "steps": 1, "seconds": 1.0, "best_epoch": None, "weights_sha256": "0" * 64}
    tell(Outcome(Run(tmp_path), "SimpleCnn", 1000, {}, {"train": 100, "val": 0, "test": 0}, **told))
    shown = capsys.readouterr().out
    assert "report   none: without validation and test images there is nothing to judge by" in shown
    assert "index.html" not in shown and "images   100 train" in shown and "━" not in shown
    assert "training 1 epoch; 1 step in 1.0 s" in shown
