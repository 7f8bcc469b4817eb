import pytest

from tuning.jobs import Job
from tuning.measurement import training


@pytest.fixture
def job(tmp_path):
    """Makes one whose files lie in the test's folder."""

    def made(batch, side):
        told = ("eager", "fp32", None, "versions", 1, "cpu", "machine")
        return Job("test_efficientnet", side, side, batch, *told, folder=str(tmp_path))

    return made


def test_a_training_step_is_measured(job):
    found = training(job(batch=2, side=32))
    assert found["p50_ms"] > 0 and found["images_per_s"] > 0 and found["computed_in"] == "fp32"


def test_what_batch_normalisation_refuses_names_the_way_out(job):
    with pytest.raises(ValueError, match="use --batch-size 2"):
        training(job(batch=1, side=32))
