"""The figures that a configuration lets one expect."""

from models.figures import reported


def test_metrics_of_ones_own_are_reported_by_their_names():
    task = {"_target_": "models.regression.Regression", "metrics": {"own": "R2Score", "left_out": None}}
    assert reported({"task": task, "callback": {"monitor": "val/loss"}}) == ["val/loss", "val/own"]
    assert reported({"task": task | {"_target_": "mine.Task"}, "callback": {}}) is None
