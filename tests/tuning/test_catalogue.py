"""Which models are measured, and in which order."""

import pytest

from tuning import catalogue, catalogue_file
from tuning.benchmark_settings import BenchmarkSettings
from tuning.catalogue import Entry, entries

SMALL = ["test_resnet", "test_vit", "test_convnext"]


@pytest.fixture
def known(tmp_path, monkeypatch):
    """A file of costs in the test's folder, which begins empty."""
    monkeypatch.setattr(catalogue, "FILE", tmp_path / "catalogue.csv")
    monkeypatch.setattr(catalogue_file, "FILE", tmp_path / "catalogue.csv")
    catalogue._known.cache_clear()
    yield
    catalogue._known.cache_clear()


def test_the_cheapest_come_first_each_at_the_size_of_its_published_accuracy(known):
    found = entries(BenchmarkSettings(models=SMALL))
    assert [entry.macs for entry in found] == sorted(entry.macs for entry in found)
    assert {entry.model for entry in found} == set(SMALL) and {entry.height for entry in found} == {160}


def test_costs_that_were_written_are_read_again_and_follow_the_image_size(known):
    counted = entries(BenchmarkSettings(models=SMALL))
    assert catalogue_file.written([*counted, Entry("broken", 1, 1)]) == 3
    catalogue._known.cache_clear()
    assert entries(BenchmarkSettings(models=SMALL)) == counted
    doubled = entries(BenchmarkSettings(models=SMALL, image_size=320))
    assert [entry.macs for entry in doubled] == [4 * entry.macs for entry in counted]


def test_a_family_is_a_module_of_timm_or_a_beginning_of_names(known):
    names = catalogue._of_family("ghostnet")
    assert "ghostnet_100" in names and all("ghost" in name for name in names)
    assert all(name.startswith("test_v") for name in catalogue._of_family("test_v"))


def test_larger_models_are_left_out(known):
    most = max(entry.parameters for entry in entries(BenchmarkSettings(models=SMALL))) / 1e6
    left = entries(BenchmarkSettings(models=SMALL, max_params=most - 0.01))
    assert len(left) == 2
