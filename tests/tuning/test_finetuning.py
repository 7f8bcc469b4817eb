"""Candidates of a model search on the user's own images."""

import pytest

from tuning import finetuning
from tuning.finetune_page import chart, section
from tuning.finetune_settings import FinetuneSettings, OwnImages, own_images
from tuning.finetuning import Finetuned, Tried, best, candidates, finetuned, looked_at, with_model
from tuning.halving import Round
from tuning.objectives import Objective
from tuning.published import Joined, Published
from tuning.speed_table import Row
from utils.configuration import composed

ACCURACY = Objective("val/accuracy", raised=True)


def one(model, p95, top1, engine="eager", size="32x32"):
    row = Row(model, engine, "fp32", 1, size, "inference", "v", "m", p50_ms=0.9 * p95, p95_ms=p95)
    return Joined(row, Published(f"{model}.tag", 32, top1))


@pytest.mark.parametrize(
    ("settings", "count", "expected"),
    [
        ({"epochs": 6}, 8, [(8, 2), (3, 6)]),
        ({"epochs": 9}, 21, [(21, 1), (7, 3), (3, 9)]),
        ({"epochs": 1}, 8, [(8, 1)]),
        ({"epochs": 4, "reduction": 2}, 2, [(2, 4)]),
        ({"epochs": 5}, 1, [(1, 5)]),
    ],
)
def test_the_best_go_on_to_longer_trainings(settings, count, expected):
    assert FinetuneSettings(**settings).rounds(count) == expected


def test_each_network_is_tried_once_those_on_the_front_first():
    ranked = [one("big", 9, 80), one("beaten", 10, 79), one("quick", 2, 70), one("big", 20, 80, "slow engine")]
    assert [found.row.model for found in candidates(ranked, 8)] == ["big", "quick", "beaten"]
    assert [found.row.model for found in candidates(ranked, 2)] == ["big", "quick"]


def test_rank_is_by_round_then_figure_then_latency():
    tried = [Tried(one("a", 5, 0), [0.9]), Tried(one("b", 5, 0), [0.5, 0.7]), Tried(one("c", 4, 0), [0.6, 0.7]),
             Tried(one("d", 1, 0), [], "it crashed"), Tried(one("e", 9, 0), [0.4, 0.8])]  # fmt: skip
    ordered = best(tried, ACCURACY, 2, keep_all=True)
    assert [found.one.row.model for found in ordered] == ["e", "c", "b", "a", "d"]
    assert [found.one.row.model for found in best(tried, ACCURACY, 2)] == ["e", "c", "b"]
    loss = best(tried[1:3], Objective("val/loss"), 2)
    assert [found.one.row.model for found in loss] == ["c", "b"]


def test_the_reason_and_the_picture_have_the_measured_figures():
    tried = [
        Tried(one("good", 5, 60), [0.5, 0.9]),
        Tried(one("next", 4, 70), [0.4, 0.8]),
        Tried(one("out", 3, 80), [0.1]),
    ]
    found = Finetuned(tried, [Round(3, 1), Round(2, 3)], ACCURACY, 1234)
    assert found.why == (
        "good: highest val/accuracy, 0.9000 on 1,234 images after 3 epochs, of 3 candidates; then next, 0.8000"
    )
    assert [list(series.labels) for series in chart(found).series] == [["out"], ["good", "next"]]
    assert [row[3:5] for row in section(found).blocks[1].rows] == [(0.5, 0.9), (0.4, 0.8), (0.1, None)]


@pytest.fixture
def own(tmp_path):
    """Digits by networks of the timm group, quickly."""
    rules = FinetuneSettings(candidates=3, epochs=1)
    given = ["datamodule=digits", "datamodule.n_samples=120", f"datamodule.cache_dir={tmp_path / 'cache'}"]
    quick = ["trainer.accelerator=cpu", "trainer.speed=fp32", "models.pretrained=false", "trainer.threads=1"]
    return OwnImages(rules, composed(["models=timm", *given, *quick]))


def test_what_ranks_is_measured_on_the_images_and_the_same_command_trains_nothing_twice(own, tmp_path, monkeypatch):
    known = [one("test_resnet", 3, 41.0), one("test_vit", 4, 60.0), one("no_such_model", 1, 30.0)]
    untagged = [Joined(found.row, None) for found in known]
    found = finetuned(own, untagged, tmp_path / "kept")
    assert 0.05 <= found.best.figures[-1] <= 1 and len(found.best.figures) == len(found.rounds) == 1
    assert found.tried[-1].one.row.model == "no_such_model" and "timm has none of that name" in found.tried[-1].error
    trained = []
    run = finetuning.trained
    monkeypatch.setattr(finetuning, "trained", lambda config, goal: trained.append(config) or run(config, goal))
    again = finetuned(own, untagged, tmp_path / "kept")
    assert [tried.figures for tried in again.tried] == [tried.figures for tried in found.tried]
    assert [config["models"]["architecture"] for config in trained] == ["no_such_model"]


def test_a_figure_that_no_validation_has_is_named(own, tmp_path):
    rules = FinetuneSettings(candidates=1, epochs=1, objective="val/acuracy")
    with pytest.raises(ValueError, match=r"no val/acuracy: give finetune\.objective, reported are: .*val/accuracy"):
        finetuned(OwnImages(rules, own.config), [Joined(one("test_resnet", 3, 0).row, None)], tmp_path)


def test_images_without_a_validation_split_are_refused(own, tmp_path):
    data = own.config["datamodule"] | {"val_share": 0.0}
    with pytest.raises(ValueError, match=r"no validation images .*datamodule\.val_share above 0"):
        finetuned(OwnImages(own.rules, own.config | {"datamodule": data}), [one("test_vit", 3, 0)], tmp_path)


def test_an_automatic_batch_size_is_left_to_the_trainings(own):
    automatic = own.config | {"datamodule": own.config["datamodule"] | {"batch_size": "auto"}}
    known = one("test_vit", 3, 0)
    assert looked_at(OwnImages(own.rules, automatic), known) == looked_at(own, known)


def test_the_network_is_laid_over_the_configuration_at_the_size_it_was_measured_at():
    config = with_model(composed(["models=timm"]), one("resnet18", 3, 70, size="64x48"))
    assert config["models"]["architecture"] == "resnet18.tag"
    assert (config["datamodule"]["height"], config["datamodule"]["width"]) == (64, 48)


def test_the_data_set_is_that_of_the_command_line_and_stays_in_what_is_pasted():
    line = ["limits.latency_ms=5", "datamodule=folder", r"datamodule.root='/a b/it\'s'", "benchmark.threads=1"]
    found = own_images(line, FinetuneSettings(overrides=["optimizers=sgd"]))
    assert found.config["datamodule"]["root"] == "/a b/it's" and found.config["optimizers"]["name"] == "sgd"
    assert found.given == ("datamodule=folder", "datamodule.root=/a b/it's", "optimizers=sgd")
    assert own_images(["limits.latency_ms=5"], FinetuneSettings()) is None


@pytest.mark.parametrize(
    ("line", "settings", "told"),
    [
        (["datamodule.root=x"], {}, "belongs to a data set: name it as well"),
        (["datamodule=digits"], {"candidates": 0}, "use 1 or more"),
        (["datamodule=digits", "datamodule.batchsize=3"], {}, "did you mean"),
        (["datamodule=digits"], {"objective": "val/acuracy"}, "do not report it, but val/loss, val/accuracy"),
        (["datamodule=digits"], {"overrides": ["task=regression"]}, "but val/loss, val/mean_absolute_error"),
    ],
)
def test_a_mistake_in_the_data_set_is_named(line, settings, told):
    with pytest.raises(ValueError, match=told):
        own_images(line, FinetuneSettings(**settings))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"candidates": -1}, "finetune.candidates=-1: use 0 or more"),
        ({"epochs": 0}, "finetune.epochs=0: use 1 or more"),
        ({"reduction": 1}, "finetune.reduction=1: use 2 or more"),
        ({"objective": "accuracy"}, "use val/accuracy"),
    ],
)
def test_impossible_settings_are_refused(settings, told):
    with pytest.raises(ValueError, match=told):
        FinetuneSettings(**settings)
