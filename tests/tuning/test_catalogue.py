"""Which models are measured, and in which order."""

import re

import pytest
import timm

from tuning import catalogue
from tuning.benchmark_settings import BenchmarkSettings
from tuning.catalogue import FEW, AllTooLarge, entries
from tuning.catalogue_file import completed

SMALL = ["test_resnet", "test_vit", "test_convnext"]


@pytest.fixture
def empty(tmp_path, monkeypatch):
    """A file of costs in the test's folder, which begins empty."""
    monkeypatch.setattr(catalogue, "FILE", tmp_path / "catalogue.csv")
    catalogue.known.cache_clear()
    yield tmp_path / "catalogue.csv"
    catalogue.known.cache_clear()


def test_the_cheapest_come_first_each_at_the_size_of_its_published_accuracy(empty):
    found = entries(BenchmarkSettings(models=SMALL))
    assert [entry.macs for entry in found] == sorted(entry.macs for entry in found)
    assert {entry.model for entry in found} == set(SMALL) and {entry.height for entry in found} == {160}


def test_costs_that_were_written_are_read_again_and_follow_the_image_size(empty):
    counted = entries(BenchmarkSettings(models=SMALL))
    assert completed([*SMALL, "no_such_model"]) == 3
    assert "no_such_model,224,224,," in empty.read_text().splitlines()
    assert entries(BenchmarkSettings(models=SMALL)) == counted
    doubled = entries(BenchmarkSettings(models=SMALL, image_size=320))
    assert [entry.macs for entry in doubled] == [4 * entry.macs for entry in counted]


def test_counting_goes_on_where_it_was_and_drops_what_is_no_more(empty):
    empty.write_text("model,height,width,parameters,macs\ntest_vit,160,160,1,2\nof_an_older_timm,1,1,1,1\n")
    catalogue.known.cache_clear()
    assert completed(["test_vit", "test_resnet"]) == 2
    lines = empty.read_text().splitlines()
    assert lines[2] == "test_vit,160,160,1,2" and [line.partition(",")[0] for line in lines[1:]] == [
        "test_resnet",
        "test_vit",
    ]


def test_many_unknown_ones_come_last_and_uncounted(empty):
    empty.write_text("model,height,width,parameters,macs\ntest_vit,160,160,1,2\n")
    catalogue.known.cache_clear()
    found = entries(BenchmarkSettings(models=["resnet*", "test_vit"]))
    assert len(found) > FEW
    assert found[0].model == "test_vit" and all(entry.macs is None for entry in found[1:])


def test_the_file_that_lies_here_names_every_model_of_timm():
    assert set(catalogue.known()) == set(timm.list_models())
    assert sum(entry.macs is not None for entry in catalogue.known().values()) > 0.97 * len(timm.list_models())


def test_a_family_is_a_module_of_timm_or_a_beginning_of_names(empty):
    names = catalogue._of_family("ghostnet")
    assert "ghostnet_100" in names and all("ghost" in name for name in names)
    assert all(name.startswith("test_v") for name in catalogue._of_family("test_v"))


def test_larger_models_are_left_out(empty):
    most = max(entry.parameters for entry in entries(BenchmarkSettings(models=SMALL))) / 1e6
    left = entries(BenchmarkSettings(models=SMALL, max_params=most - 0.01))
    assert len(left) == 2


def test_where_all_are_too_large_the_smallest_is_named():
    told = "benchmark.max_params=0.001 leaves none of 3 models: the smallest, test_convnext, has 0.2"
    with pytest.raises(AllTooLarge, match=re.escape(told)):
        entries(BenchmarkSettings(models=SMALL, max_params=0.001))
