"""Flags and settings of benchmark.py."""

import pytest

from tuning.benchmark_settings import BenchmarkSettings, as_overrides


def test_each_flag_is_an_override_and_overrides_stay():
    line = ("--find-specific-models --specific-model-family resnet --off-tensorrt --file-location ./a/b.csv limits=x "
            "--engines eager,openvino --precision fp32,bf16 --batch-size 1,32 --image-size 224 --train "
            "--max-params 100 --time-limit 60 benchmark.threads=1")  # fmt: skip
    assert sorted(as_overrides(line.split())) == sorted([
        "benchmark.find_specific_models=True", "benchmark.family=resnet", "benchmark.off_tensorrt=True",
        "benchmark.file=./a/b.csv", "benchmark.engines=[eager,openvino]", "benchmark.precision=[fp32,bf16]",
        "benchmark.batch_size=[1,32]", "benchmark.image_size=224", "benchmark.train=True", "benchmark.max_params=100",
        "benchmark.time_limit=60", "limits=x", "benchmark.threads=1",
    ])  # fmt: skip


def test_a_flag_may_be_written_with_an_equals_sign():
    assert as_overrides(["--batch-size=8"]) == ["benchmark.batch_size=[8]"]


def test_ray_is_short_for_its_key():
    assert as_overrides(["--ray"]) == as_overrides(["ray=True"]) == ["benchmark.ray=True"]


def test_hydras_own_flags_stay_in_their_order():
    assert as_overrides(["--cfg", "job", "a=1", "--help", "-m"]) == ["--cfg", "job", "a=1", "--help", "-m"]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (["--engine", "eager"], "--engine: there is no such flag; did you mean --engines"),
        (["--train-it"], "did you mean --train"),
        (["--batch-size"], "expected one argument"),
    ],
)
def test_a_wrong_flag_is_refused_with_the_nearest(line, told):
    with pytest.raises(ValueError, match=told):
        as_overrides(line)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"find_specific_models": True}, "--specific-model-family resnet"),
        ({"precision": "fp31"}, "did you mean fp32"),
        ({"batch_size": [4, 0]}, "use 1 or more images"),
        ({"engines": []}, "leaves nothing to measure"),
        ({"engines": "tensorrt", "off_tensorrt": True}, "leaves nothing to measure"),
        ({"file": "table.txt"}, "must end in .csv"),
        ({"time_limit": 0.0}, "use a number above 0"),
        ({"max_params": -1.0}, "use a number above 0"),
    ],
)
def test_impossible_settings_are_refused_with_the_way_out(values, told):
    with pytest.raises(ValueError, match=told):
        BenchmarkSettings(**values)


def test_lists_and_single_values_mean_the_same():
    chosen = BenchmarkSettings(engines="eager", batch_size=[32, 1, 32], precision=["bf16", "bf16"])
    assert (chosen.engine_names, chosen.batches, chosen.precisions) == (["eager"], [1, 32], ["bf16"])
