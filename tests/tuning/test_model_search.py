"""Choosing within limits, against brute force."""

from dataclasses import replace

import numpy as np
import pytest
from hydra import compose, initialize_config_dir

from tuning.limits import OBJECTIVES, Limits, missed_by
from tuning.model_search import HOPELESS, hopes, judged, write_choice
from tuning.published import Joined, Published
from tuning.speed_table import Row, SpeedTable
from utils.build import check_own
from utils.configuration import plain
from utils.overrides import CONFIGURATION

LEAST = ("throughput", "accuracy")


def made(number, rng, error=""):
    p95, accuracy = float(rng.integers(1, 40)), float(rng.integers(600, 900)) / 10
    row = Row(
        f"model{number}", "eager", "fp32", 1, "224x224", "inference", "versions", "machine", p50_ms=0.9 * p95,
        p95_ms=p95, images_per_s=1000 / p95, peak_mib=float(rng.integers(300, 900)),
        disk_mib=float(rng.integers(5, 400)), parameters=int(rng.integers(1, 100)) * 1_000_000, error=error,
    )  # fmt: skip
    return Joined(row, Published(f"model{number}.tag", 224, accuracy) if number % 7 else None)


def table_of(count, seed=0):
    rng = np.random.default_rng(seed)
    return [made(number, rng, "crashed" if number % 11 == 10 else "") for number in range(count)]


def figures(one):
    row = one.row
    return {"latency_ms": row.p95_ms, "throughput": row.images_per_s, "memory_mib": row.peak_mib,
            "disk_mib": row.disk_mib, "parameters": row.parameters / 1e6,
            "accuracy": one.published.top1 if one.published else None}  # fmt: skip


def keeps(one, limits):
    found = figures(one)
    for key in found:
        asked = getattr(limits, key)
        if asked is not None and (found[key] is None or (found[key] < asked if key in LEAST else found[key] > asked)):
            return False
    return True


def random_limits(rng):
    drawn = {
        "latency_ms": float(rng.integers(3, 40)), "throughput": float(rng.integers(25, 300)),
        "memory_mib": float(rng.integers(320, 900)), "disk_mib": float(rng.integers(20, 400)),
        "parameters": float(rng.integers(5, 100)), "accuracy": float(rng.integers(61, 88)),
    }  # fmt: skip
    given = {key: value for key, value in drawn.items() if rng.random() < 0.4}
    return Limits(**given, objective=str(rng.choice(list(OBJECTIVES))))


@pytest.mark.parametrize("seed", range(20))
def test_the_choice_is_that_of_brute_force(seed):
    limits, found = random_limits(np.random.default_rng(seed)), table_of(60)
    choice = judged(found, limits)
    keeping = [one for one in found if one.row.works and keeps(one, limits)]
    assert sorted(one.row.model for one in choice.ranked) == sorted(one.row.model for one in keeping)
    if keeping:
        key = {"latency": "latency_ms", "memory": "memory_mib", "disk": "disk_mib"}.get(
            limits.objective, limits.objective
        )
        values = [value for one in keeping if (value := figures(one)[key]) is not None]
        best = (max if key in LEAST else min)(values) if values else None
        assert figures(choice.chosen)[key] == best


def test_when_nothing_fits_the_nearest_is_named_with_what_it_breaks_by_how_much():
    found = [made(number, np.random.default_rng(number)) for number in (1, 2, 3)]
    limits = Limits(latency_ms=0.5)
    choice = judged(found, limits)
    fastest = min(found, key=lambda one: one.row.p95_ms)
    assert choice.chosen is None and choice.nearest is fastest and choice.overrides == []
    p95 = fastest.row.p95_ms
    assert f"{fastest.row.model}, which breaks p95 {p95:g} ms (at most 0.5), {2 * p95:g} times the limit" in choice.why


@pytest.mark.parametrize(
    ("share", "at_least", "told"),
    [
        (0.0004, False, "0.04 % above it"),
        (0.999, False, "99.9 % above it"),
        (1.3, False, "2.3 times the limit"),
        (8.96, False, "10 times the limit"),
        (3612.4, False, "3,613 times the limit"),
        (0.25, True, "25 % below it"),
    ],
)
def test_a_limit_that_is_missed_by_far_is_told_in_times_and_else_in_per_cent(share, at_least, told):
    assert missed_by(share, at_least) == told


def test_the_answer_says_why_and_what_to_paste():
    found = table_of(9)
    choice = judged(found, Limits(latency_ms=39.0, memory_mib=1000))
    best = choice.chosen
    assert f"highest top-1, {best.top1:g} %" in choice.why and "(at most 39)" in choice.why
    assert choice.overrides == ["models=timm", f"models.architecture={best.row.model}.tag", "datamodule.height=224",
                                "datamodule.width=224"]  # fmt: skip


@pytest.mark.parametrize(
    ("engine", "precision", "further"),
    [
        ("eager", "fp32", None),
        ("eager", "bf16", ["engine=eager", "engine.type=bf16"]),
        ("onnxruntime", "fp32", ["engine=onnxruntime"]),
        ("openvino", "int8", ["engine=openvino", "engine.type=int8"]),
    ],
)
def test_the_line_to_deploy_is_one_that_test_py_takes(engine, precision, further):
    one = made(1, np.random.default_rng(0))
    choice = judged([replace(one, row=replace(one.row, engine=engine, precision=precision))], Limits(latency_ms=99))
    assert choice.engine == ([] if further is None else ["tester.trt_opt=True", *further])
    with initialize_config_dir(str(CONFIGURATION), version_base="1.3"):
        check_own(plain(compose("test", overrides=choice.engine)))


def test_what_is_not_measured_is_never_chosen():
    with pytest.raises(ValueError, match="no model could be measured"):
        judged([made(1, np.random.default_rng(0), "hung")], Limits(latency_ms=5))


def test_an_unknown_accuracy_keeps_no_limit_on_it():
    unknown = made(7, np.random.default_rng(0))
    assert judged([unknown], Limits(accuracy=2.0)).nearest is unknown
    assert judged([unknown, made(1, np.random.default_rng(0))], Limits(latency_ms=99)).chosen.row.model == "model1"


@pytest.mark.parametrize(
    ("values", "told"),
    [({"accuracy": 0.8}, "in per cent"), ({"latency_ms": 0.0}, "nothing keeps it"), ({"parameters": -3.0}, "above 0")],
)
def test_limits_that_cannot_be_meant_are_refused(values, told):
    with pytest.raises(ValueError, match=told):
        Limits(**values)


def test_a_limit_on_accuracy_needs_accuracies():
    with pytest.raises(ValueError, match=r"benchmark\.published=FILE"):
        Limits(accuracy=80.0).check(accuracies=False)


class Asked:
    """A job as far as its key goes."""

    def __init__(self, row):
        self.key = row.key


def test_larger_models_are_not_measured_once_all_are_far_above_the_latency(tmp_path):
    rng = np.random.default_rng(0)
    slow = [made(number, rng).row for number in range(HOPELESS)]
    jobs = [Asked(row) for row in slow]
    plan = type("Plan", (), {"jobs": jobs})()
    with SpeedTable(tmp_path / "t.csv") as table:
        worth = hopes(Limits(latency_ms=0.1), plan, table)
        for row in slow[:-1]:
            table.add(row)
        assert worth(jobs[-1])
        table.add(slow[-1])
        assert not worth(jobs[-1])
        assert hopes(Limits(latency_ms=min(row.p95_ms for row in slow)), plan, table)(jobs[-1])


def test_the_page_shows_choice_ranking_and_picture(tmp_path):
    found = table_of(30)
    limits = Limits(latency_ms=20)
    choice = judged(found, limits)
    page = write_choice(choice, found, tmp_path / "t.csv", limits)
    text = page.read_text()
    assert choice.chosen.row.model in text and "Keep all limits" in text
    assert (page.parent / "accuracy-latency-1.png").read_bytes()[:4] == b"\x89PNG"
