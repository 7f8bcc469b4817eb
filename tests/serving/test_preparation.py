import pytest

from serving.engines.auto import Auto
from serving.engines.openvino import OpenVino
from serving.engines.source import source_of
from serving.preparation import engine_of, folder_of, golden_of
from tests.serving.test_endpoints import register

INT8 = {"_target_": "serving.engines.openvino.OpenVino", "type": "int8", "threads": 1}


@pytest.fixture
def folder(open_parts):
    """Of a model in a store, with its golden batch."""
    parts = open_parts()
    return folder_of(parts.store.root, parts.store.blobs, parts.store.files(register(parts, 5)))


@pytest.mark.soak
def test_int8_asked_for_by_name_is_calibrated_on_the_golden_images(folder):
    engine = engine_of(folder, INT8)
    assert engine.facts.precision == "int8"
    assert engine(golden_of(folder)[0]).shape == golden_of(folder)[1].shape


def test_the_automatic_choice_does_not_judge_int8_by_the_few_images_it_was_calibrated_on(folder):
    tried = Auto([OpenVino("int8", 1)]).gated(source_of(folder), golden_of(folder)[0], None)
    assert not tried[1].accepted and "images to calibrate with" in tried[1].verdict.why
