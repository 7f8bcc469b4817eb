"""Shadow and canary beside what is live, against counts by hand."""

import io

import numpy as np
import pytest
from PIL import Image

from serving.monitoring.candidates import HONEST, Candidates
from tests.serving.monitoring.conftest import answered, register
from utils.statistics import mcnemar

CHOICES = {name: np.eye(3, dtype="f4")[place] * 5 for place, name in enumerate("abc")}


def logits(choices):
    return [CHOICES[name] for name in choices]


@pytest.fixture
def shadowed(watched):
    """Model 2 is the shadow of model 1."""
    register(watched, 2, 0.1)
    watched.deployments.shadow(2, "me")
    return watched


def compared(parts):
    parts.monitor.flush()
    return Candidates(parts.deployments).of("main")


def test_agreement_is_counted_on_the_images_that_both_have_answered(shadowed):
    shadowed.monitor.record(answered(logits("aaabbbccc"), latency_ms=10))
    shadowed.monitor.record(answered(logits("aaabbb"), role="shadow", model_id=2, latency_ms=30))
    shadowed.monitor.record(answered(logits("c"), role="shadow", model_id=2, name="another image"))
    (found,) = compared(shadowed)
    assert (found["role"], found["model_id"], found["version"], found["share"]) == ("shadow", 2, 2, None)
    assert found["answers"] == 7 and found["agreement"]["images"] == found["agreement"]["same"] == 6
    assert found["latency_ms"]["own"]["p50"] > found["latency_ms"]["live"]["p50"]
    assert "on 6 of 6 images" in found["why"] and found["why"].endswith("none of these images was corrected")


def test_the_last_answer_to_an_image_counts_and_each_image_once(shadowed):
    shadowed.monitor.record(answered(logits("ab")))
    shadowed.monitor.record(answered(logits("bb")))  # the same two images again
    shadowed.monitor.record(answered(logits("ab"), role="shadow", model_id=2))
    assert compared(shadowed)[0]["agreement"] | {"share": 0, "low": 0, "high": 0} == {
        "images": 2, "same": 1, "share": 0, "low": 0, "high": 0,
    }  # fmt: skip


def png(place) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.full((4, 4, 3), place, np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def test_where_people_said_what_is_right_the_exact_test_compares(shadowed):
    live, own, truth = "aaaaaaaabb", "bbbbbbbaab", "bbbbbbbbab"  # at 8 places the shadow alone is right
    first, second = answered(logits(live)), answered(logits(own), role="shadow", model_id=2)
    shadowed.monitor.record(first + second)
    for place, label in enumerate(truth):
        shadowed.feedback.add("main", png(place), first[place].image_sha256, first[place].id, label, "me")
    shadowed.feedback.add("main", png(99), "0" * 64, None, "a", "me")  # of an image that nobody answered
    found = compared(shadowed)[0]["labelled"]
    right = [np.array([x == y for x, y in zip(said, truth, strict=True)]) for said in (own, live)]
    expected = mcnemar(*right)
    assert (found["images"], found["gained"], found["lost"]) == (10, expected.gained, expected.lost) == (10, 8, 0)
    assert found["p"] == pytest.approx(expected.p) == pytest.approx(2 / 2**8)
    assert found["right"] == {"own": 9, "live": 1} and HONEST in compared(shadowed)[0]["why"]


def test_a_canary_is_compared_by_images_that_came_twice(watched):
    register(watched, 2, 0.1)
    watched.deployments.canary(2, 0.2, "me")
    assert compared(watched)[0]["why"].startswith("it has not answered an image")
    watched.monitor.record(answered(logits("abc")) + answered(logits("abb"), role="canary", model_id=2))
    (found,) = compared(watched)
    assert (found["role"], found["share"]) == ("canary", 0.2)
    assert (found["agreement"]["images"], found["agreement"]["same"]) == (3, 2)


def test_what_a_model_answered_in_a_former_part_is_not_counted(shadowed):
    shadowed.monitor.record(answered(logits("aaa")))
    shadowed.monitor.record(answered(logits("bbb"), role="canary", model_id=2))
    assert compared(shadowed)[0]["answers"] == 0 and compared(shadowed)[0]["agreement"] is None


def test_without_candidates_there_is_nothing_to_compare(watched):
    assert compared(watched) == []
    with pytest.raises(LookupError):
        Candidates(watched.deployments).of("other")
