"""What a finished training says."""

import pytest

from models.outcome import Outcome, compare, facts, tell
from models.run import Run


def test_a_rerun_to_which_the_time_allowed_other_steps_says_so(tmp_path):
    record = {"environment": {}, "data": {}, "weights": {"final": "a"}, "steps": 153}
    Run(tmp_path).write({"record": record | {"weights": {"final": "b"}, "steps": 141}})
    told = {"epochs": 1, "steps": 141, "seconds": 1.0, "best_epoch": 1, "kept_epoch": 1, "weights_sha256": "b"}
    same, why = compare({"record": record}, Outcome(Run(tmp_path), "SimpleCnn", 1000, {}, {}, **told))
    assert not same and why == "NOT reproduced: a before, b now. steps was 153, is 141"


def test_no_report_is_promised_where_no_image_was_left_to_judge_by(tmp_path, capsys):
    told = {"epochs": 1, "steps": 1, "seconds": 1.0, "best_epoch": None, "kept_epoch": None, "weights_sha256": "0" * 64}
    tell(Outcome(Run(tmp_path), "SimpleCnn", 1000, {}, {"train": 100, "val": 0, "test": 0}, **told))
    shown = capsys.readouterr().out
    assert "report   none: without validation and test images there is nothing to judge by" in shown
    assert "index.html" not in shown and "images   100 train" in shown and "━" not in shown
    assert "training 1 epoch; 1 step in 1.0 s" in shown


@pytest.mark.parametrize(
    ("best", "kept", "said"),
    [
        (4, 4, "5 epochs, the best is 4"),
        (4, 5, "5 epochs, the last is kept (4 looked best)"),
        (None, None, "5 epochs"),
    ],
)
def test_it_says_whose_weights_are_kept(tmp_path, best, kept, said):
    told = {"epochs": 5, "steps": 9, "seconds": 1.0, "best_epoch": best, "kept_epoch": kept, "weights_sha256": "0" * 64}
    assert facts(Outcome(Run(tmp_path), "SimpleCnn", 1, {}, {}, **told))["training"] == f"{said}; 9 steps in 1.0 s"
