import pytest
import timm
from timm.models import _registry

from models.timm_names import architectures, former_names, refuse_unknown


def test_the_names_in_timms_source_are_those_that_it_makes_networks_by():
    assert architectures() == set(_registry.list_models())
    assert former_names() == set(_registry.get_deprecated_models())


@pytest.mark.parametrize("name", ["resnet18", "resnet18.a1_in1k", "tv_resnext50_32x4d"])
def test_a_name_with_or_without_a_tag_and_a_former_one_are_known(name):
    refuse_unknown("models.architecture", name)


def test_a_misspelt_name_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match=r"models\.architecture=resnt18\.x: timm has none .* did you mean resnet18 or"):
        refuse_unknown("models.architecture", "resnt18.x")
    with pytest.raises(ValueError, match=r"=simple_cn: .*; did you mean simple_cnn\?"):
        refuse_unknown("models.architecture", "simple_cn", ["simple_cnn", "timm"])


def test_a_tag_that_no_weights_have_is_refused_with_the_nearest_and_none_that_timm_knows():
    with pytest.raises(ValueError, match=r"resnet18 has no weights tagged a7_in1k; did you mean .*a1_in1k"):
        refuse_unknown("models.architecture", "resnet18.a7_in1k")
    for name in timm.list_pretrained("*.*"):
        refuse_unknown("models.architecture", name)
