"""What active learning starts from."""

from active import starting
from active.selection import LinearProbe
from active.starting import starting_weights
from models.run import Run


def test_runs_of_one_name_in_two_experiments_are_two(monkeypatch, tmp_path):
    scores = {tmp_path / "cats" / "first": 0.9, tmp_path / "dogs" / "first": 0.1}
    monkeypatch.setattr(starting, "find", lambda name, logs: Run(tmp_path / name))
    monkeypatch.setattr(starting, "labelled_rows", lambda data: [0])
    monkeypatch.setattr(starting, "_score", lambda folder, *_: scores[folder])
    found = starting_weights(["dogs/first", "cats/first"], str(tmp_path), None, LinearProbe())
    assert found["weights"] == str(tmp_path / "cats" / "first" / "model.safetensors")
    assert found["why"].endswith("on 1 labelled images: cats/first 0.9000, dogs/first 0.1000")
