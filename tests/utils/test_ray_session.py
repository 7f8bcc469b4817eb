"""The one way to Ray, as far as no Ray is needed for it; tests/tuning/test_ray_search.py and others use it."""

import pytest

from utils.ray_session import connected, refuse_silence


@pytest.mark.parametrize("address", ["127.0.0.1:9", "ray://127.0.0.1:9"])
def test_a_cluster_that_does_not_answer_is_named_at_once(address):
    told = rf"tune\.address={address}: no Ray cluster answers there \(Connection refused"
    with pytest.raises(ValueError, match=told), connected(address, "tune.address"):
        raise AssertionError("nobody is there")


def test_an_address_without_a_port_is_left_to_ray():
    refuse_silence("auto", "tune.address")
