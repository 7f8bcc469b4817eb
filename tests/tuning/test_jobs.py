"""What is measured of which model."""

import pytest

from tuning.benchmark_settings import BenchmarkSettings
from tuning.catalogue import Entry
from tuning.jobs import engines, jobs

COMMON = "torch 2.15.0"


def labels(**settings):
    found, refused = engines(BenchmarkSettings(**settings), 2, COMMON)
    return [(one.label, one.precision) for one in found], refused


def test_each_engine_is_taken_at_the_precisions_that_it_has():
    found, refused = labels(engines=["eager", "onnxruntime"], precision=["fp32", "bf16"])
    assert found == [("eager", "fp32"), ("eager", "bf16"), ("onnxruntime", "fp32")]
    assert refused == ["onnxruntime has no bf16"]


def test_float32_in_pytorch_is_what_timm_measures_and_the_rest_is_what_pays():
    (plain, fast), _ = engines(BenchmarkSettings(engines="eager", precision=["fp32", "bf16"]), 2, COMMON)
    assert (plain.node["channels_last"], fast.node["channels_last"]) == (False, True)


def test_threads_and_device_reach_the_engine_and_versions_the_key():
    (one,), _ = engines(BenchmarkSettings(engines="openvino", device="cpu"), 3, COMMON)
    assert one.node["threads"] == 3 and one.versions.startswith("torch 2.15.0, openvino 20")


def test_a_training_step_is_a_job_of_its_own():
    found, _ = engines(BenchmarkSettings(engines="eager", train=True, batch_size=[1, 8]), 1, COMMON)
    ((*own,),) = jobs([Entry("resnet18", 224, 192)], found, BenchmarkSettings(batch_size=[1, 8]), 1, "a CPU")
    assert [(job.mode, job.batch, job.size) for job in own] == [
        (mode, batch, "224x192") for mode in ("inference", "training") for batch in (1, 8)
    ]
    assert len({job.key for job in own}) == 4


def test_an_engine_that_is_not_known_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match="did you mean openvino"):
        labels(engines=["openvin"])
