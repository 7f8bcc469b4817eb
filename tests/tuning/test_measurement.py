import pytest

from tuning.jobs import Job
from tuning.measurement import training


def job(batch, side):
    return Job("test_efficientnet", side, side, batch, "eager", "fp32", None, "versions", 1, "cpu", "machine")


def test_a_training_step_is_measured():
    found = training(job(batch=2, side=32))
    assert found["p50_ms"] > 0 and found["images_per_s"] > 0 and found["computed_in"] == "fp32"


def test_what_batch_normalisation_refuses_names_the_way_out():
    with pytest.raises(ValueError, match="use --batch-size 2"):
        training(job(batch=1, side=32))
